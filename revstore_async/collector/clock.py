"""The store's clock, as a run of the collector goes by it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from ..driver import Driver
from ..driver.clocks import boottime
from ..layout import CollectorClock, Layout

Step = Callable[[float], Awaitable[None]]
"""What a wait does now and then; it takes the seconds that are left."""


class StoreClock:
    """The clock of one store.

    Args:
        driver: The storage.
        layout: The layout, which has the key of a small object. A write of it tells the time.
    """

    def __init__(self, driver: Driver, layout: Layout) -> None:
        self._driver = driver
        self._key = layout.key(CollectorClock())
        self._known: tuple[datetime, float] | None = None

    async def now(self) -> datetime:
        """Return the store's time. 1 small write."""
        asked = boottime()
        date = (await self._driver.put(self._key, b"")).modified
        self.note(date, asked)
        return date

    def note(self, date: datetime | None, asked: float) -> None:
        """Note the store's time of an answer, and the `boottime` at which the request began."""
        if date is not None:
            self._known = date, asked

    async def estimate(self) -> datetime:
        """Return the store's time by the last answer and the time that has passed here since its question.

        It is at least the store's time, if no clock goes wrong. No request; 1 small write at first.
        """
        if self._known is None:
            return await self.now()
        date, at = self._known
        return date + timedelta(seconds=boottime() - at)

    async def wait(self, length: timedelta, step: Step, *, every: timedelta) -> None:
        """Wait until a time has passed by the clock of this process and by that of the store.

        2 small writes, or more if the store's clock is slow.

        Args:
            length: The time. The store's clock shows its own resolution more.
            step: Called at the beginning and after each pause.
            every: The longest pause between two steps.
        """
        began, begin = await self.now(), boottime()
        length += self._driver.capabilities.time_resolution
        passed = timedelta(0)
        while True:
            left = length - passed
            await step(max(0.0, left.total_seconds()))
            if left <= timedelta(0):
                return
            await asyncio.sleep(min(left, every).total_seconds())
            passed = timedelta(seconds=boottime() - begin)
            if passed >= length:
                passed = min(passed, await self.now() - began)
