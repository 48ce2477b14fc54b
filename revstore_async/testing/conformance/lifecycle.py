"""Opening and closing: a driver works inside of its block only."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import pytest

from revstore_async.driver import Driver, Source
from revstore_async.errors import DriverClosed

from .base import Hooks, content_of


async def _enter(block: AbstractAsyncContextManager[object]) -> None:
    async with block:
        pass


_METHODS: dict[str, Callable[[Driver], Awaitable[object]]] = {
    "get": lambda driver: driver.get("key"),
    "put": lambda driver: driver.put("key", b""),
    "stat": lambda driver: driver.stat("key"),
    "open_reader": lambda driver: _enter(driver.open_reader("key")),
    "open_writer": lambda driver: _enter(driver.open_writer("key")),
    "compose of one source": lambda driver: driver.compose([Source("key", 1)], "other"),
    "compose": lambda driver: driver.compose([Source("key", 1), Source("another", 1)], "other"),
    "list": lambda driver: driver.list(),
    "list_all": lambda driver: driver.list_all(),
    "delete": lambda driver: driver.delete("key"),
    "delete_many": lambda driver: driver.delete_many(["key"]),
    "delete_prefix": lambda driver: driver.delete_prefix("key"),
    "purge_writers": lambda driver: driver.purge_writers(timedelta(0)),
}


async def _check_closed(driver: Driver) -> None:
    for name, method in _METHODS.items():
        try:
            await method(driver)
        except DriverClosed:
            continue
        except Exception as error:
            raise AssertionError(f"{name} of a closed driver raised {error!r}, not DriverClosed") from error
        raise AssertionError(f"{name} of a closed driver did not raise DriverClosed")


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
        await _check_closed(other)
        async with other:
            assert await content_of(other, "key") == b"content"
        await _check_closed(other)
        assert await content_of(driver, "key") == b"content"
