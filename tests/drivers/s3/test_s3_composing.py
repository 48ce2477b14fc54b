"""The parts that the S3 driver makes of objects keep to the sizes that S3 takes."""

import asyncio
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from revstore_async.concurrency import alongside
from revstore_async.driver import Source
from revstore_drivers.s3 import S3Driver, composing
from revstore_drivers.s3.composing import parts_of
from tests.parts.minio import MinIO
from tests.parts.s3 import Wire
from tests.parts.suite import pattern, read_all, write_all

MIB = 1 << 20


@given(st.lists(st.integers(0, 70), max_size=12), st.integers(1, 20), st.integers(0, 40))
def test_parts_are_all_the_bytes_in_order_and_of_sizes_that_s3_takes(
    sizes: list[int], least: int, more: int
) -> None:
    sources = [Source(str(number), size) for number, size in enumerate(sizes)]
    parts = [*parts_of(sources, least, least + more)]
    spans = [span for part in parts for span in part]
    assert [(span.key, span.first + at) for span in spans for at in range(span.size)] == [
        (source.key, at) for source in sources for at in range(source.size)
    ]
    for span in spans:
        assert span.size > 0
        assert span.whole == (span.size == sizes[int(span.key)])
    for part in parts[:-1]:
        assert least <= sum(span.size for span in part) <= least + more
    for part in parts:
        assert len(part) == 1 or sum(span.size for span in part) <= least, "only what is small is read"


async def composed(driver: S3Driver, *sizes: int) -> Wire:
    content, begin = pattern(sum(sizes)), 0
    sources = []
    for number, size in enumerate(sizes):
        info = await write_all(driver, f"source/{number}", content[begin : begin + size])
        sources.append(Source(info.key, size, info.etag))
        begin += size
    wire = Wire(driver)
    with wire:
        digest = f"sha256:{sha256(content).hexdigest()}"
        info = await driver.compose(sources, "target", digest=digest)
    found = await read_all(driver, "target")
    assert (info.size, len(found), sha256(found).digest()) == (*[len(content)] * 2, sha256(content).digest())
    return wire


async def test_large_objects_do_not_pass_through_this_process(minio: MinIO) -> None:
    async with S3Driver(minio.new_bucket(), **minio.options(), part_size=5 * MIB) as driver:
        wire = await composed(driver, 6 * MIB, 5 * MIB, 7 * MIB, 10)
        assert wire.operations.count("UploadPartCopy") == 4
        assert "GetObject" not in wire.operations
        assert "UploadPart" not in wire.operations


async def test_one_object_is_copied_by_one_request(minio: MinIO) -> None:
    async with S3Driver(minio.new_bucket(), **minio.options()) as driver:
        wire = await composed(driver, 6 * MIB)
        assert wire.operations == ["CopyObject"]


async def test_one_large_object_is_copied_by_parts(minio: MinIO) -> None:
    options = {**minio.options(), "part_size": 5 * MIB, "copy_part_size": 5 * MIB}
    async with S3Driver(minio.new_bucket(), **options) as driver:
        wire = await composed(driver, 12 * MIB)
        assert wire.operations.count("UploadPartCopy") == 2
        assert wire.most_at_once["UploadPartCopy"] == 2
        assert wire.operations.count("UploadPart") == 1, "S3 copies no range of less than 5 MiB"


async def test_too_many_objects_for_a_part_each_are_read(minio: MinIO, monkeypatch) -> None:
    monkeypatch.setattr(composing, "PARTS", 3)
    async with S3Driver(minio.new_bucket(), **minio.options(), part_size=5 * MIB) as driver:
        wire = await composed(driver, *[5 * MIB] * 4)
        assert wire.operations.count("UploadPart") + wire.operations.count("UploadPartCopy") == 2


async def test_many_small_objects_are_not_read_by_a_task_each(minio: MinIO) -> None:
    most = 0

    async def look() -> None:
        nonlocal most
        while True:
            most = max(most, len(asyncio.all_tasks()))
            await asyncio.sleep(0)

    async with S3Driver(minio.new_bucket(), **minio.options()) as driver:
        before = len(asyncio.all_tasks())
        async with alongside(look()):
            await composed(driver, *[1] * 100)
    assert most < before + 50
