"""A gate on a store in memory with a virtual clock, and the answers that writers get from it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from revstore_async import CURRENT, Digest
from revstore_async.blobs.gate import Gate
from revstore_async.errors import (
    RevstoreError,
)
from revstore_async.layout import BlobData
from revstore_async.runs.state import Bounds
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import LatencyDriver, TracingDriver
from tests.parts.runs_at_work import RunAtWork, hash_of

EPOCH = datetime(2026, 12, 1, tzinfo=UTC)
FAR = EPOCH + timedelta(days=9)
LISTED, OTHER = (BlobData(Digest.of(content)) for content in (b"listed", b"other"))
SECOND = timedelta(seconds=1)
BOUNDS = Bounds(keep=60 * SECOND, link_within=600 * SECOND)


def run(coroutine: Any) -> Any:
    return run_on_virtual_clock(coroutine)


class Store:
    """A store on the loop's clock, and a gate on it."""

    def __init__(self, latency: float = 0.0) -> None:
        self.ahead = 0.0  # of the store's clock
        memory = MemoryDriver(clock=self.now)
        self.driver = TracingDriver(LatencyDriver(memory, latency))
        self.work = RunAtWork(memory, [[LISTED]], BOUNDS)
        self.gate = Gate(self.driver, CURRENT)

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=asyncio.get_running_loop().time() + self.ahead)

    async def __aenter__(self) -> Self:
        await self.driver.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.gate.stop()
        await self.driver.__aexit__(None, None, None)

    def requests(self) -> int:
        count = len(self.driver.requests)
        self.driver.reset()
        return count


Outcome = tuple[str, int, bool]  # result, requests, whether the key was rescued


async def outcome(store: Store, work: Callable[[Gate], Awaitable[str]]) -> Outcome:
    store.requests()
    try:
        result = await work(store.gate)
    except RevstoreError as error:
        result = type(error).__name__
    return result, store.requests(), hash_of(LISTED).hex() in await store.work.rescued()
