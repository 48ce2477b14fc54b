"""Writers of the S3 driver: their requests, their memory, their leftovers."""

import asyncio

import pytest

from revstore_async.driver import IfAbsent
from revstore_async.errors import ConditionFailed, WriterNotFound
from revstore_drivers.s3 import S3Driver
from tests.parts.minio import MinIO
from tests.parts.s3 import Wire, connections_in_use
from tests.parts.suite import pattern, read_all, write_all

PART = 5 << 20


@pytest.fixture
async def driver(minio: MinIO):
    options = {**minio.options(), "part_size": PART, "parallel_parts": 3}
    async with S3Driver(minio.new_bucket(), "prefix", **options) as driver:
        yield driver
        assert connections_in_use(driver) == []


async def test_small_content_goes_in_one_request(driver: S3Driver):
    with Wire(driver) as wire:
        await write_all(driver, "key", pattern(PART - 10), pattern(10))
    assert wire.operations == ["PutObject"]


async def test_parts_are_of_one_size(driver: S3Driver):
    content = pattern(3 * PART + 17)
    with Wire(driver) as wire:
        await write_all(
            driver, "key", *(content[at : at + 700_001] for at in range(0, len(content), 700_001))
        )
    assert wire.operations[0] == "CreateMultipartUpload"
    assert sorted(wire.operations[1:-2]) == ["UploadPart"] * 4
    assert wire.operations[-2:] == ["CompleteMultipartUpload", "HeadObject"]
    assert sorted(wire.sizes("UploadPart")) == [17, PART, PART, PART]
    assert await read_all(driver, "key") == content


async def test_so_many_parts_at_once(driver: S3Driver):
    with Wire(driver) as wire:
        await write_all(driver, "key", pattern(10 * PART))
    assert 1 < wire.most_at_once["UploadPart"] <= 3


async def test_an_upload_that_was_aborted_meanwhile(driver: S3Driver, minio: MinIO):
    async with driver.open_writer("key") as writer:
        await writer.write(pattern(2 * PART))
        raw = minio.raw()
        await asyncio.to_thread(
            raw.abort_multipart_upload,
            Bucket=driver.options.bucket,
            Key="prefix/key",
            UploadId=vars(writer)["_upload"].id,
        )
        with pytest.raises(WriterNotFound):
            await writer.write(pattern(PART))
            await writer.commit()


async def test_a_lost_condition_leaves_no_parts(driver: S3Driver, minio: MinIO):
    before = {*minio.uploads()}
    await driver.put("key", b"there")
    with pytest.raises(ConditionFailed):
        async with driver.open_writer("key") as writer:
            await writer.write(pattern(2 * PART))
            await writer.commit(condition=IfAbsent())
    assert {*minio.uploads()} == before
