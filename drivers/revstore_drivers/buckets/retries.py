"""Limits of requests: how many are under way at once, how long each try takes, and how often it is tried."""

import asyncio
import random
from typing import Final

from revstore_async.concurrency import drop_frames, until
from revstore_async.driver.deadline import due
from revstore_async.driver.lost_answers import note_lost_answer
from revstore_async.errors import StorageFailure, Throttled, Unavailable

_FIRST_WAIT: Final = 0.1  # seconds; doubled for each try, a random part of it is waited
_LONGEST_WAIT: Final = 2.0
_LONGEST_ASKED: Final = 10.0  # seconds; a store that asks for a longer wait is left to the caller
GRACE: Final = 5.0
"""Seconds for which a cancelled call waits for the answer of a change that is under way."""


class NoTurn(TimeoutError):
    """The time was over before the request's turn came: it was never sent. The cause of an `Unavailable`."""


class Slots:
    """Requests under way at once, in the order of asking.

    A body holds its slot until it is closed. One slot is never given to a reader, so that other requests go
    on however many readers there are. An idle reader gives its slot back after a while, so that a task which
    holds one and waits for another gets on, if late.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.taken: int = 0
        self._all = asyncio.Semaphore(count)
        self._readers = asyncio.Semaphore(count - 1)

    async def take(self, key: str) -> None:
        """Take a slot for a request about a key; `release` ends it.

        Raises:
            Unavailable: All were taken until the operation had to end.
        """
        if self._all.locked():
            await _in_time(self._all, key)
        else:
            await self._all.acquire()
        self.taken += 1

    def release(self) -> None:
        """End a slot."""
        self.taken -= 1
        self._all.release()

    async def take_for_reader(self, key: str) -> None:
        """Take a slot that `release_reader` ends.

        Raises:
            Unavailable: All were taken until the operation had to end.
        """
        await _in_time(self._readers, key)
        try:
            await self.take(key)
        except BaseException:
            self._readers.release()
            raise

    def release_reader(self) -> None:
        """End a reader's slot."""
        self.release()
        self._readers.release()


async def _in_time(free: asyncio.Semaphore, key: str) -> None:
    try:
        async with until(due()):
            await free.acquire()
    except TimeoutError as error:
        raise Unavailable(key, "no connection was free before its time was over") from NoTurn(error)


def seconds_for_try(key: str, limit: float | None = None) -> float | None:
    """Return the seconds that one try may take, or None if it may take any time.

    Args:
        key: What it is about.
        limit: Seconds that the driver's options give it; None for no limit but that of the operation under way.

    Raises:
        Unavailable: The time of the operation is over; the request was never sent.
    """
    end = due()
    if end is None:
        return limit
    left = end - asyncio.get_running_loop().time()
    if left <= 0:
        raise Unavailable(key, "its time was over before it was asked for") from NoTurn()
    left /= 2  # the other half is for another try, or to read back
    return left if limit is None else min(left, limit)


def no_answer(key: str, seconds: float | None, error: TimeoutError) -> Unavailable:
    """Return the error of a try that got no answer in time; whether the request had its effect is not known.

    Args:
        key: What it was about.
        seconds: How long it had.
        error: What `asyncio.timeout` raised. It is to be the cause; its frames are let go, with what they hold.
    """
    drop_frames(error)
    return Unavailable(key, f"no answer within {seconds:.3g} s")


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
        if not isinstance(error, Throttled) and not isinstance(error.__cause__, NoTurn):
            note_lost_answer()
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
