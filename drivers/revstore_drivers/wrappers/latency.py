"""Delays every request: for tests that count round trips, and to see a program on a distant store.

`LatencyDriver` goes right around a store's driver. Each request waits in one `asyncio.sleep` before the driver
passes it on; `revstore_async.driver.intercepting` defines a request. Requests made together wait together. The
bytes of an answer are not delayed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from revstore_async.driver import Driver
from revstore_async.driver.intercepting import InterceptingDriver, Operation


class LatencyDriver(InterceptingDriver):
    """A driver that delays each request."""

    def __init__(self, inner: Driver, delay: float | Callable[[], float]) -> None:
        """Wrap a driver.

        Args:
            inner: The driver.
            delay: The seconds that each request waits, or a function that returns them.
        """
        super().__init__(inner)
        self._delay = delay if callable(delay) else lambda: delay

    @asynccontextmanager
    async def intercept(self, operation: Operation) -> AsyncIterator[None]:
        if operation.is_request:
            await asyncio.sleep(self._delay())
        yield
