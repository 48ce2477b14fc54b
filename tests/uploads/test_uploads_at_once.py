"""Uploads that several calls work on at once, that break off, or are cancelled midway: acknowledged bytes stay."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revstore_async import Digest, Driver, Registry, Repository
from revstore_async.driver import Capabilities, DriverWrapper
from revstore_async.errors import (
    Conflict,
    DigestMismatch,
    RevstoreError,
    Unsupported,
    UploadBusy,
    UploadClaimed,
    UploadOffsetMismatch,
    UploadUnknown,
)
from revstore_async.uploads.state import State
from revstore_drivers.filesystem import FilesystemDriver
from revstore_drivers.memory import MemoryDriver
from tests.parts.suite import pattern
from tests.parts.uploads import (
    BrokenOff,
    SmallParts,
    content_of,
    holds,
    left_of_uploads,
    pieces,
    pieces_until,
    replica_of,
)


async def named_segments(registry: Registry) -> int:
    """How many segments the state of the only upload names; fails where others are left."""
    keys = await left_of_uploads(registry)
    (state,) = [key for key in keys if key.endswith("/state")]
    named = State.decode((await registry.driver.get(state)).content).segments
    assert {key.rpartition("/")[2] for key in keys} == {"state", *(segment.name for segment in named)}
    return len(named)


# ---- at once


@pytest.mark.parametrize("told", [True, False], ids=["offset given", "no offset"])
@pytest.mark.parametrize("large", [False, True])
async def test_of_writers_at_one_offset_one_wins_and_nothing_of_it_is_lost(
    registry: Registry, repository: Repository, driver: Driver, store_url: str, told: bool, large: bool
) -> None:
    size = driver.capabilities.part_size + 1 if large else 100
    async with Registry(replica_of(driver, store_url)) as other:
        replicas = [repository, other.repository(repository.name)] * (1 if large else 3)
        upload = await repository.uploads.start()
        await repository.uploads.append(upload.id, b"before")
        contents = [bytes([number]) * size for number, _ in enumerate(replicas)]
        outcomes = await asyncio.gather(
            *(
                replica.uploads.append(upload.id, pieces(content), offset=6 if told else None)
                for replica, content in zip(replicas, contents, strict=True)
            ),
            return_exceptions=True,
        )
        won = [number for number, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException)]
        for outcome in outcomes:
            if isinstance(outcome, UploadOffsetMismatch):
                assert (outcome.offset, outcome.actual) == (6, 6 + size)
            elif isinstance(outcome, BaseException):
                assert isinstance(outcome, UploadBusy)
                assert outcome.retryable
                assert not told
        if told:
            assert len(won) == 1
            whole = b"before" + contents[won[0]]
            await repository.uploads.finish(upload.id, Digest.of(whole), offset=len(whole))
            assert await holds(repository, whole)
            assert await left_of_uploads(registry) == []
        else:  # without an offset, one may come after another
            assert won
            assert (await repository.uploads.status(upload.id)).offset == 6 + size * len(won)
            await named_segments(registry)


@pytest.mark.parametrize("ends", [b"", b"the end"])
@pytest.mark.parametrize("before", [b"", b"before"])
async def test_finishing_twice_at_once(
    registry: Registry, repository: Repository, driver: Driver, store_url: str, before: bytes, ends: bytes
) -> None:
    whole = before + ends
    async with Registry(replica_of(driver, store_url)) as other:
        for _ in range(5):
            upload = await repository.uploads.start()
            await repository.uploads.append(upload.id, before)
            outcomes = await asyncio.gather(
                *(
                    each.uploads.finish(upload.id, Digest.of(whole), ends)
                    for each in (repository, other.repository(repository.name), repository)
                ),
                return_exceptions=True,
            )
            assert [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    assert isinstance(outcome, UploadBusy | UploadUnknown)
            assert await holds(repository, whole)
            assert await left_of_uploads(registry) == []
            await repository.blobs.delete(Digest.of(whole))


@pytest.mark.parametrize("other", ["append", "cancel", "finish as another"])
def test_finishing_while_others_do_something_else(other: str) -> None:
    """At every distance between the two."""

    async def one_distance(steps: int) -> None:
        async with Registry(MemoryDriver()) as registry:
            repository = registry.repository("hello")
            uploads = repository.uploads
            upload = await uploads.start()
            await uploads.append(upload.id, b"before")
            calls = {
                "append": lambda: uploads.append(upload.id, b" and more"),
                "cancel": lambda: uploads.cancel(upload.id),
                "finish as another": lambda: uploads.finish(upload.id, Digest.of(b"before", "sha512")),
            }

            async def late() -> object:
                for _ in range(steps):
                    await asyncio.sleep(0)
                return await calls[other]()

            finished, did = await asyncio.gather(
                uploads.finish(upload.id, Digest.of(b"before")), late(), return_exceptions=True
            )
            failed = [outcome for outcome in (finished, did) if isinstance(outcome, BaseException)]
            assert all(isinstance(outcome, RevstoreError) for outcome in failed), failed
            if finished not in failed:
                assert await repository.blobs.exists(Digest.of(b"before"))
            if other != "cancel":
                assert len(failed) == 1, "one wins, and the other hears so"
                assert isinstance(
                    failed[0],
                    UploadClaimed | UploadUnknown | UploadOffsetMismatch | DigestMismatch | UploadBusy,
                )
            if other == "append" and did not in failed:
                assert (await uploads.status(upload.id)).offset == len(b"before and more")
                await uploads.finish(upload.id, Digest.of(b"before and more"))
            assert await left_of_uploads(registry) == []

    for steps in range(25):
        asyncio.run(one_distance(steps))


async def test_bytes_that_are_added_while_all_the_content_comes_otherwise_stay(registry: Registry) -> None:
    uploads = registry.repository("hello").uploads
    upload = await uploads.start()

    async def meanwhile() -> AsyncIterator[bytes]:
        yield pattern(registry.driver.capabilities.part_size + 1)
        await uploads.append(upload.id, b"more")

    content = pattern(registry.driver.capabilities.part_size + 1)
    await uploads.finish(upload.id, Digest.of(content), meanwhile())
    assert (await uploads.status(upload.id)).offset == 4


# ---- breaking off


@pytest.mark.parametrize("large", [False, True])
async def test_bytes_from_before_the_source_broke_off_are_kept(
    registry: Registry, repository: Repository, large: bool
) -> None:
    part = registry.driver.capabilities.part_size
    first, second, third = content_of(10, part + 100_000 if large else 1000, 5)
    upload = await repository.uploads.start()
    await repository.uploads.append(upload.id, first)
    with pytest.raises(BrokenOff):
        await repository.uploads.append(
            upload.id, pieces(second, then=BrokenOff()), offset=10, length=len(second) + 1000
        )
    assert (await repository.uploads.status(upload.id)).offset == 10 + len(second)
    with pytest.raises(BrokenOff):  # of an end, nothing is kept: the sender's digest is of all of it
        await repository.uploads.finish(
            upload.id, Digest.of(first + second + third), pieces(third, then=BrokenOff())
        )
    assert (await repository.uploads.status(upload.id)).offset == 10 + len(second)
    assert await named_segments(registry) == 2
    await repository.uploads.finish(upload.id, Digest.of(first + second + third), third)
    assert await holds(repository, first + second + third)
    assert await left_of_uploads(registry) == []


async def test_a_source_that_breaks_off_at_once_keeps_the_upload_as_it_was(repository: Repository) -> None:
    upload = await repository.uploads.start()
    for call in (
        repository.uploads.append(upload.id, pieces(b"", then=BrokenOff())),
        repository.uploads.finish(upload.id, Digest.of(b""), pieces(b"", then=BrokenOff())),
    ):
        with pytest.raises(BrokenOff):
            await call
    assert await repository.uploads.status(upload.id) == upload
    with pytest.raises(BrokenOff):
        await repository.blobs.put(pieces(b"content", then=BrokenOff()), digest=Digest.of(b"content"))
    assert not await repository.blobs.exists(Digest.of(b"content"))


@pytest.mark.parametrize("large", [False, True])
async def test_bytes_from_before_a_cancellation_are_kept(
    registry: Registry, repository: Repository, large: bool
) -> None:
    part = registry.driver.capabilities.part_size
    first, second, third = content_of(10, part + 100_000 if large else 1000, 5)
    upload = await repository.uploads.start()
    await repository.uploads.append(upload.id, first)
    before = asyncio.all_tasks()
    reached = asyncio.Event()
    task = asyncio.create_task(repository.uploads.append(upload.id, pieces_until(second, reached)))
    await reached.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert asyncio.all_tasks() == before
    assert (await repository.uploads.status(upload.id)).offset == 10 + len(second)
    whole = first + second + third
    await repository.uploads.finish(upload.id, Digest.of(whole), third)
    assert await holds(repository, whole)
    assert await left_of_uploads(registry) == []


@pytest.mark.parametrize("size", [1000, 1 << 21])
@pytest.mark.parametrize("call", ["append", "finish"])
def test_a_call_that_is_cancelled_at_any_step_leaves_the_upload_whole(call: str, size: int) -> None:
    first, second = content_of(10, size)

    async def cancelled_after(steps: int) -> bool:
        async with Registry(MemoryDriver()) as registry:
            repository = registry.repository("hello")
            uploads = repository.uploads
            upload = await uploads.start()
            await uploads.append(upload.id, first)
            before = asyncio.all_tasks()
            work = (
                uploads.append(upload.id, pieces(second), offset=10)
                if call == "append"
                else uploads.finish(upload.id, Digest.of(first + second), pieces(second), offset=10)
            )
            task = asyncio.ensure_future(work)
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert asyncio.all_tasks() == before
            assert not registry.driver.store.unfinished
            try:
                offset = (await uploads.status(upload.id)).offset
            except UploadUnknown:
                assert call == "finish"
                assert await holds(repository, first + second)
            else:
                assert 10 <= offset <= 10 + size
                await named_segments(registry)
                rest = (first + second)[offset:]
                await uploads.finish(upload.id, Digest.of(first + second), rest)
                assert await holds(repository, first + second)
            assert await left_of_uploads(registry) == []
            return task.cancelled()

    was_cancelled = [asyncio.run(cancelled_after(steps)) for steps in range(0, 60, 2 if size > 1000 else 1)]
    assert True in was_cancelled


# ---- any sizes


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 200), max_size=12),
    st.integers(0, 200),
    st.integers(1, 90),
    st.sampled_from(["sha256", "sha512"]),
)
def test_any_split_of_any_content_gives_the_same_blob(
    sizes: list[int], last: int, piece: int, algorithm: str
) -> None:
    *contents, ends = content_of(*sizes, last)
    whole = b"".join([*contents, ends])

    async def sent() -> None:
        async with Registry(SmallParts(MemoryDriver())) as registry:
            repository = registry.repository("hello")
            upload = await repository.uploads.start(algorithm=algorithm)
            for content in contents:
                upload = await repository.uploads.append(
                    upload.id, pieces(content, piece), offset=upload.offset, length=len(content)
                )
            await repository.uploads.finish(upload.id, Digest.of(whole, algorithm), pieces(ends, piece))
            assert await repository.blobs.get(Digest.of(whole, algorithm)) == whole
            assert await left_of_uploads(registry) == []

    asyncio.run(sent())


async def test_however_small_the_pieces_are_the_state_stays_small() -> None:
    content = pattern(600)
    async with Registry(SmallParts(MemoryDriver())) as registry:
        repository = registry.repository("hello")
        upload = await repository.uploads.start()
        for offset in range(len(content)):
            await repository.uploads.append(upload.id, content[offset : offset + 1], offset=offset)
            assert await named_segments(registry) <= offset // 64 + 18
        await repository.uploads.finish(upload.id, Digest.of(content))
        assert await holds(repository, content)


@pytest.mark.parametrize("before", [0, 10])
async def test_memory_is_bounded_for_any_size(tmp_path: Path, before: int) -> None:
    part = 1 << 20
    size, piece = 48 * part, pattern(1 << 18)
    digest = Digest.of(bytes(before) + piece * (size // len(piece)))

    async def generated() -> AsyncIterator[bytes]:
        for _ in range(size // len(piece)):
            yield bytes(piece)

    async with Registry(FilesystemDriver(tmp_path / "store")) as registry:
        repository = registry.repository("hello")
        tracemalloc.start()
        try:
            upload = await repository.uploads.start()
            await repository.uploads.append(upload.id, bytes(before))
            await repository.uploads.append(upload.id, generated())
            await repository.uploads.finish(upload.id, digest)
            if not before:
                upload = await repository.uploads.start()
                await repository.uploads.finish(upload.id, digest, generated())
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert (await repository.blobs.stat(digest)).size == before + size
        assert most < 8 * part


async def test_a_store_without_conditional_writes_takes_no_uploads() -> None:
    class Unconditional(DriverWrapper):
        @property
        def capabilities(self) -> Capabilities:
            return Capabilities(conditional_put=False, conditional_commit=False)

    async with Registry(Unconditional(MemoryDriver())) as registry:
        with pytest.raises(Unsupported):
            await registry.repository("hello").uploads.start()
        await registry.repository("hello").blobs.put(b"content")


def test_busy_is_worth_another_try() -> None:
    assert issubclass(UploadBusy, Conflict)
    assert UploadBusy("id").retryable
