"""Turns, tries, and work that is seen to its end: how requests are let out, whatever they ask."""

import asyncio
import random
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, TypeVar

from revstore_async.concurrency import look_at, until
from revstore_async.driver.deadline import SLOWEST, due
from revstore_async.errors import StorageFailure, Throttled, Unavailable

Result = TypeVar("Result")

_FIRST_WAIT: Final = 0.1  # seconds; doubled for each try, a random part of it is waited
_LONGEST_WAIT: Final = 2.0
_LONGEST_ASKED: Final = (
    10.0  # what a store may ask for and still be waited for here; beyond, the caller hears
)
GRACE: Final = 5.0
"""Seconds for which a cancelled call waits for the answer of a change that is under way."""


class NoTurn(TimeoutError):
    """The time was over before the request's turn came: it was never sent. The cause of an `Unavailable`."""


class Places:
    """Requests under way at once, in the order of asking.

    A body holds its place until it is closed. One place is never given to a reader, so that other requests go
    on however many readers there are. An idle reader gives its place back after a while, so that a task which
    holds one and waits for another gets on, if late.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.taken = 0
        self._all = asyncio.Semaphore(count)
        self._readers = asyncio.Semaphore(count - 1)

    def one(self, key: str) -> AbstractAsyncContextManager[None]:
        """Hold a place for a request about a key."""
        return _One(self, key)

    async def take(self, key: str) -> None:
        """Take a place that `leave` ends.

        Raises:
            Unavailable: All were taken until the operation had to end.
        """
        await _in_time(self._all, key)
        self.taken += 1

    def leave(self) -> None:
        """End a place."""
        self.taken -= 1
        self._all.release()

    async def take_for_reader(self, key: str) -> None:
        """Take a place that `give_back` ends.

        Raises:
            Unavailable: All were taken until the operation had to end.
        """
        await _in_time(self._readers, key)
        try:
            await self.take(key)
        except BaseException:
            self._readers.release()
            raise

    def give_back(self) -> None:
        """End a reader's place."""
        self.leave()
        self._readers.release()


class _One(AbstractAsyncContextManager[None]):
    """Holds a place for as long as its block lasts."""

    __slots__ = ("_key", "_places")

    def __init__(self, places: Places, key: str) -> None:
        self._places = places
        self._key = key

    async def __aenter__(self) -> None:
        await self._places.take(self._key)

    async def __aexit__(self, *_: object) -> None:
        self._places.leave()


async def _in_time(free: asyncio.Semaphore, key: str) -> None:
    if not free.locked():
        await free.acquire()
        return
    try:
        async with until(due()):
            await free.acquire()
    except TimeoutError as error:
        raise Unavailable(key, "no connection was free before its time was over") from NoTurn(error)


class answer_within:  # noqa: N801 (it is used as a function is)
    """A block that gives one try up where it takes too long.

    Args:
        key: What it is about.
        limit: Seconds that the driver's options give it; None for no limit but that of the operation under way.
        size: Bytes of its body, which have time of their own.

    Raises:
        Unavailable: No answer came in time; whether the request had its effect is not known.
    """

    __slots__ = ("_begun", "_end", "_key", "_limit", "_waiting")

    def __init__(self, key: str, limit: float | None = None, size: int = 0) -> None:
        self._key = key
        self._limit = None if limit is None else limit + size / SLOWEST
        self._begun = 0.0
        self._end: float | None = None
        self._waiting: until | None = None

    async def __aenter__(self) -> None:
        self._begun = now = asyncio.get_running_loop().time()
        end = due()
        if end is not None:
            if end <= now:
                raise Unavailable(self._key, "its time was over before it was asked for") from NoTurn()
            end = now + (end - now) / 2  # the other half is for another try, or to read back
        if self._limit is not None:
            end = now + self._limit if end is None else min(end, now + self._limit)
        if end is not None:
            self._end = end
            self._waiting = until(end)
            await self._waiting.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._waiting is None or self._end is None:
            return
        try:
            await self._waiting.__aexit__(kind, error, trace)
        except TimeoutError as late:
            reason = f"no answer within {self._end - self._begun:.3g} s"
            raise Unavailable(self._key, reason) from late
        finally:
            del error, trace  # the frames of what waited


class Tries:
    """The tries of one request."""

    def __init__(self, retries: int) -> None:
        self._left = retries
        self._wait = _FIRST_WAIT

    async def again(self, error: StorageFailure) -> None:
        """Wait before the next try.

        Raises:
            StorageFailure: The error, where there are no more tries, the store wants them later than that, or
                the operation must end before.
        """
        asked = (error.retry_after or 0.0) if isinstance(error, Throttled) else 0.0
        if self._left == 0 or asked > _LONGEST_ASKED:
            try:
                raise error
            finally:
                del error  # its traceback holds this frame
        self._left -= 1
        wait = max(asked, random.uniform(0, self._wait))  # noqa: S311 (it spreads clients, it hides nothing)
        self._wait = min(2 * self._wait, _LONGEST_WAIT)
        end = due()
        if end is not None and asyncio.get_running_loop().time() + wait >= end:
            try:
                raise error
            finally:
                del error
        await asyncio.sleep(wait)


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
    try:
        if cancelled is not None:
            look_at(task)
            raise cancelled
        return task.result()
    finally:
        del task, cancelled  # the error's traceback holds this frame
