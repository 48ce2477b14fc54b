"""Wrappers are drivers too: the contract holds for each, and for several around each other."""

from collections.abc import Iterable

import pytest

from revstore_async.driver import Driver, DriverWrapper
from revstore_async.driver.rates import RateLimitDriver
from revstore_async.testing import DriverConformance
from revstore_drivers.memory import MemoryDriver, MemoryStore
from revstore_drivers.wrappers import FaultsDriver, LatencyDriver, LimitsDriver, TracingDriver


def store_of(driver: Driver) -> MemoryStore:
    while isinstance(driver, DriverWrapper):
        driver = driver.inner
    assert isinstance(driver, MemoryDriver)
    return driver.store


class WrapperConformance(DriverConformance):
    def wrap(self, driver: Driver) -> Driver:
        raise NotImplementedError

    @pytest.fixture
    async def driver(self):
        async with self.wrap(MemoryDriver()) as driver:
            yield driver

    def reopen(self, driver: Driver) -> Driver:
        return self.wrap(MemoryDriver(store_of(driver)))

    async def leftovers(self, driver: Driver) -> list[str]:
        return [*store_of(driver).unfinished]

    async def fill(self, driver: Driver, keys: Iterable[str]) -> None:
        async with MemoryDriver(store_of(driver)) as beside:
            for key in keys:
                await beside.put(key, key.encode())


class TestLimits(WrapperConformance):
    def wrap(self, driver):
        return LimitsDriver(driver, 3)


class TestRateLimit(WrapperConformance):
    def wrap(self, driver):
        return RateLimitDriver(driver, 1e6)


class TestTracing(WrapperConformance):
    def wrap(self, driver):
        return TracingDriver(driver, lambda request: None)


class TestLatency(WrapperConformance):
    def wrap(self, driver):
        return LatencyDriver(driver, 0.0)


class TestFaultsThatNeverHappen(WrapperConformance):
    def wrap(self, driver):
        return FaultsDriver(driver)


class TestAllOfThem(WrapperConformance):
    def wrap(self, driver):
        return TracingDriver(LimitsDriver(FaultsDriver(LatencyDriver(driver, lambda: 0.0)), 3))
