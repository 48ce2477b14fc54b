"""Damage that a registry knows of without reading content: from sizes, and from earlier reads."""

import pytest

from revstore_async import Digest, Driver, Registry, Repository
from revstore_async.errors import BlobDamaged, BlobSizeDamaged, BlobSizeMismatch, BlobUnknown, InvalidOffset
from tests.parts.uploads import pieces

CONTENT = b"what is stored once and read often"
DIGEST = Digest.of(CONTENT)
FLIPPED = CONTENT[:-1] + b"\0"
NONE = Digest.of(b"")


@pytest.fixture
def other(driver: Driver) -> Repository:
    """The same repository to another process, which has stored nothing."""
    return Registry(driver, cache_size=0).repository("library/hello")


async def damage(registry: Registry, content: bytes) -> None:
    await registry.driver.put(registry.blobs.path(DIGEST), content)


async def read_by_get(repository: Repository) -> bytes:
    return await repository.blobs.get(DIGEST)


async def read_by_open(repository: Repository) -> bytes:
    async with repository.blobs.open(DIGEST) as reader:
        return b"".join([piece async for piece in reader])


@pytest.mark.parametrize("read", [read_by_get, read_by_open])
async def test_content_that_a_read_found_damaged_is_absent_until_it_is_written_again(
    registry: Registry, repository: Repository, other: Repository, read
) -> None:
    await repository.blobs.put(CONTENT)
    await damage(registry, FLIPPED)
    assert await other.blobs.confirm(DIGEST)  # no size tells of it
    with pytest.raises(BlobDamaged):
        await read(other)
    assert await other.blobs.confirm(DIGEST) is None
    assert not await other.blobs.exists(DIGEST)
    with pytest.raises(BlobUnknown) as refused:
        await other.blobs.mount(DIGEST, other.name)
    assert isinstance(refused.value.__cause__, BlobDamaged)
    with pytest.raises(BlobDamaged):  # it is read again for each reader, who may find it whole
        await read(other)
    await repository.blobs.put(CONTENT)  # by another process
    assert await other.blobs.confirm(DIGEST)
    assert await read(other) == CONTENT


async def push_at_once(repository: Repository) -> None:
    await repository.blobs.put(CONTENT)


async def push_a_stream(repository: Repository) -> None:
    await repository.blobs.put(pieces(CONTENT, 3), digest=DIGEST)


async def push_in_chunks(repository: Repository) -> None:
    upload = await repository.uploads.start()
    await repository.uploads.append(upload.id, CONTENT[:9], offset=0)
    await repository.uploads.append(upload.id, CONTENT[9:], offset=9)
    await repository.uploads.finish(upload.id, DIGEST)


@pytest.mark.parametrize("push", [push_at_once, push_a_stream, push_in_chunks])
async def test_a_process_knows_the_size_of_content_that_it_stored(
    registry: Registry, repository: Repository, other: Repository, push
) -> None:
    await push(repository)
    await damage(registry, CONTENT[:-1])
    assert await other.blobs.stat(DIGEST)
    with pytest.raises(BlobSizeDamaged) as cut:
        await repository.blobs.stat(DIGEST)
    assert (cut.value.size, cut.value.stored) == (len(CONTENT), len(CONTENT) - 1)
    assert await repository.blobs.confirm(DIGEST) is None
    await push(other)
    assert await repository.blobs.confirm(DIGEST)
    assert await other.blobs.confirm(DIGEST)


async def test_an_announced_size_is_a_doubt_until_the_size_is_known(
    repository: Repository, other: Repository
) -> None:
    await repository.blobs.put(CONTENT)
    with pytest.raises(BlobSizeMismatch) as refused:
        await other.blobs.rely_on(DIGEST, 7)
    assert (refused.value.announced, refused.value.stored) == (7, len(CONTENT))
    assert await other.blobs.confirm(DIGEST) is None
    with pytest.raises(BlobUnknown):
        await other.blobs.mount(DIGEST, other.name)
    assert await other.blobs.rely_on(DIGEST, len(CONTENT))
    assert await other.blobs.stat(DIGEST)  # readers are not concerned
    assert await other.blobs.get(DIGEST) == CONTENT
    assert await other.blobs.confirm(DIGEST)


async def test_only_the_digest_of_no_bytes_may_be_empty(registry: Registry, repository: Repository) -> None:
    fresh = Registry(registry.driver).repository(repository.name)
    await repository.blobs.put(b"")
    assert (await fresh.blobs.stat(NONE)).size == 0
    await registry.driver.put(registry.blobs.path(NONE), b"!")
    assert await fresh.blobs.confirm(NONE) is None
    await repository.blobs.put(CONTENT)
    await damage(registry, b"")
    for digest in (NONE, DIGEST):
        with pytest.raises(BlobDamaged):
            await fresh.blobs.stat(digest)
        with pytest.raises(BlobDamaged):
            async with fresh.blobs.open(digest, offset=2):
                pass


async def test_nothing_is_told_of_content_without_a_link(registry: Registry, repository: Repository) -> None:
    await registry.repository("another").blobs.put(CONTENT)
    await damage(registry, b"")
    for offset in (0, 3):
        with pytest.raises(BlobUnknown):
            async with repository.blobs.open(DIGEST, offset=offset):
                pass
    with pytest.raises(BlobUnknown):
        await repository.blobs.stat(DIGEST)


async def test_an_offset_outside_of_sound_content_stays_the_caller_s_fault(repository: Repository) -> None:
    await repository.blobs.put(CONTENT)
    with pytest.raises(InvalidOffset):
        async with repository.blobs.open(DIGEST, offset=len(CONTENT) + 1):
            pass
