"""Runs of the collector beside other programs, on a store in memory with a virtual clock."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from anyio import to_thread

from revstore_async import Digest, Registry, Repository
from revstore_async.collector import Collected, Retention
from revstore_async.driver import Condition, FileInfo
from revstore_async.formats.names import RepositoryName
from revstore_async.layout import CURRENT, CollectorState, Rescue, StoredObject
from revstore_async.runs.lists import key_hash
from revstore_async.runs.state import Phase, State
from revstore_async.testing import run_on_virtual_clock
from revstore_async.testing.virtual_clock import VirtualClockLoop
from revstore_drivers.memory import MemoryDriver, MemoryStore
from tests.parts.documents import image

SECOND = timedelta(seconds=1)
TIMES = {
    "keep": SECOND,
    "link_within": 2 * SECOND,
    "lease": 5 * SECOND,
    "hold": 60 * SECOND,
    "metadata": SECOND,
}
STATE = CURRENT.key(CollectorState())
NAME = RepositoryName("library/hello")
LAYER = Digest.of(b"goes")
"""The layer of the tag that goes, see `filled`."""

EXPIRING = Retention.parse(
    'history = "0s"\n[[rule]]\ntags = "old*"\nexpire = true\n[[rule]]\nuntagged = true\nexpire = true\n'
)

Act = Callable[[State], Awaitable[None]]


def now() -> datetime:
    """Return the time of the virtual clock."""
    return datetime(2026, 12, 1, tzinfo=UTC) + timedelta(seconds=asyncio.get_running_loop().time())


class StagedDriver(MemoryDriver):
    """A driver in memory that does something when a state of another phase is stored.

    Attributes:
        acts: The calls by phase; each is made once.
        phases: The phases that were stored.
    """

    def __init__(self, store: MemoryStore | None = None) -> None:
        super().__init__(store, clock=now)
        self.acts: dict[Phase, Act] = {}
        self.phases: list[Phase] = []

    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        info = await super().put(key, content, condition=condition)
        if key == STATE:
            state = State.decode(content)
            if not self.phases or self.phases[-1] is not state.phase:
                self.phases.append(state.phase)
            if (act := self.acts.pop(state.phase, None)) is not None:
                await act(state)
        return info

    async def rescue(self, state: State, *objects: StoredObject) -> None:
        """Rescue objects from a run, as a writer does."""
        assert state.run is not None
        for each in objects:
            hashed = key_hash(CURRENT.root, CURRENT.key(each))
            await self.put(CURRENT.key(Rescue(state.run, hashed.hex())), b"")


async def pushed(repository: Repository, text: str, *tags: str, **more: Any) -> Digest:
    """Push an image with one layer of its own."""
    config, layer = b"{}", text.encode()
    for content in (config, layer):
        await repository.blobs.put(content)
    return (await repository.manifests.put(image(config, layer, **more), tags=tags)).digest


async def ready(registry: Registry) -> None:
    """Make a registry ready for runs: all that is in it is older than the lease."""
    await registry.collector.bounds(**TIMES, offline=True)
    await registry.collector.enable()
    await asyncio.sleep(60)


async def collected(registry: Registry, retention: Retention | None = EXPIRING) -> Collected:
    """Run the collector beside other programs."""
    return await registry.collector.run(retention)


_run_sync = to_thread.run_sync


async def _held(*args: Any, **more: Any) -> Any:
    """Run a function in a thread while the virtual clock stands still."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualClockLoop)
    with loop.hold():
        return await _run_sync(*args, **more)


def held_by_threads() -> AbstractContextManager[object]:
    """Let the virtual clock stand still in the block while threads are at work."""
    return patch.object(to_thread, "run_sync", _held)


def on_virtual_clock(
    program: Callable[[StagedDriver, Registry], Coroutine[Any, Any, None]],
) -> Callable[[], None]:
    """Make a test of a program that works on a registry in memory."""

    async def opened() -> None:
        async with StagedDriver() as driver:
            await program(driver, Registry(driver))

    def test() -> None:
        with held_by_threads():
            run_on_virtual_clock(opened())

    test.__name__ = program.__name__
    test.__doc__ = program.__doc__
    return test


class Killed(BaseException):
    """The process is killed."""


class KilledDriver(StagedDriver):
    """A driver that does nothing more after its act."""

    async def _asked(self) -> None:
        await super()._asked()
        if len(self.phases) and not self.acts:
            raise Killed


async def filled(registry: Registry) -> Digest:
    """Fill a registry with a tag that stays and one that goes."""
    await pushed(registry.repository(NAME), "stays", "v1")
    digest = await pushed(registry.repository(NAME), "goes", "old")
    await ready(registry)
    return digest
