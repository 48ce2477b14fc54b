"""The end of an upload beside other writers, and with a store that fails to clean up."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import get_ident

import pytest

from revstore_async import Digest, Registry, RepositoryName, open_driver
from revstore_async.driver import Capabilities, DriverWrapper
from revstore_async.errors import (
    DigestMismatch,
    RecordOfNewerEngine,
    RevstoreError,
    Unavailable,
    UploadBusy,
    UploadClaimed,
    UploadOffsetMismatch,
    UploadUnknown,
)
from revstore_async.uploads.state import Segment, State, UploadStates
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import Fault, FaultsDriver, LatencyDriver, Rule, Script
from tests.parts.uploads import holds, left_of_uploads

FAR, NEVER = datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


class AnyVersion(DriverWrapper):
    """A store that can't delete one version only, as S3 servers."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, conditional_delete=False)

    async def delete(self, key, *, condition=None, until=None) -> None:
        assert condition is None
        await self.inner.delete(key)


class Replaying(DriverWrapper):
    """A store behind a proxy that sends one conditional write twice, and tells the second answer."""

    armed = False

    async def put(self, key, content, *, condition=None):
        if self.armed and condition is not None:
            self.armed = False
            await self.inner.put(key, content, condition=condition)
        return await self.inner.put(key, content, condition=condition)


@pytest.fixture
async def in_memory() -> AsyncIterator[Registry]:
    async with open_driver("memory:") as driver:
        yield Registry(driver)


# ---- all the content at once, where versions can't be deleted


@pytest.mark.parametrize("able", [True, False], ids=["one version", "any version"])
async def test_bytes_that_were_acknowledged_outlive_a_finish_with_all_the_content(able: bool) -> None:
    both = 0
    for seed in range(60):
        chance = random.Random(seed)
        driver = LatencyDriver(MemoryDriver(), partial(chance.uniform, 0, 0.004))
        async with Registry(driver if able else AnyVersion(driver)) as registry:
            uploads = registry.repository("hello").uploads
            upload = await uploads.start()
            appended, _ = await asyncio.gather(
                uploads.append(upload.id, b"other bytes", offset=0),
                uploads.finish(upload.id, Digest.of(b"abc"), b"abc"),
                return_exceptions=True,
            )
            if isinstance(appended, BaseException):
                assert isinstance(appended, UploadUnknown | UploadBusy | UploadOffsetMismatch)
                continue
            both += 1
            assert (await uploads.status(upload.id)).offset == len(b"other bytes")
    assert both


async def test_a_finished_upload_is_gone_for_everybody_and_a_purge_takes_its_mark() -> None:
    async with Registry(AnyVersion(MemoryDriver())) as registry:
        repository = registry.repository("hello")
        upload = await repository.uploads.start()
        stored = await repository.uploads.finish(upload.id, Digest.of(b"abc"), b"abc")
        for call in (repository.uploads.status(upload.id), repository.uploads.append(upload.id, b"more")):
            with pytest.raises(UploadUnknown):
                await call
        assert await repository.uploads.finish(upload.id, Digest.of(b"abc"), b"abc") == stored
        folder = registry.layout.uploads_under_way
        assert len((await registry.driver.list_all(folder)).entries) == 1
        assert await registry.purge_uploads(timedelta(hours=1)) == 0
        assert len((await registry.driver.list_all(folder)).entries) == 1
        assert await registry.purge_uploads(timedelta(0)) == 0, "nobody gave it up"
        assert not (await registry.driver.list_all(folder)).entries


# ---- repeated


