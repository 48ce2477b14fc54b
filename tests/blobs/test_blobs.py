"""Content under its digest, and the links to it."""

from collections.abc import AsyncIterator

import pytest

from revstore_async import Digest, Driver, Registry
from revstore_async.errors import (
    BlobDamaged,
    BlobUnknown,
    DigestMismatch,
    InvalidArgument,
    InvalidDigest,
    InvalidOffset,
    KeyNotFound,
    LinkDamaged,
    LinkDangling,
    ObjectTooLarge,
)

LARGE = bytes(range(256)) * 4096  # 1 MiB: hashed in a thread, read in many pieces


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


@pytest.mark.parametrize("content", [b"", b"content", LARGE], ids=["empty", "small", "large"])
async def test_content_comes_out_as_it_went_in(registry: Registry, content: bytes) -> None:
    descriptor = await registry.blobs.put(content)
    assert descriptor.digest == Digest.of(content)
    assert descriptor.size == len(content)
    assert await registry.blobs.get(descriptor.digest) == content
    assert await registry.blobs.exists(descriptor.digest)
    assert await registry.blobs.stat(descriptor.digest) == descriptor
    async with registry.blobs.open(descriptor.digest) as reader:
        assert b"".join([piece async for piece in reader]) == content


async def test_any_bytes_will_do(registry: Registry) -> None:
    for content in (bytearray(b"content"), memoryview(b"content")):
        assert (await registry.blobs.put(content)).digest == Digest.of(b"content")
    assert await registry.blobs.get(Digest.of(b"content")) == b"content"


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
async def test_content_is_kept_under_the_digest_that_was_asked_for(
    registry: Registry, algorithm: str
) -> None:
    digest = Digest.of(b"content", algorithm)
    assert (await registry.blobs.put(b"content", digest=digest)).digest == digest
    assert await registry.blobs.get(digest) == b"content"
    assert registry.blobs.path(digest) == (
        f"docker/registry/v2/blobs/{algorithm}/{digest.hex[:2]}/{digest.hex}/data"
    )


async def test_a_stream_is_stored_under_the_digest_its_caller_names(registry: Registry) -> None:
    digest = Digest.of(LARGE + b"end")
    descriptor = await registry.blobs.put(pieces(LARGE, b"", b"end"), digest=digest)
    assert descriptor.size == len(LARGE) + 3
    assert await registry.blobs.get(digest) == LARGE + b"end"


async def test_a_stream_of_other_content_leaves_nothing(registry: Registry, driver: Driver) -> None:
    with pytest.raises(DigestMismatch):
        await registry.blobs.put(pieces(b"other"), digest=Digest.of(b"content"))
    with pytest.raises(InvalidArgument, match="digest"):
        await registry.blobs.put(pieces(b"content"))
    assert (await driver.list_all()).entries == ()


async def test_other_bytes_than_the_digest_says_are_refused(registry: Registry, driver: Driver) -> None:
    with pytest.raises(DigestMismatch) as refused:
        await registry.blobs.put(b"other", digest=Digest.of(b"content"))
    assert (refused.value.expected, refused.value.actual) == (Digest.of(b"content"), Digest.of(b"other"))
    assert (await driver.list_all()).entries == ()


async def test_ranges(registry: Registry) -> None:
    digest = (await registry.blobs.put(b"0123456789")).digest
    for offset, length, expected in [
        (0, None, b"0123456789"),
        (3, 4, b"3456"),
        (8, 9, b"89"),
        (10, None, b""),
    ]:
        async with registry.blobs.open(digest, offset=offset, length=length) as reader:
            assert b"".join([piece async for piece in reader]) == expected
    with pytest.raises(InvalidOffset):
        async with registry.blobs.open(digest, offset=11):
            pass


async def test_missing_content_is_unknown(registry: Registry) -> None:
    digest = Digest.of(b"absent")
    assert not await registry.blobs.exists(digest)
    for call in (registry.blobs.get, registry.blobs.stat):
        with pytest.raises(BlobUnknown) as unknown:
            await call(digest)
        assert unknown.value.digest == digest
    with pytest.raises(BlobUnknown):
        async with registry.blobs.open(digest):
            pass


async def test_an_error_inside_the_block_is_not_mistaken_for_the_stores_own(registry: Registry) -> None:
    digest = (await registry.blobs.put(b"content")).digest
    with pytest.raises(KeyNotFound):
        async with registry.blobs.open(digest):
            raise KeyNotFound("of the caller's own")


