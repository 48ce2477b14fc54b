"""A budget of memory that all content on its way in shares; calls take of it as their bytes arrive."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from ..errors import InvalidArgument, UploadMemoryFull

MEMORY: Final = 1 << 30
"""The bytes of a registry's budget by default."""

WAIT: Final = timedelta(minutes=1)
"""How long a call waits for memory by default."""

_SMALL: Final = 1 << 16


@dataclass(eq=False, slots=True)
class Share:
    """The memory of one call.

    Attributes:
        used: The bytes of its content that are in memory.
        promised: Bytes that the call may use without asking; they count as taken.
        whole: Whether the budget has promised all the memory that the call may need.
        short: Whether bytes arrived without room for them: the call must store its bytes, then wait.
    """

    used: int = 0
    promised: int = 0
    whole: bool = False
    short: bool = False

    @property
    def held(self) -> int:
        """The bytes that the budget counts."""
        return max(self.used, self.promised)


@dataclass(frozen=True, slots=True)
class _Waiter:
    share: Share
    size: int
    given: asyncio.Future[None]


class MemoryBudget:
    """Bytes of memory that calls share.

    A call takes memory as its bytes arrive. A sixteenth is kept for calls that hold little, so that small content
    never waits for large content. When memory runs out, a call stores its bytes before it waits for more: calls
    that wait while they hold much would wait for one another. A call that writes all its content to one object
    can't store a piece. The budget promises it all that it may need before it goes on; such calls get at most
    half of the memory.

    Args:
        size: The budget in bytes.
        wait: How long a call waits for memory.

    Raises:
        InvalidArgument: The size is below 1, or the time is negative.

    Attributes:
        size: The budget in bytes.
        small: Bytes up to which content is small.
        taken: The bytes that calls hold, with those that arrived without room: one piece a call.
    """

    def __init__(self, size: int = MEMORY, *, wait: timedelta = WAIT) -> None:
        if size < 1:
            raise InvalidArgument("memory", size, "no client could send anything")
        if wait < timedelta(0):
            raise InvalidArgument("memory_wait", wait, "it is negative")
        self.size: Final = size
        self.small: Final = max(1, min(_SMALL, size // 1024))
        self.taken: int = 0
        self._timeout: Final = wait.total_seconds()
        self._general: Final = size - size // 16
        self._wholes_most: Final = max(1, size // 2)
        self._wholes = 0
        self._waiting: Final = deque[_Waiter]()
        self._waiting_wholes: Final = deque[_Waiter]()

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Open an empty share, by which the block takes memory; the end of the block gives it back."""
        share = Share()
        try:
            yield share
        finally:
            if share.whole:
                self._wholes -= share.promised
            self._set(share, 0, 0)
            self._wake()

    # ---- as bytes come and go

    def arrived(self, share: Share, size: int) -> None:
        """Count bytes that have arrived; `short` is True afterwards if there was no room for them."""
        if share.whole:
            return
        used = share.used + size
        if used > share.promised:
            more = used - share.held
            small = used <= self.small and self.taken + more <= self.size
            share.short = not (small or (self.taken + more <= self._general and not self._is_awaited()))
        self._set(share, used, share.promised)

    def keep(self, share: Share, size: int) -> None:
        """Give back all but `size` bytes, which the call still has in memory."""
        if not share.whole:
            self._set(share, size, 0)
            self._wake()
            share.short = share.short and not (self._fits(0) and not self._is_awaited())

    async def room(self, share: Share) -> None:
        """Wait until more bytes may come, if memory ran out.

        Raises:
            UploadMemoryFull: There was no room in time.
        """
        if not share.short and (share.held or self.taken < self.size):
            return
        if self._waiting or not self._fits(share.used + self.small - share.held):
            await self._wait_in(self._waiting, share, share.used + self.small)
        share.short = False

    # ---- all at once

    def promise_now(self, share: Share, size: int) -> bool:
        """Promise a call all the memory that it may need, if that is free now; return whether it is."""
        size = min(size, self._wholes_most)
        if self._waiting_wholes or not self._fits_whole(share, size):
            return False
        self._promise(share, size)
        return True

    async def promise(self, share: Share, size: int) -> None:
        """Promise a call all the memory that it may need; wait until that is free.

        Raises:
            UploadMemoryFull: There was no room in time.
        """
        if not self.promise_now(share, size):
            await self._wait_in(self._waiting_wholes, share, min(size, self._wholes_most))

    # ---- the waiting

    async def _wait_in(self, queue: deque[_Waiter], share: Share, size: int) -> None:
        waiter = _Waiter(share, size, asyncio.get_running_loop().create_future())
        queue.append(waiter)
        self._wake()
        try:
            await asyncio.wait([waiter.given], timeout=self._timeout)
            if not waiter.given.done():
                raise UploadMemoryFull(self.size, self._timeout)
        finally:
            waiter.given.cancel()
            self._wake()

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting[0]
            if not waiter.given.done():  # else its caller has given up
                if not self._fits(waiter.size - waiter.share.held):
                    break
                self._set(waiter.share, waiter.share.used, waiter.size)
                waiter.given.set_result(None)
            self._waiting.popleft()
        while self._waiting_wholes:
            waiter = self._waiting_wholes[0]
            if not waiter.given.done():
                if not self._fits_whole(waiter.share, waiter.size):
                    break
                self._promise(waiter.share, waiter.size)
                waiter.given.set_result(None)
            self._waiting_wholes.popleft()

    def _fits(self, more: int) -> bool:
        return self.taken + more <= self._general

    def _fits_whole(self, share: Share, size: int) -> bool:
        return self._wholes + size <= self._wholes_most and self._fits(size - share.held)

    def _is_awaited(self) -> bool:
        """Say whether a call waits for bytes that others could give back."""
        wholes = self._waiting_wholes
        return bool(self._waiting) or bool(wholes and self._wholes + wholes[0].size <= self._wholes_most)

    def _promise(self, share: Share, size: int) -> None:
        self._set(share, share.used, size)
        self._wholes += size
        share.whole, share.short = True, False

    def _set(self, share: Share, used: int, promised: int) -> None:
        self.taken += max(used, promised) - max(share.used, share.promised)
        share.used, share.promised = used, promised
