"""Several processes at work on one bucket, and one that is killed."""

import asyncio
import json
import os
import signal
import sys
from datetime import timedelta
from typing import Any

import pytest

from revstore_async import CURRENT, Digest, Registry
from revstore_async.errors import WriterBusy
from revstore_async.layout import BlobData
from revstore_drivers.s3 import S3Driver, purging, unfinished
from tests.parts.minio import MinIO
from tests.parts.suite import pattern

PART = 5 << 20
SUSPENDED = PART + 1234
CONTENT = pattern(4 * PART + 77)
KEY = CURRENT.key(BlobData(Digest.of(CONTENT)))

WRITER = """
import asyncio, json, sys
from revstore_drivers.s3 import S3Driver

async def main():
    said = json.loads(sys.argv[1])
    async with S3Driver(said["bucket"], **said["options"]) as driver:
        async with driver.open_writer(said["key"]) as writer:
            await writer.write(sys.stdin.buffer.read(said["suspended"]))
            state = await writer.suspend()
        print(state.decode(), flush=True)
        async with driver.open_writer(said["key"], resume=state) as writer:
            while piece := sys.stdin.buffer.read(100_000):
                await writer.write(piece)
                print(writer.offset, flush=True)
            await writer.commit()

asyncio.run(main())
"""


async def killed_amid(options: dict[str, Any], bucket: str) -> bytes:
    """Have a process write, suspend, go on and be killed, amid parts under way; return the last state."""
    said = {"bucket": bucket, "key": KEY, "options": options, "suspended": SUSPENDED}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WRITER,
        json.dumps(said),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(CONTENT[: 3 * PART])  # and no end: it waits for more
    state = (await process.stdout.readline()).strip()
    while int(await process.stdout.readline()) <= 2 * PART:
        pass
    process.kill()
    process.stdin.close()
    await process.stdout.read()
    assert await process.wait() == -signal.SIGKILL
    return state


async def test_a_killed_upload_is_resumed_by_a_new_process(
    minio: MinIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, options = minio.new_bucket(), {**minio.options(), "part_size": PART}
    before = {*minio.uploads()}
    state = await killed_amid(options, bucket)
    assert len({*minio.uploads()} - before) == 1
    async with Registry(S3Driver(bucket, **options)) as registry:
        driver = registry.driver
        assert (await driver.list_all()).entries == ()  # nothing of it is visible
        with pytest.raises(WriterBusy):
            async with driver.open_writer(KEY, resume=state):
                pytest.fail("the killed one's lease is not over")
        monkeypatch.setattr(unfinished, "LEASE", timedelta(seconds=-1))  # now it is
        async with driver.open_writer(KEY, resume=state) as writer:
            assert writer.offset == SUSPENDED
            await writer.write(CONTENT[SUSPENDED:])
            await writer.commit()
        assert Digest.of(await registry.blobs.get(Digest.of(CONTENT))) == Digest.of(CONTENT)
    assert {*minio.uploads()} == before
    assert minio.names(bucket) == [KEY]


async def test_a_killed_upload_that_nobody_resumes_is_purged(
    minio: MinIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, options = minio.new_bucket(), {**minio.options(), "part_size": PART}
    before = {*minio.uploads()}
    await killed_amid(options, bucket)
    monkeypatch.setattr(purging, "LEASE", timedelta(seconds=-1))
    monkeypatch.setattr(unfinished, "LEASE", timedelta(seconds=-1))
    async with S3Driver(bucket, **options) as driver:
        await driver.purge_writers(timedelta(0))
    assert {*minio.uploads()} == before
    assert minio.names(bucket) == []