async def test_a_repeated_finish_from_the_first_byte_is_compared_with_the_digest(in_memory: Registry) -> None:
    repository = in_memory.repository("hello")
    upload = await repository.uploads.start()
    digest = (await repository.uploads.finish(upload.id, Digest.of(b"abc"), b"abc", offset=0)).digest
    assert (await repository.uploads.finish(upload.id, digest, b"abc", offset=0)).digest == digest
    with pytest.raises(DigestMismatch):
        await repository.uploads.finish(upload.id, digest, b"other", offset=0)
    await repository.uploads.finish(upload.id, digest, b"c")  # it may be the end of it
    for bad in ("nonsense", "00000000-0000-1000-8000-000000000000"):
        with pytest.raises(UploadUnknown):
            await repository.uploads.finish(bad, digest)


async def test_a_finish_that_broke_off_says_with_which_digest_the_upload_ends() -> None:
    driver = FaultsDriver(MemoryDriver(), Script(Rule("compose", Fault.BEFORE)))
    async with Registry(driver) as registry:
        repository = registry.repository("hello")
        upload = await repository.uploads.start()
        await repository.uploads.append(upload.id, b"abc")
        digest = Digest.of(b"abcdef")
        with pytest.raises(Unavailable):
            await repository.uploads.finish(upload.id, digest, b"def")
        with pytest.raises(UploadClaimed) as claimed:
            await repository.uploads.append(upload.id, b"x")
        assert (claimed.value.digest, claimed.value.retryable) == (digest, False)
        with pytest.raises(DigestMismatch):
            await repository.uploads.finish(upload.id, Digest.of(b"abc"))
        await repository.uploads.finish(upload.id, digest)
        assert await holds(repository, b"abcdef")


# ---- sent twice


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("call", ["append", "finish"])
async def test_a_swap_that_loses_to_itself_keeps_its_segments(call: str, large: bool) -> None:
    """The driver may give any answer: the state names the segment of no other call."""
    replaying = Replaying(MemoryDriver())
    content = bytes(replaying.capabilities.part_size + 1) if large else b"second"
    whole = Digest.of(b"first" + content)
    async with Registry(replaying) as registry:
        repository = registry.repository("hello")
        upload = await repository.uploads.start()
        await repository.uploads.append(upload.id, b"first")
        replaying.armed = True
        if call == "append":
            after = await repository.uploads.append(upload.id, content, offset=5)
            assert after.offset == 5 + len(content)
            assert await repository.uploads.status(upload.id) == after
            await repository.uploads.finish(upload.id, whole)
        else:
            await repository.uploads.finish(upload.id, whole, content, offset=5)
        assert not replaying.armed
        assert await holds(repository, b"first" + content)
        assert await left_of_uploads(registry) == []


async def test_a_finish_that_lost_to_itself_and_then_failed_can_be_repeated() -> None:
    faults = FaultsDriver(MemoryDriver(), Script(Rule("compose", Fault.BEFORE, nth=2)))
    replaying = Replaying(faults)
    async with Registry(replaying) as registry:
        repository = registry.repository("hello")
        upload = await repository.uploads.start()
        await repository.uploads.append(upload.id, b"first")
        replaying.armed = True
        with pytest.raises(Unavailable):
            await repository.uploads.finish(upload.id, Digest.of(b"firstsecond"), b"second")
        await repository.uploads.finish(upload.id, Digest.of(b"firstsecond"))
        assert await holds(repository, b"firstsecond")


# ---- joined by another


@pytest.mark.parametrize(
    ("meanwhile", "offset", "told"),
    [("append", 16, UploadOffsetMismatch), ("append", None, UploadBusy), ("cancel", 16, UploadUnknown)],
)
async def test_a_call_that_would_join_segments_that_another_joined_or_cancelled_hears_so(
    in_memory: Registry, meanwhile: str, offset: int | None, told: type[RevstoreError]
) -> None:
    uploads = in_memory.repository("hello").uploads
    upload = await uploads.start()
    for _ in range(16):
        await uploads.append(upload.id, b"x")
    read, go = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        read.set()
        await go.wait()
        yield b"y"

    late = asyncio.create_task(uploads.append(upload.id, slow(), offset=offset))
    await read.wait()
    for _ in range(5):
        await asyncio.sleep(0)  # the state is read beside the content
    await (uploads.cancel(upload.id) if meanwhile == "cancel" else uploads.append(upload.id, b"y"))
    go.set()
    with pytest.raises(told):
        await late
    if meanwhile == "append":
        assert (await uploads.status(upload.id)).offset == 17
        await uploads.cancel(upload.id)
    assert await left_of_uploads(in_memory) == []


