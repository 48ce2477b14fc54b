"""Turns, tries, and work that is seen to its end: how requests are let out, whatever they ask."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

from revstore_async.errors import StorageFailure, Throttled

Item = TypeVar("Item")
Result = TypeVar("Result")

_FIRST_WAIT: Final = 0.1  # seconds; doubled for each try, a random part of it is waited
_LONGEST_WAIT: Final = 2.0
_LONGEST_ASKED: Final = (
    10.0  # what a store may ask for and still be waited for here; beyond, the caller hears
)
GRACE: Final = 5.0
"""Seconds for which a cancelled call waits for the answer of a change that is under way."""


class Places:
    """Requests under way at once, in the order of asking.

    A body holds its place until it is closed. One place is never given to a reader, so that other requests go
    on however many readers there are; and a reader that nobody reads gives its place back after a while, so
    that a task which holds one and waits for another gets on, if late.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.taken = 0
        self._all = asyncio.Semaphore(count)
        self._readers = asyncio.Semaphore(count - 1)
        self._one = _One(self)

    def one(self) -> AbstractAsyncContextManager[None]:
        """Hold a place for a request."""
        return self._one

    async def take(self) -> None:
        """Take a place that `leave` ends."""
        await self._all.acquire()
        self.taken += 1

    def leave(self) -> None:
        """End a place."""
        self.taken -= 1
        self._all.release()

    async def take_for_reader(self) -> None:
        """Take a place that `give_back` ends."""
        await self._readers.acquire()
        try:
            await self.take()
        except BaseException:
            self._readers.release()
            raise

    def give_back(self) -> None:
        """End a reader's place."""
        self.leave()
        self._readers.release()


class _One(AbstractAsyncContextManager[None]):
    """Holds a place for as long as its block lasts; of no state of its own, so one serves all."""

    def __init__(self, places: Places) -> None:
        self._places = places

    async def __aenter__(self) -> None:
        await self._places.take()

    async def __aexit__(self, *_: object) -> None:
        self._places.leave()


class Tries:
    """The tries of one request."""

    def __init__(self, retries: int) -> None:
        self._left = retries
        self._wait = _FIRST_WAIT

    async def again(self, error: StorageFailure) -> None:
        """Wait before the next try.

        Raises:
            StorageFailure: The error, where there are no more tries, or the store wants them later than that.
        """
        asked = (error.retry_after or 0.0) if isinstance(error, Throttled) else 0.0
        if self._left == 0 or asked > _LONGEST_ASKED:
            raise error
        self._left -= 1
        wait = random.uniform(0, self._wait)  # noqa: S311 (it spreads clients, it hides nothing)
        self._wait = min(2 * self._wait, _LONGEST_WAIT)
        await asyncio.sleep(max(wait, asked))


async def together(
    work: Callable[[Item], Coroutine[Any, Any, Result]], items: Iterable[Item], *, limit: int
) -> list[Result]:
    """Do work on each item, so many at once at most, and return what came of it in the items' order.

    No more than so many tasks exist. When one fails, the others are cancelled and over before its error leaves.
    """
    waiting = list(enumerate(items))
    results: dict[int, Result] = {}
    left = iter(waiting)

    async def take_turns() -> None:
        for number, item in left:
            results[number] = await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(limit, len(waiting))):
                group.create_task(take_turns())
    except ExceptionGroup as several:
        failed = several.exceptions[0]
        raise failed from failed.__cause__
    return [results[number] for number in range(len(waiting))]


async def settled(work: Coroutine[Any, Any, Result], *, grace: float = GRACE) -> Result:
    """Do work whose outcome must be known: a change in the store, a clean-up.

    Cancellation: the work goes on, for so many seconds at most; then the cancellation goes on. A request that
    was dropped half-way could still change the store after the caller has gone on to the next one.
    """
    task = asyncio.create_task(work)
    clock = asyncio.get_running_loop().time
    cancelled: asyncio.CancelledError | None = None
    end = float("inf")
    while not task.done():
        try:
            await asyncio.wait([task], timeout=None if cancelled is None else max(0.0, end - clock()))
        except asyncio.CancelledError as error:
            cancelled = error
            end = min(end, clock() + grace)
        if cancelled is not None and clock() >= end:
            task.cancel()
            end = clock() + 1.0  # not a busy wait, should it take its time to end
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # looked at, else the loop complains that nobody did
        raise cancelled
    return task.result()
