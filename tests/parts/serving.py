"""Registries that answer: an application asked in process, or by real clients on a loopback port."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.types import ASGIApp

from revstore_async import Policy, Registry
from revstore_async.server import RegistryApp
from revstore_async.testing import registry as for_tests

_HANDSHAKE = b"\x16"  # what TLS begins with (RFC 8446, 5.1)


def client_of(app: ASGIApp, **options: Any) -> httpx.AsyncClient:
    """Return a client of an application, without a network; the application's exceptions reach the test."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://registry.test", **options)


async def ask(app: ASGIApp, path: str, method: str = "GET", **options: Any) -> httpx.Response:
    """Ask an application one thing."""
    async with client_of(app) as client:
        return await client.request(method, path, **options)


def error_code(answer: httpx.Response) -> str:
    """Return the code of the one error that an answer tells."""
    (error,) = answer.json()["errors"]
    code: str = error["code"]
    return code


@dataclass(frozen=True, slots=True)
class Server:
    """A server on loopback."""

    port: int

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a bare connection, for a client that misbehaves."""
        return await asyncio.open_connection("127.0.0.1", self.port)


@asynccontextmanager
async def serving(app: ASGIApp, **options: Any) -> AsyncIterator[Server]:
    """Run uvicorn with an application in this loop, on a free port of loopback.

    Args:
        app: The application.
        **options: Of `revstore_async.testing.registry.serving`.
    """
    async with for_tests.serving(app, **options) as url:
        yield Server(int(url.rpartition(":")[2]))


@asynccontextmanager
async def replicas(url: str, count: int, *, policy: Policy | None = None) -> AsyncIterator[Server]:
    """Run servers with nothing in common but the store, behind one port; each request goes to the next one."""
    async with AsyncExitStack() as stack:
        servers = []
        for _ in range(count):
            registry = await stack.enter_async_context(Registry.open(url, policy=policy))
            servers.append(await stack.enter_async_context(serving(RegistryApp(registry))))
        yield await stack.enter_async_context(_alternating(servers))


@asynccontextmanager
async def _alternating(servers: list[Server]) -> AsyncIterator[Server]:
    turns = itertools.cycle(servers)
    open_ones: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    await _pass_on(next(turns), reader, writer)
        finally:
            open_ones.discard(writer)
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield Server(listening.sockets[0].getsockname()[1])
        for writer in open_ones:
            writer.transport.abort()
    await asyncio.sleep(0)


async def _pass_on(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass one request on, and its answer back: heads and bodies as they are."""
    head = await reader.readexactly(1)
    if head == _HANDSHAKE:
        raise ConnectionResetError(
            "it does not speak TLS; a client that tries that first waits for the answer"
        )
    head += await reader.readuntil(b"\r\n\r\n")
    upstream, sink = await server.connect()
    try:
        sink.write(head)
        fields = _fields(head)
        if fields.get("expect"):
            writer.write(await upstream.readuntil(b"\r\n\r\n"))
        if fields.get("transfer-encoding") == "chunked":
            await _chunks(reader, sink)
        else:
            await _copy(reader, sink, int(fields.get("content-length", "0")))
        answer = await upstream.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if not head.startswith(b"HEAD "):  # every answer of ours says its length, or has no body
            await _copy(upstream, writer, int(_fields(answer).get("content-length", "0")))
    finally:
        sink.close()


def _fields(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter, count: int) -> None:
    while count:
        piece = await source.readexactly(min(count, 1 << 16))
        sink.write(piece)
        await sink.drain()
        count -= len(piece)


async def _chunks(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    size = -1
    while size:
        line = await source.readuntil(b"\r\n")
        sink.write(line)
        size = int(line.split(b";")[0], 16)
        await _copy(source, sink, size + 2)  # and the line's end that follows a chunk
