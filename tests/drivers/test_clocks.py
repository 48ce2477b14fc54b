"""The clock that runs on in sleep, and the store's time in answers, beyond the conformance suite."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from revstore_async.driver.clocks import boottime
from revstore_async.errors import DeletionExpired, KeyNotFound
from revstore_async.shared_reads import SharedReadsDriver
from revstore_async.testing import VirtualClockLoop, run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import FaultsDriver, LatencyDriver, LimitsDriver, TracingDriver


def test_the_clock_is_the_machines_outside_of_a_loop_and_on_one_without_a_clock_of_its_own() -> None:
    async def inside() -> float:
        return boottime()

    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= boottime() <= asyncio.run(inside()) <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_on_a_virtual_clock_it_follows_the_loop_and_runs_on_in_sleep() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualClockLoop)
        await asyncio.sleep(3)
        assert boottime() == loop.time() == 3
        loop.suspend(60)
        assert loop.time() == 3
        await asyncio.sleep(1)
        assert (boottime(), loop.time()) == (64, 4)

    run_on_virtual_clock(work())


async def test_the_stores_time_passes_all_wrappers() -> None:
    now = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    memory = MemoryDriver(clock=lambda: now)
    stack = SharedReadsDriver(TracingDriver(LimitsDriver(FaultsDriver(LatencyDriver(memory, 0.0)), 4)))
    async with stack as driver:
        written = await driver.put("key", b"content")
        now += timedelta(hours=1)
        files = await asyncio.gather(*(driver.get("key") for _ in range(3)))
        assert [file.date for file in files] == [now] * 3
        assert (
            [file.info.modified for file in files] == [written.modified] * 3 == [now - timedelta(hours=1)] * 3
        )
        missing = await asyncio.gather(*(driver.get("missing") for _ in range(3)), return_exceptions=True)
        assert [error.date for error in missing if isinstance(error, KeyNotFound)] == [now] * 3


async def test_two_answers_about_one_version_are_equal() -> None:
    now = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    async with MemoryDriver(clock=lambda: now) as driver:
        await driver.put("key", b"content")
        first = await driver.get("key")
        now += timedelta(seconds=1)
        second = await driver.get("key")
    assert first == second
    assert first.date != second.date


async def test_the_end_of_a_deletion_passes_all_wrappers() -> None:
    now = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    memory = MemoryDriver(clock=lambda: now)
    stack = SharedReadsDriver(TracingDriver(LimitsDriver(FaultsDriver(LatencyDriver(memory, 0.0)), 4)))
    async with stack as driver:
        assert driver.capabilities.dated_deletion
        await driver.put("key", b"content")
        for late in (
            driver.delete("key", until=now - timedelta(microseconds=1)),
            driver.delete_many(["key"], until=now - timedelta(microseconds=1)),
        ):
            with pytest.raises(DeletionExpired):
                await late
        await driver.delete("key", until=now)
        with pytest.raises(KeyNotFound):
            await driver.get("key")
