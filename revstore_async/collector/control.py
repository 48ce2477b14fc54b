"""The collector's state as an operator sees and changes it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from types import NoneType

from ..arguments import check_type
from ..concurrency import pauses
from ..driver import Driver
from ..errors import CollectorNotEnabled, InvalidArgument, RunUnderWay, Unavailable, Unsupported
from ..layout import CollectorState, Layout
from ..runs.state import Bounds, FormerBounds, Phase, State
from ..runs.store import SeenState, StateStore
from .clock import StoreClock

TRIES = 20
"""How often a change of the state is tried anew when other processes change it meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The collector's state.

    Attributes:
        phase: `idle`, `condemned`, `sealed` or `sweeping`.
        run: The name of the open run; None while idle.
        owner: The process that the run belongs to.
        until: When any process may end the run, unless its owner goes on, by the store's clock; of a sweep,
            `Bounds.hold` later.
        is_over: Whether any process may end the run now.
        keys: The keys that the run condemned.
        done: The keys among them that the run has dealt with.
        bounds: The bounds in force: of each time the greater one, while some process may act by former bounds.
        later: The bounds that follow; None if those in force stay.
        later_from: When they follow, by the store's clock.
        enabled: When the operator said that every writer knows the collector; None if the operator did not.
        begins: When runs may begin; None if they are not enabled.
        last: When the last run ended, or began by a schedule.
        dated: Whether the store refuses a deletion that comes after its end. If not, no process ends the sweep of
            another; `gc apply --offline` does.
    """

    phase: str
    run: str | None
    owner: str
    until: datetime | None
    is_over: bool
    keys: int
    done: int
    bounds: Bounds
    later: Bounds | None
    later_from: datetime | None
    enabled: datetime | None
    begins: datetime | None
    last: datetime | None
    dated: bool


class Control:
    """Shows and changes the state of the collector.

    Args:
        driver: The storage.
        layout: The layout of the registry.
    """

    def __init__(self, driver: Driver, layout: Layout) -> None:
        self._driver = driver
        self._key = layout.key(CollectorState())
        self.states: StateStore = StateStore(driver, layout)
        self.clock: StoreClock = StoreClock(driver, layout)

    async def status(self) -> Status:
        """Return the state. 1 request, and 1 small write where the driver can't tell the store's time."""
        seen = await self.states.read()
        return self.shown(seen.state, await self.date(seen))

    async def enable(self) -> Status:
        """Say that every program that writes to the store knows the collector. 2 requests."""

        def enabled(state: State, now: datetime) -> State:
            return state if state.enabled is not None else replace(state, enabled=now)

        return await self._change(enabled)

    async def cancel(self) -> Status:
        """Set an open run to idle, unless it sweeps. 2 requests."""

        def idle(state: State, now: datetime) -> State:
            if state.phase is Phase.IDLE:
                return state
            if state.phase is Phase.SWEEPING and not state.is_over(now):
                raise under_way(state)
            return state.idle()

        return await self._change(idle)

    async def bound(self, times: dict[str, timedelta], *, offline: bool) -> Status:
        """Change bounds. 2 requests."""

        def bounded(state: State, now: datetime) -> State:
            if state.phase is not Phase.IDLE and not (offline or state.is_over(now)):
                raise under_way(state)
            bounds, in_force = replace(state.bounds, **times), state.in_force(now)
            former = None if offline else FormerBounds(in_force, now + in_force.grace)
            return replace(state.idle(), bounds=bounds, former=former)

        return await self._change(bounded)

    async def take_turn(self, every: timedelta) -> timedelta | None:
        """Note that a run of a schedule begins, if none ended or began within that time. 2 requests.

        The result is None then, otherwise the time that is left until one may begin.
        """
        seen = await self.check_run()
        now = await self.date(seen)
        left = timedelta(0) if seen.state.last is None else seen.state.last + every - now
        if left > timedelta(0):
            return min(left, every)
        swapped = await self.states.swap(seen, replace(seen.state, last=now))
        return None if swapped is not None else every

    async def end_run(self) -> None:
        """Set an open run to idle, since nothing else is at work on the store. 1 request; 2 with an open run.

        The driver may lack conditional writes.
        """
        if self._driver.capabilities.conditional_put:
            await self._change(lambda state, _: state if state.phase is Phase.IDLE else state.idle())
            return
        seen = await self.states.read()
        if seen.state.phase is not Phase.IDLE:
            await self._driver.put(self._key, seen.state.idle().encode())

    async def check_run(self) -> SeenState:
        """Return the idle state; a run that its owner left is ended.

        Raises:
            CollectorNotEnabled: Runs may not begin yet.
            RunUnderWay: Another run is open.
            Unsupported: The driver lacks conditional writes.
        """
        if not self._driver.capabilities.conditional_put:
            raise Unsupported(
                self._driver.name,
                "runs of the collector beside other programs, as it lacks conditional writes: stop these programs,"
                " and give --offline",
            )
        seen = await self.states.read()
        now = await self.date(seen)
        status = self.shown(seen.state, now)
        if status.begins is None or now < status.begins:
            raise CollectorNotEnabled(status.enabled, status.begins)
        if seen.state.phase is Phase.IDLE:
            return seen
        idle = await self.states.swap(seen, seen.state.idle()) if seen.state.is_over(now) else None
        if idle is None:
            raise under_way(seen.state)
        return idle

    async def _change(self, changed: Callable[[State, datetime], State]) -> Status:
        for pause in islice(pauses(), TRIES):
            seen = await self.states.read()
            now = await self.date(seen)
            state = changed(seen.state, now)
            if state == seen.state or await self.states.swap(seen, state) is not None:
                return self.shown(state, now)
            await asyncio.sleep(pause)
        raise Unavailable(self._key, "other processes changed it at the same time")

    async def date(self, seen: SeenState) -> datetime:
        """Return the store's time of an answer that just came. No request, or 1 small write."""
        return await self.clock.now() if seen.date is None else seen.date

    def shown(self, state: State, now: datetime) -> Status:
        """Return a state as it is shown."""
        in_force, former = state.in_force(now), state.former
        later = None if in_force == state.bounds else state.bounds
        return Status(
            phase=state.phase.value,
            run=state.run,
            owner=state.owner,
            until=state.until,
            is_over=state.is_over(now),
            keys=sum(shard.keys for shard in state.shards),
            done=sum(shard.keys for shard in state.shards[: state.done]),
            bounds=in_force,
            later=later,
            later_from=former.until if former is not None and later is not None else None,
            enabled=state.enabled,
            begins=None if state.enabled is None else state.enabled + in_force.lease,
            last=state.last,
            dated=self._driver.capabilities.dated_deletion,
        )


def under_way(state: State) -> RunUnderWay:
    """Return the error that a run is open."""
    return RunUnderWay(state.run or "", state.owner, state.phase.value, state.until)


def checked(times: dict[str, timedelta | None]) -> dict[str, timedelta]:
    """Return the times among these that are given.

    Raises:
        InvalidArgument: A time is negative, or a time within which writers act is 0.
        WrongType: A time is of another type.
    """
    for name, time in times.items():
        check_type(name, time, timedelta, NoneType)
        if time is not None and (time < timedelta(0) or (not time and name == "link_within")):
            raise InvalidArgument(name, time, "it is no length of time")
    return {name: time for name, time in times.items() if time is not None}
