"""Bounds of requests per second, on a virtual clock."""

import asyncio
from math import inf, nan

import pytest

from revstore_async.concurrency import gather_map
from revstore_async.driver.rates import RateLimitDriver
from revstore_async.errors import InvalidArgument, InvalidKey
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import LatencyDriver, TracingDriver
from tests.parts.lacking import WithoutBulkDelete


def starts(traced: TracingDriver) -> list[float]:
    return sorted(round(request.start, 6) for request in traced.requests)


def test_requests_begin_one_after_another() -> None:
    async def work() -> None:
        traced = TracingDriver(LatencyDriver(MemoryDriver(), 1.0))
        async with RateLimitDriver(traced, 4) as driver:
            await gather_map(lambda number: driver.put(f"k{number}", b""), range(8), limit=8)
            assert starts(traced) == [number / 4 for number in range(8)]
            await asyncio.sleep(60)  # a pause allows no burst
            traced.reset()
            began = asyncio.get_running_loop().time()
            await gather_map(lambda number: driver.get(f"k{number}"), range(3), limit=8)
            assert [round(start - began, 6) for start in starts(traced)] == [0, 0.25, 0.5]

    run_on_virtual_clock(work())


def test_a_deletion_of_many_keys_counts_by_the_requests_of_the_store() -> None:
    async def work() -> None:
        keys = [f"k{number}" for number in range(2500)]
        traced = TracingDriver(MemoryDriver())
        async with RateLimitDriver(traced, 2) as driver:
            await driver.delete_many(keys)
            await driver.delete_many([])
            assert starts(traced) == [0, 0.5, 1]

    run_on_virtual_clock(work())


def test_a_store_that_takes_one_key_at_a_time_gets_few_at_once() -> None:
    async def work() -> None:
        traced = TracingDriver(WithoutBulkDelete(MemoryDriver()))
        async with RateLimitDriver(traced, 5) as driver:
            await driver.delete_many([f"k{number}" for number in range(12)])
            assert starts(traced) == [0, 1, 2]
            began = asyncio.get_running_loop().time()
            await driver.put("k", b"")
            assert asyncio.get_running_loop().time() - began == pytest.approx(0.4)

    run_on_virtual_clock(work())


async def test_all_keys_are_checked_before_one_is_deleted() -> None:
    async with RateLimitDriver(MemoryDriver(), 1e6) as driver:
        keys = [f"k{number}" for number in range(1001)]
        await driver.put("k0", b"")
        with pytest.raises(InvalidKey):
            await driver.delete_many([*keys, "/"])
        await driver.stat("k0")


def test_as_many_requests_are_under_way_as_begin_in_a_second() -> None:
    assert RateLimitDriver(MemoryDriver(), 3.5).capabilities.connections == 3
    assert RateLimitDriver(MemoryDriver(), 1e6).capabilities.connections == 64


@pytest.mark.parametrize("rate", [0, 0.5, -1, nan, inf])
def test_a_bound_is_a_number_from_1_on(rate: float) -> None:
    with pytest.raises(InvalidArgument):
        RateLimitDriver(MemoryDriver(), rate)
