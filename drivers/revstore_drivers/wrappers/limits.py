"""Bounds the number of requests under way at once, for a store or a server that takes only so many.

`LimitsDriver` goes around a store's driver or its retries, so that a waiting request is not tried yet. It counts
requests under way, and a reader from its opening to the end of its block, since the reader's connection carries the
answer all that time. It does not count a writer between its steps, bytes, or requests per second.

Requests get slots in the order in which they ask. Readers never get the last slot, so that other requests go on
however many readers wait for their callers. A task that holds a reader and opens another can still wait for ever,
if as many tasks do so as there are slots for readers. Hold one reader at a time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from revstore_async.driver import Capabilities, Driver, Reader
from revstore_async.driver.intercepting import InterceptingDriver, Operation
from revstore_async.errors import InvalidArgument


class LimitsDriver(InterceptingDriver):
    """A driver that bounds its requests under way at once."""

    def __init__(self, inner: Driver, connections: int) -> None:
        """Wrap a driver.

        Args:
            inner: The driver.
            connections: The most requests at once, at least 2; all but one of them may be readers.

        Raises:
            InvalidArgument: `connections` is below 2.
        """
        if connections < 2:
            raise InvalidArgument("connections", connections, "a reader and a request beside it need two")
        super().__init__(inner)
        self._connections = connections
        self._slots = asyncio.Semaphore(connections)
        self._reader_slots = asyncio.Semaphore(connections - 1)

    @property
    def capabilities(self) -> Capabilities:
        within = self.inner.capabilities
        return replace(within, connections=min(within.connections, self._connections))

    @asynccontextmanager
    async def intercept(self, operation: Operation) -> AsyncIterator[None]:
        if not operation.is_request:
            yield
            return
        async with self._slots:
            yield

    @asynccontextmanager
    async def open_reader(
        self, key: str, *, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[Reader]:
        async with (
            self._reader_slots,
            self._slots,
            self.inner.open_reader(key, offset=offset, length=length) as reader,
        ):
            yield reader
