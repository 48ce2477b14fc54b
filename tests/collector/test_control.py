"""An operator looks at the collector's state and changes it, on each store."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from revstore_async import Digest, Driver, Registry
from revstore_async.collector import Bounds, Retention
from revstore_async.driver import Capabilities
from revstore_async.errors import CollectorNotEnabled, InvalidArgument, RunUnderWay, Unsupported, WrongType
from revstore_async.layout import CURRENT
from revstore_async.runs.state import Phase, Shard, State
from revstore_async.runs.store import StateStore
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
SHARDS = (Shard("000.hashes", 3, Digest.of(b"a")), Shard("001.hashes", 2, Digest.of(b"b")))


async def put_run(driver: Driver, phase: Phase, left: timedelta, **more: Any) -> None:
    """Put a run into the store that has some time left."""
    states = StateStore(driver, CURRENT)
    now = (await driver.put("docker/registry/revstore/gc/clock", b"")).modified
    spared = None if phase is not Phase.SWEEPING else Shard("spared.hashes", 0, Digest.of(b""))
    state = State(phase=phase, run="a-run", owner="host:1", until=now + left, shards=SHARDS, spared=spared)
    assert await states.swap(await states.read(), replace(state, **more)) is not None


async def test_a_store_without_a_state_is_idle(registry: Registry) -> None:
    status = await registry.collector.status()
    assert (status.phase, status.run, status.enabled, status.bounds) == ("idle", None, None, Bounds())


async def test_runs_begin_a_lease_after_they_are_enabled(registry: Registry) -> None:
    first = await registry.collector.enable()
    assert first.enabled is not None
    assert first.begins == first.enabled + timedelta(days=1)
    assert (await registry.collector.enable()).enabled == first.enabled
    assert (await registry.collector.status()).enabled == first.enabled


async def test_the_greater_bounds_hold_until_all_processes_know_the_new_ones(registry: Registry) -> None:
    changed = await registry.collector.bounds(
        keep=SECOND, link_within=2 * SECOND, lease=2 * timedelta(days=1)
    )
    assert changed.bounds == Bounds(lease=timedelta(days=2))
    assert changed.later == Bounds(keep=SECOND, link_within=2 * SECOND, lease=timedelta(days=2))
    assert changed.later_from is not None
    assert await registry.collector.bounds() == await registry.collector.status()
    again = await registry.collector.bounds(keep=3 * SECOND)
    assert again.bounds.keep == timedelta(minutes=1)
    at_once = await registry.collector.bounds(hold=HOUR, offline=True)
    assert at_once.later is None
    assert at_once.bounds == Bounds(
        keep=3 * SECOND, link_within=2 * SECOND, lease=timedelta(days=2), hold=HOUR
    )


def test_former_bounds_pass() -> None:
    async def program() -> None:
        clock = asyncio.get_running_loop().time
        driver = MemoryDriver(clock=lambda: datetime.fromtimestamp(clock(), UTC))
        async with Registry(driver) as registry:
            changed = await registry.collector.bounds(keep=SECOND)
            assert changed.later_from is not None
            await asyncio.sleep(changed.later_from.timestamp())
            assert (await registry.collector.status()).bounds == Bounds(keep=SECOND)

    run_on_virtual_clock(program())


@pytest.mark.parametrize("times", [{"keep": -SECOND}, {"link_within": timedelta(0)}])
async def test_wrong_bounds_are_refused(registry: Registry, times: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await registry.collector.bounds(**times)
    with pytest.raises(WrongType):
        await registry.collector.bounds(lease=3)  # type: ignore[arg-type]


async def test_a_run_is_shown_and_cancelled_before_its_sweep(registry: Registry, driver: Driver) -> None:
    await put_run(driver, Phase.CONDEMNED, HOUR, enabled=datetime(2026, 12, 1, tzinfo=UTC))
    status = await registry.collector.status()
    assert (status.phase, status.run, status.owner, status.keys) == ("condemned", "a-run", "host:1", 5)
    with pytest.raises(RunUnderWay, match="host:1"):
        await registry.collector.bounds(keep=SECOND)
    after = await registry.collector.cancel()
    assert (after.phase, after.run, after.enabled) == ("idle", None, status.enabled)
    assert await registry.collector.cancel() == after


async def test_a_sweep_is_cancelled_only_when_its_owner_left_it(registry: Registry, driver: Driver) -> None:
    await put_run(driver, Phase.SWEEPING, -timedelta(minutes=14), done=1)
    status = await registry.collector.status()
    assert (status.is_over, status.done) == (False, 3)
    with pytest.raises(RunUnderWay, match="sweeping"):
        await registry.collector.cancel()
    await registry.collector.bounds(hold=timedelta(minutes=1), offline=True)  # it ends the run, too
    await put_run(driver, Phase.SWEEPING, -timedelta(minutes=14), bounds=Bounds(hold=timedelta(minutes=1)))
    assert (await registry.collector.status()).is_over
    assert (await registry.collector.cancel()).phase == "idle"


async def test_a_run_while_nothing_else_is_at_work_ends_an_open_one(
    registry: Registry, driver: Driver
) -> None:
    await put_run(driver, Phase.SWEEPING, HOUR)
    plan = await registry.collector.plan(Retention(), offline=True)
    try:
        await registry.collector.apply(plan)
    finally:
        plan.close()
    assert (await registry.collector.status()).phase == "idle"


async def test_a_store_without_conditional_writes_has_no_state_to_change() -> None:
    class Lacking(MemoryDriver):
        @property
        def capabilities(self) -> Capabilities:
            return replace(super().capabilities, conditional_put=False)

    async with Registry(Lacking()) as registry:
        assert (await registry.collector.status()).phase == "idle"
        with pytest.raises(Unsupported, match="conditional writes"):
            await registry.collector.enable()
        with pytest.raises(Unsupported, match="conditional writes"):
            await registry.collector.bounds(keep=SECOND)


async def test_of_many_processes_one_takes_the_turn_of_a_schedule(registry: Registry, driver: Driver) -> None:
    with pytest.raises(CollectorNotEnabled):
        await registry.collector.take_turn(HOUR)
    await registry.collector.bounds(lease=timedelta(0), offline=True)
    await registry.collector.enable()
    others = [Registry(driver).collector for _ in range(5)]
    turns = await asyncio.gather(*[each.take_turn(HOUR) for each in others])
    assert turns.count(None) == 1
    left = await registry.collector.take_turn(HOUR)
    assert left is not None
    assert HOUR / 2 < left <= HOUR
    enabled = (await registry.collector.status()).enabled
    await put_run(driver, Phase.CONDEMNED, HOUR, enabled=enabled, bounds=Bounds(lease=timedelta(0)))
    with pytest.raises(RunUnderWay):
        await registry.collector.take_turn(HOUR)


@pytest.mark.parametrize("every", [timedelta(0), -HOUR])
async def test_a_schedule_has_a_time_between_runs(registry: Registry, every: timedelta) -> None:
    with pytest.raises(InvalidArgument):
        await registry.collector.take_turn(every)
