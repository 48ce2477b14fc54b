"""Large uploads in a store that fails at each of its operations; and the bytes on the wire to S3."""

import itertools
from collections.abc import Callable
from datetime import timedelta

import pytest

from revstore_async import Digest, Driver, Registry, Repository
from revstore_async.errors import Unavailable, UploadUnknown
from revstore_drivers.memory import MemoryDriver, MemoryStore
from revstore_drivers.s3 import S3Driver
from revstore_drivers.wrappers import At, Fault, FaultsDriver, When
from tests.parts.minio import MinIO
from tests.parts.s3 import Wire
from tests.parts.uploads import SmallParts, content_of, holds, left_of_uploads, pieces

FIRST, SECOND, THIRD = content_of(50, 300, 200)  # with parts of 64 bytes
WHOLE = FIRST + SECOND + THIRD

FAULTS: dict[str, Callable[[Driver, int], FaultsDriver]] = {
    "the world stops before": lambda driver, k: FaultsDriver(driver, stop_at=k, when=When.BEFORE),
    "the world stops after": lambda driver, k: FaultsDriver(driver, stop_at=k, when=When.AFTER),
    "an answer is lost, and the world": lambda driver, k: FaultsDriver(
        driver, stop_at=k, when=When.ANSWER_LOST
    ),
    "an answer is lost": lambda driver, k: FaultsDriver(driver, At(k, Fault.ANSWER_LOST)),
    "an operation fails": lambda driver, k: FaultsDriver(driver, At(k, Fault.BEFORE)),
}


async def go_on(repository: Repository, upload: str) -> None:
    """Send the missing bytes in two large pieces, and finish."""
    try:
        offset = (await repository.uploads.status(upload)).offset
    except UploadUnknown:
        offset = len(WHOLE)
    assert offset in {50, 350, 550}, "all of a piece, or nothing"
    if offset == 50:
        await repository.uploads.append(upload, pieces(SECOND, 30), offset=50)
        offset = 350
    await repository.uploads.finish(upload, Digest.of(WHOLE), pieces(WHOLE[offset:], 30), offset=offset)


@pytest.mark.parametrize("fault", FAULTS)
async def test_large_pieces_are_whole_or_not_there_and_can_be_sent_again(fault: str) -> None:
    for k in itertools.count():
        store = MemoryStore()
        async with Registry(SmallParts(MemoryDriver(store))) as registry:
            repository = registry.repository("hello")
            upload = (await repository.uploads.start()).id
            await repository.uploads.append(upload, FIRST)
            broken = FAULTS[fault](SmallParts(MemoryDriver(store)), k)
            async with Registry(broken) as failing:
                try:
                    await go_on(failing.repository("hello"), upload)
                    failed = False
                except Unavailable:
                    failed = True
            assert failed or await holds(repository, WHOLE)
            await go_on(repository, upload)
            assert await holds(repository, WHOLE)
            await registry.purge_uploads(timedelta(0))
            assert await left_of_uploads(registry) == []
            assert not store.unfinished
        if broken.operations <= k:
            assert not failed
            break
    assert k > 10


async def test_finishing_reads_nothing_back_from_s3(minio: MinIO) -> None:
    mib = 1 << 20
    contents = content_of(6 * mib, 5 * mib, 7 * mib)
    driver = S3Driver(minio.new_bucket(), **minio.options(), part_size=5 * mib)
    async with Registry(driver) as registry:
        repository = registry.repository("library/hello")
        await repository.blobs.put(b"the first write asks for the state of the collector")
        upload = await repository.uploads.start()
        with Wire(driver) as wire:
            for content in contents[:-1]:
                await repository.uploads.append(upload.id, pieces(content))
            await repository.uploads.finish(upload.id, Digest.of(b"".join(contents)), pieces(contents[-1]))
        assert wire.operations.count("GetObject") == 3, "the state, for each call"
        assert wire.operations.count("UploadPartCopy") == 3
        assert await holds(repository, b"".join(contents))
        assert await left_of_uploads(registry) == []
