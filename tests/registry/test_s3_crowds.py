"""Many readers at once on MinIO: they share the driver's connections and leave nothing behind."""

import asyncio
import logging

import pytest

from revstore_async import Digest, Registry, sign
from revstore_async.concurrency import gather_map
from revstore_drivers.s3 import S3Driver
from tests.parts.documents import key, schema1
from tests.parts.minio import MinIO
from tests.parts.s3 import Wire, connections_in_use

READERS, HOSTS = 64, 16
# A revision each: readers of one share their requests.
PAYLOADS = [schema1(Digest.of(b"layer"), number=number) for number in range(READERS)]


@pytest.mark.parametrize("pool", [64, 8])
async def test_64_readers_of_revisions_with_16_signatures(
    minio: MinIO, pool: int, caplog: pytest.LogCaptureFixture
) -> None:
    """botocore warns of a full pool on its loggers, and asyncio of unclosed transports on its own."""
    caplog.set_level(logging.WARNING)
    driver = S3Driver(minio.new_bucket(), **minio.options(), pool=pool)
    tasks = asyncio.all_tasks()
    async with Registry(driver, cache_size=0) as registry:
        revisions = registry.repository("library/hello").revisions
        keys = [key(host) for host in range(HOSTS)]
        wanted = [
            await revisions.put(payload, [sign(payload, each) for each in keys]) for payload in PAYLOADS
        ]
        with Wire(driver) as wire:
            found = await gather_map(revisions.get, wanted, limit=READERS)
        for stored, digest in zip(found, wanted, strict=True):
            assert (stored.digest, len(stored.signatures)) == (digest, HOSTS)
        assert len(wire.operations) == READERS * (3 + HOSTS)
        assert 1 < wire.most_at_once["GetObject"] <= pool
        assert connections_in_use(driver) == []
        assert asyncio.all_tasks() == tasks
    assert asyncio.all_tasks() == tasks
    assert caplog.records == []
