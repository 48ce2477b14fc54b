"""Records every request: its time, its bytes, its end, and how many requests came one after another.

`TracingDriver` goes outside of all layers that it measures. Around retries it sees one request where the store sees
several. `revstore_async.driver.intercepting` defines a request. The bytes of a reader count for its `open_reader`,
whose time ends when the first byte could be read. The bytes of a writer count for the `write` that fills a part, or
for the `commit` that sends the rest. The driver sees no calls on the inner driver that do not pass through it, and
holds no content.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from revstore_async.driver import Driver, Reader
from revstore_async.driver.intercepting import InterceptingDriver, Operation


@dataclass(frozen=True, slots=True)
class Request:
    """One request that was answered, or failed.

    Attributes:
        method: As `Operation.method`.
        key: As `Operation.key`.
        start: The time of the request, by the loop's clock.
        end: The time of the answer.
        sent: Bytes of content that were sent.
        received: Bytes of content that were received.
        error: The type of the error that ended it; None after a success.
    """

    method: str
    key: str
    start: float
    end: float
    sent: int = 0
    received: int = 0
    error: type[BaseException] | None = None


class TracingDriver(InterceptingDriver):
    """A driver that records its requests."""

    def __init__(self, inner: Driver, on_request: Callable[[Request], None] | None = None) -> None:
        """Wrap a driver.

        Args:
            inner: The driver.
            on_request: Called with each request at its end; for a reader at the end of its block. A program
                feeds its metrics with it. It must not raise.
        """
        super().__init__(inner)
        self._on_request = on_request
        self._requests: dict[int, Request] = {}
        self._made = 0

    @property
    def requests(self) -> tuple[Request, ...]:
        """The requests that were answered so far, in the order of their answers."""
        return tuple(self._requests.values())

    @property
    def counts(self) -> Counter[str]:
        """The number of requests by method."""
        return Counter(request.method for request in self._requests.values())

    @property
    def round_trips(self) -> int:
        """The size of the longest chain of requests; see the function `round_trips`."""
        return round_trips(self._requests.values())

    def reset(self) -> None:
        """Delete all records."""
        self._requests.clear()

    @asynccontextmanager
    async def intercept(self, operation: Operation) -> AsyncIterator[None]:
        if not operation.is_request:
            yield
            return
        start = asyncio.get_running_loop().time()
        try:
            yield
        except BaseException as error:
            self._tell(self._record(operation, start, type(error)))
            raise
        self._tell(self._record(operation, start))

    @asynccontextmanager
    async def open_reader(
        self, key: str, *, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[Reader]:
        operation = Operation("open_reader", key)
        start = asyncio.get_running_loop().time()
        async with AsyncExitStack() as block:
            opened = self.inner.open_reader(key, offset=offset, length=length)
            try:
                inner = await block.enter_async_context(opened)
            except BaseException as error:
                self._tell(self._record(operation, start, type(error)))
                raise
            number = self._record(operation, start)
            block.callback(self._tell, number)
            yield _TracedReader(inner, partial(self._add, number))

    def _record(self, operation: Operation, start: float, error: type[BaseException] | None = None) -> int:
        end = asyncio.get_running_loop().time()
        self._made += 1
        self._requests[self._made] = Request(
            operation.method, operation.key, start, end, operation.sent, operation.received, error
        )
        return self._made

    def _add(self, number: int, size: int, error: type[BaseException] | None) -> None:
        if request := self._requests.get(number):  # it is gone after a reset
            received = request.received + size
            self._requests[number] = replace(request, received=received, error=error or request.error)

    def _tell(self, number: int) -> None:
        if self._on_request is not None and number in self._requests:
            self._on_request(self._requests[number])


def round_trips(requests: Iterable[Request]) -> int:
    """Return the size of the longest chain of requests in which each began after the one before had ended.

    The number is exact where requests take time: with a `LatencyDriver` inside, on a virtual clock.
    """
    chain, free = 0, float("-inf")
    for request in sorted(requests, key=lambda request: request.end):
        if request.start >= free:
            chain, free = chain + 1, request.end
    return chain


class _TracedReader(Reader):
    def __init__(self, inner: Reader, add: Callable[[int, type[BaseException] | None], None]) -> None:
        self.info = inner.info
        self._inner = inner
        self._add = add

    async def read(self, size: int = 1 << 16, /) -> bytes:
        try:
            piece = await self._inner.read(size)
        except BaseException as error:
            self._add(0, type(error))
            raise
        self._add(len(piece), None)
        return piece