# ---- a clean-up that fails


async def test_a_clean_up_that_fails_changes_no_answer() -> None:
    driver = FaultsDriver(MemoryDriver(), Script(Rule("delete_many", Fault.BEFORE, nth=0)))
    async with Registry(driver) as registry:
        repository = registry.repository("hello")
        upload = await repository.uploads.start()
        await repository.uploads.append(upload.id, b"abc")
        with pytest.raises(UploadOffsetMismatch) as mismatch:
            await repository.uploads.append(upload.id, b"def", offset=0)
        assert mismatch.value.actual == 3
        await repository.uploads.finish(upload.id, Digest.of(b"abc"))
        assert await holds(repository, b"abc")
        assert await left_of_uploads(registry) != []
        await registry.purge_uploads(timedelta(0))
        assert await left_of_uploads(registry) == []


# ---- purged


async def test_the_state_of_a_newer_engine_is_not_purged(in_memory: Registry) -> None:
    uploads = in_memory.repository("hello").uploads
    upload = await uploads.start()
    await uploads.append(upload.id, b"x")
    (key,) = [key for key in await left_of_uploads(in_memory) if key.endswith("/state")]
    content = (await in_memory.driver.get(key)).content
    await in_memory.driver.put(key, content.replace(b'"version":1', b'"version":2'))
    for call in (uploads.status(upload.id), uploads.append(upload.id, b"y")):
        with pytest.raises(RecordOfNewerEngine):
            await call
    assert not await uploads.purge(upload.id, before=NEVER)
    assert await in_memory.purge_uploads(timedelta(0)) == 0
    await in_memory.driver.put(key, content)
    assert (await uploads.status(upload.id)).offset == 1


@pytest.mark.parametrize("state", [None, b"rubbish", b"{}"])
async def test_an_unreadable_upload_is_purged_by_its_age(in_memory: Registry, state: bytes | None) -> None:
    uploads = in_memory.repository("hello").uploads
    upload = await uploads.start()
    await uploads.append(upload.id, b"x")
    (key,) = [key for key in await left_of_uploads(in_memory) if key.endswith("/state")]
    if state is None:
        await in_memory.driver.delete(key)
    else:
        await in_memory.driver.put(key, state)
    assert not await uploads.purge(upload.id, before=FAR)
    assert await left_of_uploads(in_memory) != []
    assert await uploads.purge(upload.id, before=NEVER)
    assert await left_of_uploads(in_memory) == []


def test_a_state_reads_as_it_was_encoded() -> None:
    state = State(FAR, "sha256", digest=Digest.of(b"x"), digest_state=b"\x00\xff", hashed=3, over=True)
    assert State.decode(state.encode()) == state


async def test_a_large_state_is_read_and_written_off_the_loop(
    in_memory: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = State(FAR, "sha256", tuple(Segment("0" * 16, 1 << 20) for _ in range(500)))
    threads: list[int] = []
    encode, decode = State.encode, State.decode

    def encoding(state: State) -> bytes:
        threads.append(get_ident())
        return encode(state)

    def decoding(content: bytes) -> State:
        threads.append(get_ident())
        return decode(content)

    monkeypatch.setattr(State, "encode", encoding)
    monkeypatch.setattr(State, "decode", staticmethod(decoding))
    states = UploadStates(RepositoryName("hello"), in_memory.driver, in_memory.layout)
    seen = await states.swap(await states.create(large), large)
    assert seen is not None
    assert (await states.read(seen.id)).state == large
    assert len(threads) == 3
    assert get_ident() not in threads
