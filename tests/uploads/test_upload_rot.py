"""Content that rots between two requests: bytes that a store changed never become a blob."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from revstore_async import Digest, Driver, Registry, Repository, open_driver
from revstore_async.driver import DriverWrapper, File
from revstore_async.errors import Damaged, UploadDamaged
from revstore_async.uploads.state import Segment, State
from revstore_drivers.filesystem import FilesystemDriver
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.s3 import S3Driver
from tests.parts.minio import MinIO
from tests.parts.suite import pattern
from tests.parts.uploads import content_of, holds, left_of_uploads

Flip = Callable[[str], None]


@pytest.fixture
def flip(driver: Driver, request: pytest.FixtureRequest) -> Flip:
    """Change one bit of the object under a key, past the driver."""
    if isinstance(driver, MemoryDriver):
        objects = driver.store.objects

        def in_memory(key: str) -> None:
            objects[key] = File(objects[key].info, _flipped(objects[key].content))

        return in_memory
    if isinstance(driver, FilesystemDriver):

        def on_disk(key: str) -> None:
            path = Path(driver.root) / key
            before = path.stat()
            with path.open("r+b") as file:
                content = file.read()
                file.seek(0)
                file.write(_flipped(content))
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # a disk that rots changes no times

        return on_disk
    assert isinstance(driver, S3Driver)
    server: MinIO = request.getfixturevalue("minio")
    raw, options = server.raw(), driver.options

    def in_bucket(key: str) -> None:
        name = f"{options.prefix}/{key}" if options.prefix else key
        content = raw.get_object(Bucket=options.bucket, Key=name)["Body"].read()
        raw.put_object(Bucket=options.bucket, Key=name, Body=_flipped(content))

    return in_bucket


def _flipped(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


async def segments_of(registry: Registry) -> list[str]:
    return [key for key in await left_of_uploads(registry) if "/segments/" in key]


@pytest.fixture(params=["one small", "one large", "small and large", "two large"])
def sizes(request: pytest.FixtureRequest, driver: Driver) -> list[int]:
    part = driver.capabilities.part_size
    kinds = {
        "one small": [100],
        "one large": [part + 1],
        "small and large": [10, part + 5, 20],
        "two large": [part, part + 7],
    }
    return kinds[request.param]


@pytest.mark.parametrize("healthy", [True, False], ids=["a healthy blob is there", "no blob is there"])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_a_bit_that_flips_before_the_end_neither_becomes_a_blob_nor_replaces_one(
    registry: Registry, flip: Flip, sizes: list[int], healthy: bool, algorithm: str
) -> None:
    if algorithm == "sha512" and sizes[0] != 100:
        pytest.skip("one is enough of a digest that is not tracked")
    contents = content_of(*sizes)
    whole = b"".join(contents)
    digest = Digest.of(whole, algorithm)
    here, elsewhere = registry.repository("here"), registry.repository("elsewhere")
    if healthy:
        await elsewhere.blobs.put(whole, digest=digest)
    upload = await here.uploads.start(algorithm=algorithm)
    for content in contents:
        upload = await here.uploads.append(upload.id, content)
    flip((await segments_of(registry))[0])

    if healthy and registry.driver.capabilities.conditional_copy:
        # The bytes that rot are not needed: the blob is linked as it is.
        await here.uploads.finish(upload.id, digest)
        assert await holds(here, whole, algorithm)
    else:
        for _ in range(2):
            with pytest.raises(UploadDamaged) as damaged:
                await here.uploads.finish(upload.id, digest)
            assert damaged.value.id == upload.id
        assert not await here.blobs.exists(digest)
        await registry.purge_uploads(timedelta(0))
    if healthy:
        assert await holds(elsewhere, whole, algorithm)
    else:
        assert not await registry.blobs.exists(digest)
    again = await here.uploads.start()
    await here.uploads.append(again.id, whole)
    await here.uploads.finish(again.id, digest)
    assert await holds(here, whole, algorithm)


async def test_a_bit_that_flips_before_small_pieces_are_joined_is_told(
    registry: Registry, repository: Repository, flip: Flip
) -> None:
    upload = await repository.uploads.start()
    for _ in range(16):
        upload = await repository.uploads.append(upload.id, b"four")
    flip((await segments_of(registry))[5])
    digest = Digest.of(b"four" * 17)
    with pytest.raises(Damaged):
        await repository.uploads.append(upload.id, b"four")  # by which they are joined to one
        await repository.uploads.finish(upload.id, digest)
    assert not await registry.blobs.exists(digest)


async def test_a_finish_of_bytes_that_are_not_hashed_leaves_a_blob_of_the_right_size(
    registry: Registry, repository: Repository, flip: Flip
) -> None:
    """Elsewhere they are hashed, so that a push heals even damage that no size shows."""
    content = pattern(1000)
    digest = Digest.of(content)
    await repository.blobs.put(content)
    before = await registry.driver.stat(registry.blobs.path(digest))
    flip(before.key)
    rotten = await registry.driver.stat(before.key)
    upload = await repository.uploads.start()
    await repository.uploads.append(upload.id, content[:10])
    await repository.uploads.finish(upload.id, digest, content[10:])
    after = await registry.driver.stat(before.key)
    if registry.driver.capabilities.conditional_copy:
        assert after.etag == rotten.etag
    else:
        assert await holds(repository, content)


async def test_a_blob_of_another_size_is_healed_by_the_end_of_an_upload(
    registry: Registry, repository: Repository
) -> None:
    content = pattern(1000)
    digest = Digest.of(content)
    await registry.driver.put(registry.blobs.path(digest), content[:10])
    upload = await repository.uploads.start()
    await repository.uploads.append(upload.id, content)
    await repository.uploads.finish(upload.id, digest)
    assert await holds(repository, content)


# ---- what older engines wrote


class BeforeEtags(DriverWrapper):
    """An older engine's hand: its states know no etags."""

    async def put(self, key, content, *, condition=None):
        if key.endswith("/state"):
            content = content.replace(b'"etags":', b'"unread":')
        return await self.inner.put(key, content, condition=condition)


