"""A killed server of the S3 driver has every acknowledged write."""

import asyncio
from pathlib import Path

import pytest

from revstore_async.errors import Unavailable
from revstore_drivers.s3 import S3Driver
from tests.parts.minio import MinIO, running
from tests.parts.s3 import connections_in_use
from tests.parts.suite import keys_of, pattern

PUTS = 1000


@pytest.fixture
def mortal(tmp_path: Path):
    with running(tmp_path) as server:
        yield server


async def test_a_server_killed_amid_puts_loses_none(mortal: MinIO):
    acknowledged: set[str] = set()
    options = {**mortal.options(), "retries": 0}
    async with S3Driver(mortal.new_bucket(), **options) as driver:
        slots = asyncio.Semaphore(64)

        async def put(number: int) -> None:
            async with slots:
                try:
                    await driver.put(f"folder/{number}", b"%d" % number)
                except Unavailable:
                    return
                acknowledged.add(f"folder/{number}")
                if len(acknowledged) == PUTS // 2:
                    mortal.stop(kill=True)

        async with asyncio.TaskGroup() as tasks:
            for number in range(PUTS):
                tasks.create_task(put(number))
        assert connections_in_use(driver) == []
        assert PUTS // 2 <= len(acknowledged) < PUTS
        await asyncio.to_thread(mortal.start)
        assert {*await keys_of(driver)} >= acknowledged
        for key in sorted(acknowledged):
            assert (await driver.get(key)).content == key.removeprefix("folder/").encode()


async def test_a_server_that_is_started_again_is_waited_for(mortal: MinIO):
    """A reader and a writer outlive a restart of their server."""
    content = pattern(12 << 20)
    async with S3Driver(mortal.new_bucket(), **mortal.options(), part_size=5 << 20, retries=20) as driver:
        await driver.put("old", content)
        async with driver.open_reader("old") as reader, driver.open_writer("new") as writer:
            await writer.write(content[: 6 << 20])
            read = [await reader.read(1000)]
            mortal.stop(kill=True)
            starting = asyncio.ensure_future(asyncio.to_thread(mortal.start))
            await writer.write(content[6 << 20 :])
            read += [piece async for piece in reader]
            await writer.commit()
            await starting
        assert b"".join(read) == content
        assert (await driver.get("new")).content == content
