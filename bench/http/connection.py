"""One connection: one request at a time."""

import asyncio
from collections.abc import Callable, Iterable
from typing import cast

from .parsing import Answer, Parser

Body = bytes | Callable[[], Iterable[bytes | memoryview]]
"""A request's body: bytes, or a function that returns the pieces, anew at each call."""

_PIECE = 1 << 18


class Connection(asyncio.Protocol):
    """A connection to a server; `Client` makes them."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser: Parser | None = None
        self._done: asyncio.Future[Answer] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.first_byte = 0.0
        self.usable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(1 << 20)

    def data_received(self, data: bytes) -> None:
        """Read the answer; bytes that belong to no request end the connection."""
        done, parser = self._done, self._parser
        if done is None or parser is None or done.done():
            self.close()
            return
        if not self.first_byte:
            self.first_byte = asyncio.get_running_loop().time()
        try:
            whole = parser.feed(data)
        except (ConnectionError, ValueError) as error:
            self.usable = False
            done.set_exception(error)
            return
        if whole and parser.answer is not None:
            done.set_result(parser.answer)

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the request under way."""
        self.usable = False
        self._writable.set()
        if self._done is not None and not self._done.done():
            self._done.set_exception(error or ConnectionResetError("the server closed the connection"))

    def pause_writing(self) -> None:
        """Let the body wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let the body go on."""
        self._writable.set()

    def close(self) -> None:
        """Close the connection at once."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    async def ask(self, head: bytes, body: Body, *, keep: bool) -> Answer:
        """Send a request and return its answer.

        Raises:
            OSError: The connection broke.
        """
        transport = self._transport
        assert transport is not None
        self._parser = Parser(bodiless=head.startswith(b"HEAD "), keep=keep)
        self._done = asyncio.get_running_loop().create_future()
        self.first_byte = 0.0
        try:
            if isinstance(body, bytes) and len(body) < _PIECE:
                transport.write(head + body)
            else:
                transport.write(head)
                await self._send(transport, body)
            answer = await self._done
        except BaseException:
            self.close()  # an answer half read is of no use to the next request
            raise
        if answer.closes:
            self.close()
        return answer

    async def _send(self, transport: asyncio.Transport, body: Body) -> None:
        pieces = body() if callable(body) else _cut(body)
        for piece in pieces:
            if self._done is not None and self._done.done():
                return  # refused before it was sent
            transport.write(piece)
            await self._writable.wait()
            await asyncio.sleep(0)


def _cut(body: bytes) -> Iterable[memoryview]:
    view = memoryview(body)
    for start in range(0, len(view), _PIECE):
        yield view[start : start + _PIECE]