async def test_an_upload_of_an_older_engine_is_compared_with_its_digest(
    store_url: str, driver: Driver, flip: Flip
) -> None:
    old, registry = Registry(BeforeEtags(driver)), Registry(driver)
    repository, content = registry.repository("hello"), pattern(100)
    for rotten in (False, True):
        upload = await old.repository("hello").uploads.start()
        await old.repository("hello").uploads.append(upload.id, content)
        if rotten:
            flip((await segments_of(registry))[0])
            await repository.blobs.delete(Digest.of(content))
            await driver.delete(registry.blobs.path(Digest.of(content)))
            with pytest.raises(UploadDamaged):
                await repository.uploads.finish(upload.id, Digest.of(content))
            assert not await registry.blobs.exists(Digest.of(content))
        else:
            await repository.uploads.finish(upload.id, Digest.of(content))
            assert await holds(repository, content)


def test_a_state_keeps_the_size_and_etag_of_each_segment() -> None:
    state = State(datetime(2000, 1, 1, tzinfo=UTC), "sha256", (Segment("a", 1, "x"), Segment("b", 2)))
    assert State.decode(state.encode()) == state
    without = state.encode().replace(b'"etags":["x",null],', b"")
    unknown = replace(state, segments=(Segment("a", 1), Segment("b", 2)))
    assert State.decode(without) == unknown
    with pytest.raises(ValueError, match="zip"):
        State.decode(state.encode().replace(b'["x",null]', b'["x"]'))


# ---- bytes in the hands of others


@pytest.fixture
async def in_memory() -> AsyncIterator[Registry]:
    async with open_driver("memory:") as driver:
        yield Registry(driver)


async def test_a_buffer_that_changes_while_it_is_hashed_is_stored_as_it_was(in_memory: Registry) -> None:
    buffer = bytearray(1 << 20)
    digest = Digest.of(bytes(buffer))
    task = asyncio.create_task(in_memory.blobs.put(buffer, digest=digest))
    await asyncio.sleep(0)  # a thread hashes it
    buffer[:] = b"\xff" * len(buffer)
    assert (await task).digest == digest
    assert await in_memory.blobs.get(digest) == bytes(1 << 20)
