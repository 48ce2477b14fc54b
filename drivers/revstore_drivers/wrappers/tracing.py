"""Records every request: how many, how long, how many of them one after another, and how they ended.

It sits outside of all layers that it measures; around retries it sees one request where the store sees several.
`intercept` defines a request. A reader's bytes are counted to its `open_reader`; its time ends when the first of
them could be read. Bytes given to a writer are counted to the `write` that they filled a part with, or to the
`commit` that sends the rest. It does not see calls on the driver within, nor does it hold any
content.
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
        start: When it was made, by the loop's clock.
        end: When it was answered.
        sent: Bytes of content that went in.
        received: Bytes of content that came out.
        error: The error that it ended with, if it did.
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
            on_request: Called with each request when it has ended, a reader's when its block is left. With
            it,
                a program feeds its metrics; it must not raise.
        """
        super().__init__(inner)
        self._on_request = on_request
        self._requests: dict[int, Request] = {}
        self._made = 0

    @property
    def requests(self) -> tuple[Request, ...]:
        """The requests answered so far, in the order of their answers."""
        return tuple(self._requests.values())

    @property
    def counts(self) -> Counter[str]:
        """How many there were, by method."""
        return Counter(request.method for request in self._requests.values())

    @property
    def round_trips(self) -> int:
        """How many were made one after another at most: see `round_trips`."""
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
    """Return how many of these requests were made one after another at most.

    It is the size of the longest chain of requests in which each began after the one before had ended. The
    answer means something where requests take time: with a `LatencyDriver` below, on a virtual clock.
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
