"""Runs the collector by a schedule, beside a server. Only one of the servers on a store runs it each time."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, time, timedelta
from pathlib import Path
from random import uniform
from typing import Final

from ...collector import Collected, Retention
from ...concurrency import alongside
from ...errors import CollectorNotEnabled, RevstoreError, RunUnderWay
from ...registry import Registry

_LOG = logging.getLogger("revstore_async.server")

Schedule = time | timedelta
"""A time of the day, by the clock and zone of this machine, or the time from the end of a run to the next one."""

_DAY: Final = timedelta(days=1)
_LOOK: Final = timedelta(minutes=1)
"""The longest pause between two looks at the clock, which may be set, or stand still while the machine sleeps."""
_SPREAD: Final = 0.05
"""Part of a pause by which servers that start together differ."""


@asynccontextmanager
async def collecting(
    opened: AbstractAsyncContextManager[None],
    registry: Registry,
    schedule: Schedule | None,
    retention: Path | None = None,
    *,
    now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
) -> AsyncIterator[None]:
    """Open a registry for the block, and beside the block run the collector by a schedule.

    A server skips its turn if another server had one, or has a run under way. A failed run is a line in the log,
    and does not change the next one. The file of rules is read before each run. The end of the block cancels a run.
    The run sets its state to idle. If it deletes and gets no answer, a later run ends it when its time is over.

    Args:
        opened: Opens and closes the registry.
        registry: The registry.
        schedule: When to run; None never.
        retention: The file with the retention rules; None for a run without rules.
        now: Returns the time of this machine.

    Raises:
        RevstoreError: The store can't be opened.
    """
    async with opened:
        if schedule is None:
            yield
            return
        async with alongside(_Collecting(registry, schedule, retention, now).run_again_and_again()):
            yield


class _Collecting:
    def __init__(
        self, registry: Registry, schedule: Schedule, retention: Path | None, now: Callable[[], datetime]
    ) -> None:
        self._registry = registry
        self._schedule = schedule
        self._retention = retention
        self._now = now

    async def run_again_and_again(self) -> None:
        while True:
            if isinstance(self._schedule, time):
                await self._sleep_until(next_time(self._schedule, self._now()))
                await self._take_turn(_DAY / 2)
            else:
                left = await self._take_turn(self._schedule)
                by_chance = uniform(1, 1 + _SPREAD)  # noqa: S311 (it spreads servers, it is no secret)
                await asyncio.sleep(by_chance * left.total_seconds())

    async def _sleep_until(self, due: datetime) -> None:
        for left in iter(lambda: due - self._now(), None):
            if left <= timedelta(0):
                return
            await asyncio.sleep(min(left, _LOOK).total_seconds())

    async def _take_turn(self, every: timedelta) -> timedelta:
        """Run the collector if it is this server's turn; return the time until it may be."""
        try:
            left = await self._registry.collector.take_turn(every)
            if left is not None:
                return left
            retention = None if self._retention is None else Retention.read(self._retention)
            found = await self._run(retention)
        except RunUnderWay as error:
            _LOG.debug("no run of the collector: %s", error.one_line)
        except CollectorNotEnabled as error:
            _LOG.warning("no run of the collector: %s", error.one_line)
        except RevstoreError as error:
            _LOG.warning("the collector failed, which is tried again at its next time: %s", error.one_line)
        except Exception:  # noqa: BLE001 - a defect: the log shows it whole, and the server goes on
            _LOG.exception("the collector failed, which is tried again at its next time")
        else:
            _LOG.info("collected: %d keys, %d bytes", found.numbers.keys, found.numbers.bytes)
        return every

    async def _run(self, retention: Retention | None) -> Collected:
        plan = await self._registry.collector.plan(retention)
        try:
            for name, digest in plan.unreadable.items():
                _LOG.warning("all of %s stays: its manifest %s can't be read", name, digest)
            for note in plan.notes:
                _LOG.warning("the collector: %s", note)
            return await self._registry.collector.run(plan)
        finally:
            plan.close()


def next_time(daily: time, now: datetime) -> datetime:
    """Return the next time at which the clock of this machine shows a time of the day."""
    for days in range(3):
        # The zone of that day: where clocks change, its offset differs from that of today.
        due = datetime.combine(now.date() + timedelta(days=days), daily).astimezone()
        if due > now:
            return due
    raise AssertionError("each day has that time")  # pragma: no cover
