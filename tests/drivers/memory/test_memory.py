"""The memory driver."""

from datetime import UTC, datetime, timedelta

import pytest

from revstore_async.driver import Driver
from revstore_async.errors import InvalidStoreURL
from revstore_async.testing import DriverConformance
from revstore_drivers.memory import MemoryDriver, MemoryStore


class TestMemoryDriver(DriverConformance):
    @pytest.fixture
    async def driver(self):
        async with MemoryDriver() as driver:
            yield driver

    def reopen(self, driver: Driver) -> Driver:
        assert isinstance(driver, MemoryDriver)
        return MemoryDriver(driver.store)

    async def leftovers(self, driver: Driver) -> list[str]:
        assert isinstance(driver, MemoryDriver)
        return [*driver.store.unfinished]


async def test_two_drivers_of_one_store() -> None:
    store = MemoryStore()
    async with MemoryDriver(store) as one, MemoryDriver(store) as two:
        await one.put("key", b"content")
        assert (await two.get("key")).content == b"content"


async def test_the_clock_is_the_stores() -> None:
    now = datetime(2020, 1, 1, tzinfo=UTC)
    async with MemoryDriver(clock=lambda: now) as driver:
        assert (await driver.put("key", b"")).modified == now
        now += timedelta(minutes=10)
        assert (await driver.put("key", b"")).modified == now


def test_urls() -> None:
    assert isinstance(MemoryDriver.from_url("memory:", {}), MemoryDriver)
    for url, options in (
        ("memory:name", {}),
        ("memory://host", {}),
        ("memory:?a=b", {}),
        ("memory:", {"unknown": 1}),
    ):
        with pytest.raises(InvalidStoreURL):
            MemoryDriver.from_url(url, options)
