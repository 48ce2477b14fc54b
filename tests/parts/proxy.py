"""A proxy on loopback that spoils requests and answers: a network and servers that a test can't have otherwise.

It stands between the S3 driver and MinIO, in the loop of the test. Each fault is for one request, the next that
matches. All other requests pass as they are.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus

ERROR = """<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>{code}</Code><Message>injected</Message><Key>key</Key></Error>"""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that passes."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """The proxy answers itself, and the server never hears of it."""

    status: int
    code: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ERROR


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection breaks before the server hears of it."""


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """The server does it, and the connection breaks instead of its answer.

    Attributes:
        then: What happens in between, after the server has done it.
        answer: What comes instead of a broken connection.
    """

    then: Callable[[], object] | None = None
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Truncate:
    """The connection breaks after so many bytes of the answer's body."""

    after: int


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing comes any more after so many bytes of the answer's body."""

    after: int


@dataclass(frozen=True, slots=True)
class Drip:
    """The answer's body comes byte by byte, one in so many seconds."""

    pause: float


@dataclass(frozen=True, slots=True)
class Corrupt:
    """A byte of the body is another one when it comes to the server."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing comes at all."""


Fault = Answer | Reset | LoseAnswer | Truncate | Stall | Drip | Silence | Corrupt


class Proxy:
    """A running proxy.

    Attributes:
        requests: What came, in order.
    """

    def __init__(self, upstream: int) -> None:
        self.requests: list[Request] = []
        self.port = 0
        self._upstream = upstream
        self._faults: list[tuple[Callable[[Request], bool], Fault]] = []
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def spoil(self, fault: Fault, *, times: int = 1, method: str = "", has: str = "", skip: int = 0) -> None:
        """Spoil the next requests of a method with a text in the target, after so many of them."""
        passed = itertools.count()

        def matches(request: Request) -> bool:
            return method in {"", request.method} and has in request.target and next(passed) >= skip

        self._faults += [(matches, fault)] * times

    def unused(self) -> int:
        """Return how many faults no request has met."""
        return len(self._faults)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self._open.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._one(reader, writer):
                pass
        self._open.discard(writer)
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)
        }
        if headers.pop("expect", ""):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(method, target, headers, body)
        self.requests.append(request)
        return await self._spoiled(request, writer, self._fault(request))

    def _fault(self, request: Request) -> Fault | None:
        for number, (matches, fault) in enumerate(self._faults):
            if matches(request):
                del self._faults[number]
                return fault
        return None

    async def _spoiled(self, request: Request, writer: asyncio.StreamWriter, fault: Fault | None) -> bool:
        if isinstance(fault, Reset):
            writer.transport.abort()
            return False
        if isinstance(fault, Silence):
            await asyncio.sleep(3600)
        if isinstance(fault, Answer):
            await self._answer(writer, fault, request)
            return True
        if isinstance(fault, Corrupt):
            request = replace(request, body=bytes([request.body[0] ^ 1]) + request.body[1:])
        head, body = await self._ask(request)
        if isinstance(fault, LoseAnswer):
            return await self._lost(request, writer, fault)
        return await self._handed_on(head, body, writer, fault)

    async def _lost(self, request: Request, writer: asyncio.StreamWriter, fault: LoseAnswer) -> bool:
        if fault.then is not None:
            await asyncio.to_thread(fault.then)
        if fault.answer is not None:
            await self._answer(writer, fault.answer, request)
            return True
        writer.transport.abort()
        return False

    @staticmethod
    async def _handed_on(head: bytes, body: bytes, writer: asyncio.StreamWriter, fault: Fault | None) -> bool:
        if isinstance(fault, Truncate | Stall):
            writer.write(head + body[: fault.after])
            await writer.drain()
            await asyncio.sleep(3600 if isinstance(fault, Stall) else 0.02)  # so that what was sent arrives
            writer.transport.abort()
            return False
        if isinstance(fault, Drip):
            writer.write(head)
            for byte in body:
                writer.write(bytes([byte]))
                await asyncio.sleep(fault.pause)
            return True
        writer.write(head + body)
        await writer.drain()
        return True

    @staticmethod
    async def _answer(writer: asyncio.StreamWriter, answer: Answer, request: Request) -> None:
        body = b"" if request.method == "HEAD" else answer.body.format(code=answer.code).encode()
        headers = {"Content-Length": str(len(body)), "Content-Type": "application/xml", **answer.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        status = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
        writer.write(f"{status}{lines}\r\n".encode() + body)
        await writer.drain()

    async def _ask(self, request: Request) -> tuple[bytes, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        try:
            headers = {**request.headers, "connection": "close"}
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            begin = f"{request.method} {request.target} HTTP/1.1\r\n{lines}\r\n"
            writer.write(begin.encode("latin-1") + request.body)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.read(-1)
        finally:
            writer.close()
        lines_back = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        return b"\r\n".join(lines_back), body

    def close(self) -> None:
        """Break every connection."""
        for writer in [*self._open]:
            writer.transport.abort()


@asynccontextmanager
async def running(upstream: int | Proxy) -> AsyncIterator[Proxy]:
    """Run a proxy before a port of loopback, or the proxy that is given, for as long as the block lasts."""
    proxy = Proxy(upstream) if isinstance(upstream, int) else upstream
    tasks: set[asyncio.Task[None]] = set()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.close()
        for task in [*tasks]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
