"""A driver's own life: it is used inside its block."""

from datetime import timedelta

import pytest

from revstore_async.driver import Driver, Source
from revstore_async.errors import DriverClosed

from .base import Hooks, content_of


async def _is_closed(driver: Driver) -> None:
    for ask in (
        driver.get("key"),
        driver.put("key", b""),
        driver.stat("key"),
        driver.compose([Source("key", 1)], "other"),
        driver.compose([Source("key", 1), Source("another", 1)], "other"),
        driver.list(),
        driver.list_all(),
        driver.delete("key"),
        driver.delete_many(["key"]),
        driver.delete_prefix("key"),
        driver.purge_writers(timedelta(0)),
    ):
        with pytest.raises(DriverClosed):
            await ask
    with pytest.raises(DriverClosed):
        async with driver.open_reader("key"):
            pytest.fail("the block was entered")
    with pytest.raises(DriverClosed):
        async with driver.open_writer("key"):
            pytest.fail("the block was entered")


class Lifecycle(Hooks):
    """Tests of opening and closing."""

    async def test_capabilities(self, driver: Driver) -> None:
        """Capabilities are one value as long as the driver is open, and its numbers make sense."""
        capabilities = driver.capabilities
        assert driver.capabilities == capabilities
        assert capabilities.connections >= 1
        assert capabilities.part_size >= 1
        assert capabilities.time_resolution > timedelta(0)
        assert driver.name

    async def test_outside_of_its_block(self, driver: Driver) -> None:
        """Outside of its block every method raises `DriverClosed`; stored objects stay."""
        await driver.put("key", b"content")
        other = self.reopen(driver)
        if other is None:
            pytest.skip("there is no hook `reopen`")
        await _is_closed(other)
        async with other:
            assert await content_of(other, "key") == b"content"
        await _is_closed(other)
        assert await content_of(driver, "key") == b"content"
