"""The process of the faulty proxy: `python -m tests.soak.faulty_proxy PORT SEED`.

The proxy stands between the replicas and the S3 server, and spoils a share of the requests. It writes its own port
as a line of JSON. Each line of its input is the share of requests to spoil; the proxy answers each with the faults
so far. It ends with its input. Its standard error gets a line for each fault.
"""

import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from bench.loops import run

HEADS = 1 << 16
"""The most bytes of a request's or an answer's head."""

_DELETED_BY_CLIENTS = re.compile(r"/_tags/|/_manifests/tags/|/soak/volatile/_manifests/|/_uploads/")

_GONE = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)


class Fault(Enum):
    """A fault of one request."""

    REFUSED = "the answer is 503 SlowDown, and the server never hears of the request"
    BROKEN = "the answer is 500 InternalError, and the server never hears of the request"
    RESET = "the connection breaks before the server hears of the request"
    LOST = "the connection breaks instead of the answer"
    LATE = "the connection breaks, and the request reaches the server a while later"
    SLOW = "the request takes a while longer"
    TRUNCATED = "the connection breaks in the middle of the answer"


ANSWERS = {Fault.REFUSED: ("503 Slow Down", "SlowDown"), Fault.BROKEN: ("500 Broken", "InternalError")}

LATEST = 3.0
"""Seconds by which a late request is late at most."""

SLOWEST = 1.5
"""Seconds that a slow request takes longer at most."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer, with its body as it is on the wire."""

    head: bytes
    body: bytes

    @property
    def first_line(self) -> bytes:
        return self.head.partition(b"\r\n")[0]

    @property
    def method(self) -> str:
        return self.head.partition(b" ")[0].decode()


class Proxy:
    """A running proxy.

    Attributes:
        share: The share of requests to spoil.
        requests: The number of requests so far.
        faults: The number of each fault so far.
    """

    def __init__(self, upstream: int, seed: int) -> None:
        self.share = 0.0
        self.requests = 0
        self.faults: Counter[str] = Counter()
        self._upstream = upstream
        self._random = random.Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[object, object, None]) -> None:
        """Do a work beside the others."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection by a connection of its own to the server."""
        try:
            server = await asyncio.open_connection("127.0.0.1", self._upstream, limit=HEADS)
        except OSError:
            writer.transport.abort()
            return
        try:
            with suppress(*_GONE):
                while await self._one(reader, writer, server):
                    pass
        finally:
            writer.transport.abort()
            server[1].transport.abort()

    async def _one(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> bool:
        request = await _request(reader, writer)
        fault = self._fault(request)
        if fault is Fault.RESET:
            return False
        if fault is Fault.LATE:
            self.begin(self._sent_late(request))
            return False
        if fault in ANSWERS:
            writer.write(_refusal(request, *ANSWERS[fault]))
            await writer.drain()
            return True
        if fault is Fault.SLOW:
            await asyncio.sleep(self._random.uniform(0.1, SLOWEST))
        answer = await _asked(request, server)
        if fault is Fault.LOST:
            return False
        whole = answer.head + answer.body
        if fault is Fault.TRUNCATED:
            writer.write(whole[: len(whole) // 2])
            await writer.drain()
            await asyncio.sleep(0.01)  # so that the first half arrives
            return False
        writer.write(whole)
        await writer.drain()
        return True

    def _fault(self, request: Message) -> Fault | None:
        self.requests += 1
        if self._random.random() >= self.share:
            return None
        fault: Fault = self._random.choice([*Fault])
        if fault is Fault.LATE and not _may_be_late(request):
            fault = Fault.RESET  # it is the same to the client
        self.faults[fault.name.lower()] += 1
        line = request.first_line.decode("latin-1").rpartition(" ")[0]
        print(f"{time.monotonic():.3f} {fault.name.lower()} {line}", file=sys.stderr, flush=True)
        return fault

    async def _sent_late(self, request: Message) -> None:
        await asyncio.sleep(self._random.uniform(0.1, LATEST))
        with suppress(OSError, *_GONE):
            server = await asyncio.open_connection("127.0.0.1", self._upstream, limit=HEADS)
            try:
                await _asked(request, server)
            finally:
                server[1].transport.abort()


def _may_be_late(request: Message) -> bool:
    """Return whether a request may reach the server after it was sent anew.

    A key that a client deletes comes back by a late write, and no condition of S3 prevents that. A late deletion
    takes a key that came anew, unless the deletion has an end.
    """
    target = request.first_line.decode("latin-1")
    if request.method == "DELETE" or (request.method == "POST" and "delete" in target):
        return "X-Amz-Expires" in target
    return request.method not in {"GET", "HEAD"} and not _DELETED_BY_CLIENTS.search(target)


def _fields(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def _request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Message:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = _fields(head)
    if fields.get("expect"):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"expect:")]
        head = b"\r\n".join(lines)
    return Message(head, await reader.readexactly(int(fields.get("content-length", "0"))))


async def _asked(request: Message, server: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> Message:
    reader, writer = server
    writer.write(request.head + request.body)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 1"):
        head = await reader.readuntil(b"\r\n\r\n")
    if request.method == "HEAD" or head.split(b" ", 2)[1] in {b"204", b"304"}:
        return Message(head, b"")
    fields = _fields(head)
    if fields.get("transfer-encoding") == "chunked":
        return Message(head, await _chunks(reader))
    return Message(head, await reader.readexactly(int(fields.get("content-length", "0"))))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    size = -1
    while size:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        pieces += [line, await reader.readexactly(size + 2)]
    return b"".join(pieces)


def _refusal(request: Message, status: str, code: str) -> bytes:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
    if request.method == "HEAD":
        body = b""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def serve(upstream: int, seed: int) -> None:
    """Run the proxy until the input ends."""
    proxy = Proxy(upstream, seed)
    server = await asyncio.start_server(
        lambda reader, writer: proxy.begin(proxy.serve(reader, writer)), "127.0.0.1", 0, limit=HEADS
    )
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print(json.dumps(server.sockets[0].getsockname()[1]), flush=True)
    while line := await lines.readline():
        proxy.share = float(json.loads(line))
        print(json.dumps({"requests": proxy.requests, **proxy.faults}), flush=True)


if __name__ == "__main__":
    run(serve(int(sys.argv[1]), int(sys.argv[2])))
