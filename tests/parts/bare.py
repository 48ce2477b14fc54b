"""An application called without a server: the test holds each message that goes in and out."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.types import ASGIApp, Message

from revstore_async.driver import Driver, DriverWrapper, Reader


class Bare:
    """One request. The test puts the body into `incoming`; sent messages wait until the test takes them.

    Attributes:
        incoming: What the application will receive.
        sent: What it sent and the test took.
    """

    def __init__(
        self, app: ASGIApp, method: str, path: str, headers: Mapping[str, str] | None = None, query: str = ""
    ) -> None:
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.sent: list[Message] = []
        self._app = app
        self._wire: asyncio.Queue[Message] = asyncio.Queue()
        self._taken = asyncio.Semaphore(0)
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "scheme": "http",
            "query_string": query.encode(),
            "headers": [
                (name.lower().encode(), text.encode("latin-1"))
                for name, text in ({"Host": "registry.test"} | dict(headers or {})).items()
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }

    def body(self, *pieces: bytes, more: bool = False) -> None:
        """Have pieces of the body arrive; the last one ends it, unless there is more."""
        for number, piece in enumerate(pieces):
            is_last = number == len(pieces) - 1 and not more
            self.incoming.put_nowait({"type": "http.request", "body": piece, "more_body": not is_last})

    def leave(self) -> None:
        """Have the client disconnect."""
        self.incoming.put_nowait({"type": "http.disconnect"})

    async def call(self) -> None:
        """Call the application."""
        await self._app(self._scope, self.incoming.get, self._send)

    async def take(self) -> Message:
        """Take the next message that the application sends, which goes on only then."""
        message = await self._wire.get()
        self.sent.append(message)
        self._taken.release()
        return message

    async def rest(self) -> bytes:
        """Take all that is left, and return the body that was taken from the first message on."""
        while not (len(self.sent) > 1 and not self.sent[-1].get("more_body", False)):
            await self.take()
        return b"".join(message.get("body", b"") for message in self.sent)

    async def whole(self) -> bytes:
        """Call the application, take all that it sends, and return the body."""
        task = asyncio.create_task(self.call())
        body = await self.rest()
        await task
        return body

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    async def _send(self, message: Message) -> None:
        self._wire.put_nowait(message)
        await self._taken.acquire()


class Readers(DriverWrapper):
    """Watches the readers of a driver.

    Attributes:
        open: How many are open.
        opened: How many were opened.
        read: Bytes that were read from them.
        fail_after: Bytes of a reader after which it raises `error`.
        stalled: Whether a reader gives nothing more, and does not end.
    """

    def __init__(self, inner: Driver) -> None:
        super().__init__(inner)
        self.open = self.opened = self.read = 0
        self.fail_after: int | None = None
        self.error: Exception = RuntimeError("a reader's error")
        self.stalled = False

    def open_reader(
        self, key: str, *, offset: int = 0, length: int | None = None
    ) -> AbstractAsyncContextManager[Reader]:
        return self._watched(super().open_reader(key, offset=offset, length=length))

    @asynccontextmanager
    async def _watched(self, opening: AbstractAsyncContextManager[Reader]) -> AsyncIterator[Reader]:
        async with opening as reader:
            self.open += 1
            self.opened += 1
            try:
                yield _Watched(reader, self)
            finally:
                self.open -= 1


class _Watched(Reader):
    def __init__(self, inner: Reader, readers: Readers) -> None:
        self.info = inner.info
        self._inner = inner
        self._readers = readers
        self._read = 0

    async def read(self, size: int = 1 << 16, /) -> bytes:
        if self._readers.stalled:
            await asyncio.Event().wait()
        if self._readers.fail_after is not None and self._read >= self._readers.fail_after:
            raise self._readers.error
        piece = await self._inner.read(size)
        self._read += len(piece)
        self._readers.read += len(piece)
        return piece
