"""The state of a run, as the process that owns the run changes it."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from ..concurrency import pauses
from ..driver import Driver
from ..driver.clocks import boottime
from ..errors import RunLost, Unavailable
from ..runs.state import Bounds, Phase, State
from ..runs.store import SeenState, StateStore
from .clock import StoreClock

LONGEST_LEASE: Final = timedelta(minutes=5)
"""The longest time for which a run carries on without a swap; after it any process may end the run."""

_SHORTEST_LEASE: Final = timedelta(seconds=30)
_MARGIN: Final = timedelta(seconds=5)
"""Time of a deletion beside the longest one of an operation on metadata."""
_TRIES: Final = 20


class OwnedRun:
    """An open run of this process. Each change of its state renews its time.

    Args:
        driver: The storage.
        states: The store of the state.
        clock: The store's clock.
        seen: The state of the run, as this process wrote it.
        bounds: The bounds of the run.

    Attributes:
        name: The name of the run.
        lease: The time for which it carries on without a swap.
        bounds: The bounds of the run.
    """

    def __init__(
        self, driver: Driver, states: StateStore, clock: StoreClock, seen: SeenState, bounds: Bounds
    ) -> None:
        self._states = states
        self._clock = clock
        self._seen = seen
        self._is_dated = driver.capabilities.dated_deletion
        self.lease: timedelta = run_lease(bounds)
        self.bounds: Bounds = bounds
        self._deletion = bounds.metadata + _MARGIN
        self.name: str = seen.state.run or ""

    @property
    def state(self) -> State:
        """The state, as this process wrote it last."""
        return self._seen.state

    async def change(self, **members: Any) -> None:  # noqa: ANN401 (the members of the state)
        """Change members of the state. 1 request.

        Raises:
            RunLost: Another process changed the state.
            Unavailable: The storage did not answer.
        """
        until = await self._clock.estimate() + self.lease
        await self._swap(replace(self.state, until=until, **members))

    async def carry_on(self) -> None:
        """Renew the time of the run if less than half of it is left. No request, or 1.

        Raises:
            RunLost: Another process changed the state.
            Unavailable: The storage did not answer.
        """
        left = self._until - await self._clock.estimate()
        if left < self.lease / 2:
            await self.change()

    async def deletion_end(self) -> datetime | None:
        """Return the time, by the store's clock, at which a deletion must end that begins now. No request, or 1.

        It is no later than the time until which the run carries on. The result is None if the driver can't date
        a deletion.

        Raises:
            RunLost: Another process changed the state.
            Unavailable: The storage did not answer.
        """
        await self.carry_on()
        if not self._is_dated:
            return None
        return min(self._until, await self._clock.estimate() + self._deletion)

    async def ask_time(self) -> None:
        """Ask for the store's time, as a deletion came too late by it. 1 small write."""
        await self._clock.now()

    async def end(self, **members: Any) -> None:  # noqa: ANN401 (the members of the state)
        """Set the state to idle. 1 request.

        Raises:
            RunLost: Another process changed the state.
            Unavailable: The storage did not answer.
        """
        await self._swap(replace(self.state.idle(), **members))

    async def give_up(self) -> None:
        """Set the state to idle, unless the run sweeps: then its time runs out. 2 requests."""
        found = await self._states.read()
        if found.state.run == self.name and found.state.phase is not Phase.SWEEPING:
            await self._states.swap(found, found.state.idle())

    @property
    def _until(self) -> datetime:
        assert self.state.until is not None, "an open run has a time"  # noqa: S101
        return self.state.until

    async def _swap(self, state: State) -> None:
        for pause in islice(pauses(), _TRIES):
            failed: Unavailable | None = None
            asked = boottime()
            try:
                seen = await self._states.swap(self._seen, state)
                if seen is None:  # or a try whose answer was lost was carried out
                    seen = await self._found(state)
            except Unavailable as error:
                if not error.retryable:
                    raise
                failed = error
            else:
                self._clock.note(seen.date, asked)
                self._seen = seen
                return
            await asyncio.sleep(pause)
        assert failed is not None  # noqa: S101
        raise failed

    async def _found(self, state: State) -> SeenState:
        found = await self._states.read()
        if found.state != state:
            raise RunLost(self.name)
        return found


def run_lease(bounds: Bounds) -> timedelta:
    """Return the time for which a run carries on without a swap: short where all bounds are."""
    return min(LONGEST_LEASE, max(_SHORTEST_LEASE, bounds.grace))