@pytest.mark.parametrize("damage", [b"", b"contenT", b"content and more", b"cont"])
async def test_damaged_content_is_an_error_never_content(
    registry: Registry, driver: Driver, damage: bytes
) -> None:
    digest = (await registry.blobs.put(b"content")).digest
    await driver.put(registry.blobs.path(digest), damage)
    with pytest.raises(BlobDamaged) as damaged:
        await registry.blobs.get(digest)
    assert (damaged.value.digest, damaged.value.actual) == (digest, Digest.of(damage))
    read = []
    with pytest.raises(BlobDamaged):
        read.extend(await whole(registry, digest))
    assert read == []

    await registry.blobs.put(b"content")
    assert await registry.blobs.get(digest) == b"content"


async def whole(registry: Registry, digest: Digest) -> list[bytes]:
    async with registry.blobs.open(digest) as reader:
        return [piece async for piece in reader]


async def test_a_damaged_stream_holds_back_its_last_piece(registry: Registry, driver: Driver) -> None:
    digest = (await registry.blobs.put(LARGE)).digest
    await driver.put(registry.blobs.path(digest), LARGE[:-1] + b"?")
    read = bytearray()

    async def read_on() -> None:
        async with registry.blobs.open(digest) as reader:
            async for piece in reader:
                read.extend(piece)

    with pytest.raises(BlobDamaged):
        await read_on()
    assert len(read) < len(LARGE)


async def test_without_verification_the_store_s_bytes_come_as_they_are(
    registry: Registry, driver: Driver
) -> None:
    hello = registry.repository("library/hello").blobs
    digest = (await hello.put(b"content")).digest
    await driver.put(registry.blobs.path(digest), b"contenT")
    for blobs in (registry.blobs, hello):
        async with blobs.open(digest, verify=False) as reader:
            assert [piece async for piece in reader] == [b"contenT"]


async def test_a_limit_bounds_the_bytes_in_memory(registry: Registry) -> None:
    digest = (await registry.blobs.put(b"content")).digest
    assert await registry.blobs.get(digest, limit=7) == b"content"
    with pytest.raises(ObjectTooLarge):
        await registry.blobs.get(digest, limit=6)


async def test_a_tarsum_is_a_name_but_nothing_can_be_verified_against_it(registry: Registry) -> None:
    digest = Digest("tarsum.v1+sha256:" + "0" * 64)
    with pytest.raises(InvalidDigest):
        await registry.blobs.put(b"content", digest=digest)
    assert not await registry.blobs.exists(digest)
    await registry.driver.put(registry.blobs.path(digest), b"an old layer")
    assert await registry.blobs.get(digest) == b"an old layer"
    assert b"".join(await whole(registry, digest)) == b"an old layer"


async def test_links(registry: Registry, driver: Driver) -> None:
    digest = (await registry.blobs.put(b"content")).digest
    assert not await registry.blobs.linked("a/link")
    with pytest.raises(KeyNotFound):
        await registry.blobs.readlink("a/link")
    await registry.blobs.link("a/link", digest)
    assert await registry.blobs.linked("a/link")
    assert await registry.blobs.readlink("a/link") == digest
    assert (await registry.blobs.resolve("a/link")).size == len(b"content")
    assert (await driver.get("a/link")).content == digest.encode()


@pytest.mark.parametrize(
    "garbage",
    [b"", b"garbage", b"\xff\xfe", Digest.of(b"").encode() + b"\n", b"sha256:" + b"A" * 64, b"x" * 10_000],
    ids=["empty", "text", "binary", "newline", "upper case", "long"],
)
async def test_a_link_of_garbage_is_named_and_a_later_write_heals_it(
    registry: Registry, driver: Driver, garbage: bytes
) -> None:
    digest = (await registry.blobs.put(b"content")).digest
    await driver.put("a/link", garbage)
    for call in (registry.blobs.readlink, registry.blobs.resolve):
        with pytest.raises(LinkDamaged) as damaged:
            await call("a/link")
        assert damaged.value.key == "a/link"
    await registry.blobs.link("a/link", digest)
    assert await registry.blobs.readlink("a/link") == digest


async def test_a_link_to_nothing_names_link_and_digest(registry: Registry) -> None:
    digest = Digest.of(b"content")
    await registry.blobs.link("a/link", digest)
    with pytest.raises(LinkDangling) as dangling:
        await registry.blobs.resolve("a/link")
    assert (dangling.value.key, dangling.value.digest) == ("a/link", digest)
    await registry.blobs.put(b"content")
    assert (await registry.blobs.resolve("a/link")).digest == digest
