"""Clients that leave in the midst of something leave no garbage in the server."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from revstore_async import Digest, Registry
from revstore_async.server import RegistryApp
from tests.parts.garbage import without_cycles
from tests.parts.serving import Server, serving
from tests.parts.suite import pattern

BEGIN = "/v2/library/hello/blobs/uploads/"
CONTENT = pattern(3 << 20)


@pytest.fixture
async def server(in_memory: Registry) -> AsyncIterator[Server]:
    async with serving(RegistryApp(in_memory)) as running:
        yield running


async def leave(server: Server, method: str, path: str) -> None:
    """Send half of a body, and go."""
    _, writer = await server.connect()
    head = f"{method} {path} HTTP/1.1\r\nHost: registry\r\nContent-Length: {len(CONTENT)}\r\n\r\n"
    writer.write(head.encode() + CONTENT[: len(CONTENT) // 2])
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.transport.abort()


async def read_some(server: Server, path: str) -> None:
    """Take the first bytes of an answer, and go."""
    reader, writer = await server.connect()
    writer.write(f"GET {path} HTTP/1.1\r\nHost: registry\r\n\r\n".encode())
    await reader.readexactly(1000)
    writer.transport.abort()


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "GET"])
async def test_clients_that_leave_half_way_leave_no_content_in_memory(
    server: Server, in_memory: Registry, method: str
) -> None:
    digest = Digest.of(CONTENT)
    async with httpx.AsyncClient(base_url=server.url) as client:
        locations = [(await client.post(BEGIN)).headers["location"] for _ in range(3)]
        if method == "GET":
            assert (await client.put(f"{locations[0]}?digest={digest}", content=CONTENT)).is_success
        async with without_cycles() as left:
            for location in locations:
                if method == "GET":
                    await read_some(server, f"/v2/library/hello/blobs/{digest}")
                else:
                    path = BEGIN if method == "POST" else location
                    await leave(server, method, f"{path}?digest={digest}")
            while in_memory.blobs.memory.taken:  # noqa: ASYNC110 (no event tells)
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
    assert not left, "\n".join(left)
