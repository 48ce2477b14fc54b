"""Writers that take longer than their window, on a virtual clock: a run comes and goes before their last link."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from revstore_async import CURRENT, Digest, Registry, Repository, RepositoryName
from revstore_async.driver import Condition, DriverWrapper, FileInfo
from revstore_async.errors import RevstoreError, Unavailable
from revstore_async.formats.names import Tag
from revstore_async.layout import BlobData, LayerLink, RevisionLink, StoredObject, TagCurrent
from revstore_async.runs.state import Phase
from revstore_async.testing import run_on_virtual_clock
from revstore_async.testing.virtual_clock import VirtualClockLoop
from revstore_drivers.memory import MemoryDriver
from tests.parts.documents import image
from tests.parts.runs_at_work import RunAtWork

EPOCH = datetime(2026, 12, 1, tzinfo=UTC)
FAR = EPOCH + timedelta(days=9)
NAME, TAG = RepositoryName("library/hello"), Tag("latest")
CONFIG, LAYER, MORE = b"{}", b"a layer", b"another layer"
IMAGE, OTHER = image(CONFIG, LAYER), image(CONFIG, LAYER, LAYER)
SECONDS = 700  # more than a window


class Store:
    """A store on which the first write of one object stands still; the store's clock is the loop's.

    Args:
        slow: The object.
        asleep: Whether the machine sleeps meanwhile, so that the loop's clock stands still, too.
        meanwhile: The work of another process in that time.
    """

    def __init__(
        self,
        slow: StoredObject,
        meanwhile: Callable[[RunAtWork], Awaitable[object]] | None = None,
        *,
        asleep: bool = False,
    ) -> None:
        self.memory = MemoryDriver(clock=self.now)
        self.run = RunAtWork(self.memory, [[BlobData(Digest.of(content)) for content in (LAYER, MORE)]])
        self.states = 0  # how often a writer asked for the state
        self._slow, self._meanwhile, self._asleep = CURRENT.key(slow), meanwhile, asleep
        self.driver = _Slow(self.memory, self)

    def now(self) -> datetime:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualClockLoop)
        return EPOCH + timedelta(seconds=loop.boottime())

    async def before_put(self, key: str) -> None:
        if key != self._slow:
            return
        self._slow = ""
        loop = asyncio.get_running_loop()
        if self._asleep and isinstance(loop, VirtualClockLoop):
            loop.suspend(SECONDS)
        else:
            await asyncio.sleep(SECONDS)
        if self._meanwhile is not None:
            await self._meanwhile(self.run)


class _Slow(DriverWrapper):
    def __init__(self, inner: MemoryDriver, store: Store) -> None:
        super().__init__(inner)
        self._store = store

    async def get(self, key: str, *, limit: int | None = None) -> Any:
        self._store.states += key.endswith("gc/state")
        return await super().get(key, limit=limit)

    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        await self._store.before_put(key)
        return await super().put(key, content, condition=condition)


async def put_layer(repository: Repository) -> object:
    return await repository.blobs.put(MORE)


async def mount(repository: Repository) -> object:
    return await repository.blobs.mount(Digest.of(MORE), "another")


async def push_at_once(repository: Repository) -> object:
    upload = await repository.uploads.start()
    return await repository.uploads.finish(upload.id, Digest.of(MORE), MORE)


async def put_manifest(repository: Repository) -> object:
    return await repository.manifests.put(OTHER)


async def put_tagged(repository: Repository) -> object:
    return await repository.manifests.put(OTHER, tag=TAG)


async def set_tag(repository: Repository) -> object:
    await repository.tags.set(TAG, Digest.of(IMAGE))
    return TAG


LINK = LayerLink(NAME, Digest.of(MORE))
REVISION = RevisionLink(NAME, Digest.of(OTHER))
WRITES: list[tuple[Callable[[Repository], Awaitable[object]], StoredObject]] = [
    (put_layer, LINK),
    (mount, LINK),
    (push_at_once, LINK),
    (put_manifest, REVISION),
    (put_tagged, TagCurrent(NAME, TAG)),
    (set_tag, TagCurrent(NAME, TAG)),
]


async def fill(driver: MemoryDriver) -> None:
    repository = Registry(driver).repository(NAME)
    for content in (CONFIG, LAYER):
        await repository.blobs.put(content)
    await Registry(driver).repository("another").blobs.put(MORE)
    await repository.manifests.put(IMAGE)


async def outcome(store: Store, act: Callable[[Repository], Awaitable[object]]) -> str:
    async with store.driver:
        await fill(store.memory)
        await store.run.enter(Phase.IDLE)
        try:
            await act(Registry(store.driver).repository(NAME))
        except RevstoreError as error:
            return type(error).__name__
        return "done"


async def a_run_comes_and_goes(run: RunAtWork) -> None:
    await run.enter(Phase.SWEEPING, until=FAR)
    await run.enter(Phase.IDLE, n=1)


async def a_run_seals(run: RunAtWork) -> None:
    await run.enter(Phase.SEALED, until=FAR)


async def a_run_condemns(run: RunAtWork) -> None:
    await run.enter(Phase.CONDEMNED, until=FAR)


@pytest.mark.parametrize("asleep", [False, True], ids=["slow", "asleep"])
@pytest.mark.parametrize(("act", "slow"), WRITES, ids=lambda each: getattr(each, "__name__", ""))
@pytest.mark.parametrize(
    ("meanwhile", "expected"),
    [
        (None, "done"),
        (a_run_condemns, "done"),
        (a_run_comes_and_goes, "Unavailable"),
        (a_run_seals, "Unavailable"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_late_write_succeeds_if_no_run_was_sealed(
    act: Callable[[Repository], Awaitable[object]],
    slow: StoredObject,
    meanwhile: Callable[[RunAtWork], Awaitable[object]] | None,
    expected: str,
    asleep: bool,
) -> None:
    store = Store(slow, meanwhile, asleep=asleep)
    assert run_on_virtual_clock(outcome(store, act)) == expected
    assert store.states >= 2  # at the beginning, and once it was late


def test_a_late_write_rescues_what_a_run_has_condemned_since() -> None:
    async def rescued() -> int:
        store = Store(LINK, a_run_condemns)
        assert await outcome(store, put_layer) == "done"
        async with store.driver:
            return len(await store.run.rescued())

    assert run_on_virtual_clock(rescued()) == 1


@pytest.mark.parametrize("act", [put_tagged, set_tag])
def test_a_tag_is_not_switched_when_the_window_is_over_before(
    act: Callable[[Repository], Awaitable[object]],
) -> None:
    """The content may be gone: the writer looks at it anew, and the tag never points at nothing."""

    async def swept(run: RunAtWork) -> None:
        await a_run_comes_and_goes(run)
        for content in (IMAGE, OTHER):
            await run.driver.delete(CURRENT.key(RevisionLink(NAME, Digest.of(content))))

    async def seen() -> tuple[str, bool]:
        index = (
            Registry(MemoryDriver())
            .repository(NAME)
            .tags.changes.written(TAG, Digest.of(IMAGE if act is set_tag else OTHER))[1]
        )
        store = Store(index, swept)
        result = await outcome(store, act)
        async with store.driver:
            tags = Registry(store.memory).repository(NAME).tags
            if await tags.exists(TAG):
                manifests = Registry(store.memory).repository(NAME).manifests
                assert (await manifests.get(TAG)).digest == await tags.resolve(TAG)
                return result, True
            return result, False

    # The put writes its links again; the tag can't be set to a revision that is gone.
    assert run_on_virtual_clock(seen()) == (
        ("done", True) if act is put_tagged else ("ManifestUnknown", False)
    )


def test_an_upload_that_is_late_keeps_its_bytes() -> None:
    """The writer deletes the rest of an upload after it closed the window: the client sends nothing twice."""

    async def finished() -> bytes:
        store = Store(LINK, a_run_comes_and_goes)
        async with store.driver:
            repository = Registry(store.driver).repository(NAME)
            upload = await repository.uploads.start()
            await repository.uploads.append(upload.id, MORE)
            with pytest.raises(Unavailable):
                await repository.uploads.finish(upload.id, Digest.of(MORE))
            await store.memory.delete(CURRENT.key(BlobData(Digest.of(MORE))))  # by the run
            await repository.uploads.finish(upload.id, Digest.of(MORE))
            return await repository.blobs.get(Digest.of(MORE))

    assert run_on_virtual_clock(finished()) == MORE
