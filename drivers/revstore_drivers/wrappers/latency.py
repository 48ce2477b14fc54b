"""Makes every request take a time: for tests that count round trips, and to see a program on a distant store.

It sits right around a store's driver. A request waits before it is passed on, one `asyncio.sleep` each;
`intercept` defines a request. It does not slow down the bytes of an answer, and requests made together wait
together.
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
            delay: Seconds of each request, or what gives them anew for each.
        """
        super().__init__(inner)
        self._delay = delay if callable(delay) else lambda: delay

    @asynccontextmanager
    async def intercept(self, operation: Operation) -> AsyncIterator[None]:
        if operation.is_request:
            await asyncio.sleep(self._delay())
        yield
