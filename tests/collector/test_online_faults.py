"""Runs beside other programs that are killed, lose their state, or get no answer."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from revstore_async import Registry
from revstore_async.driver import Condition, FileInfo
from revstore_async.errors import (
    RunLost,
    RunUnderWay,
)
from revstore_async.runs.state import Phase, State
from tests.parts.online_runs import (
    LAYER,
    NAME,
    STATE,
    Killed,
    KilledDriver,
    StagedDriver,
    collected,
    filled,
    on_virtual_clock,
)


@on_virtual_clock
async def test_of_two_runs_at_once_one_is_refused(driver: StagedDriver, registry: Registry) -> None:
    await filled(registry)
    others = [registry, Registry(driver), Registry(driver)]
    found = await asyncio.gather(*[collected(each) for each in others], return_exceptions=True)
    assert sum(isinstance(each, RunUnderWay) for each in found) == 2
    assert not await registry.blobs.exists(LAYER)


@on_virtual_clock
async def test_while_a_run_is_open_another_is_refused(driver: StagedDriver, registry: Registry) -> None:
    await filled(registry)
    refused = []

    async def try_it(_: State) -> None:
        with pytest.raises(RunUnderWay, match="condemned"):
            await collected(Registry(driver))
        refused.append(True)

    driver.acts[Phase.CONDEMNED] = try_it
    assert (await collected(registry)).numbers.tags == 1
    assert refused


@on_virtual_clock
async def test_a_change_of_the_bounds_before_a_run_does_not_stop_it(
    driver: StagedDriver, registry: Registry
) -> None:
    await filled(registry)
    meddling = MeddlingDriver(driver.store)
    meddling.meddle = lambda: registry.collector.bounds(hold=timedelta(seconds=90))
    async with meddling:
        assert (await collected(Registry(meddling))).numbers.tags == 1
    assert meddling.meddle is None


class MeddlingDriver(StagedDriver):
    """A driver that lets another process change the state before the first swap to an open run."""

    meddle: Callable[[], Awaitable[object]] | None = None

    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        if key == STATE and self.meddle is not None and State.decode(content).run is not None:
            meddle, self.meddle = self.meddle, None
            await meddle()
        return await super().put(key, content, condition=condition)


@pytest.mark.parametrize("phase", [Phase.CONDEMNED, Phase.SEALED, Phase.SWEEPING])
def test_a_run_of_a_killed_process_is_taken_over_when_its_time_is_over(phase: Phase) -> None:
    @on_virtual_clock
    async def test(driver: StagedDriver, registry: Registry) -> None:
        await filled(registry)

        async def die(_: State) -> None:
            raise Killed

        killed = KilledDriver(driver.store)
        killed.acts[phase] = die
        async with killed:
            with pytest.raises(Killed):
                await collected(Registry(killed))
        assert (await registry.collector.status()).phase == phase.value
        with pytest.raises(RunUnderWay):
            await collected(registry)
        assert await registry.blobs.exists(LAYER)
        bounds = (await registry.collector.status()).bounds
        await asyncio.sleep(300 + bounds.hold.total_seconds() if phase is Phase.SWEEPING else 300)
        assert (await registry.collector.status()).is_over
        assert (await collected(registry)).numbers.tags == 1
        assert not await registry.blobs.exists(LAYER)
        assert (await registry.repository(NAME).manifests.get("v1")).digest

    test()


@pytest.mark.parametrize("phase", [Phase.CONDEMNED, Phase.SEALED])
def test_a_run_that_loses_its_state_deletes_nothing(phase: Phase) -> None:
    @on_virtual_clock
    async def test(driver: StagedDriver, registry: Registry) -> None:
        await filled(registry)

        async def cancel(_: State) -> None:
            await Registry(driver).collector.cancel()

        driver.acts[phase] = cancel
        before = set(driver.store.objects)
        with pytest.raises(RunLost):
            await collected(registry)
        assert before <= set(driver.store.objects)
        assert (await registry.collector.status()).phase == "idle"

    test()


@on_virtual_clock
async def test_a_sweep_that_loses_its_state_deletes_no_more(driver: StagedDriver, registry: Registry) -> None:
    await filled(registry)

    async def stand_still(_: State) -> None:
        await asyncio.sleep(1000)  # as a stopped process does
        assert (await registry.collector.cancel()).phase == "idle"

    driver.acts[Phase.SWEEPING] = stand_still
    before = set(driver.store.objects)
    with pytest.raises(RunLost):
        await collected(Registry(driver))
    assert before <= set(driver.store.objects)


@on_virtual_clock
async def test_a_sweep_that_stood_still_and_was_not_taken_over_goes_on(
    driver: StagedDriver, registry: Registry
) -> None:
    await filled(registry)

    async def stand_still(_: State) -> None:
        await asyncio.sleep(1000)

    driver.acts[Phase.SWEEPING] = stand_still
    assert (await collected(registry)).numbers.tags == 1


@on_virtual_clock
async def test_a_cancelled_run_sets_its_state_to_idle(driver: StagedDriver, registry: Registry) -> None:
    await filled(registry)
    condemned = asyncio.Event()

    async def note(_: State) -> None:
        condemned.set()

    driver.acts[Phase.CONDEMNED] = note
    task = asyncio.ensure_future(collected(registry))
    await condemned.wait()
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await registry.collector.status()).phase == "idle"
    assert await registry.blobs.exists(LAYER)
