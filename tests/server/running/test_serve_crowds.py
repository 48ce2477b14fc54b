"""`revstore serve` before many clients that send slowly: the others are served."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from revstore_async import Digest
from tests.parts.minio import MinIO
from tests.parts.serve_command import Serving, serving

SLOW, EACH = (
    130,
    8 << 20,
)  # clients, and the bytes that each announces: together more than there is memory for
BEGIN = "/v2/library/hello/blobs/uploads/"


@asynccontextmanager
async def crawling(server: Serving, method: str, location: str) -> AsyncIterator[asyncio.Task[None]]:
    """Send 5 kB a second of a large body, in a connection of its own, for as long as the block lasts."""
    host, port = urlsplit(server.url).netloc.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"{method} {location} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {EACH}\r\n\r\n"

    async def crawl() -> None:
        writer.write(head.encode())
        while True:
            writer.write(bytes(500))
            await writer.drain()
            await asyncio.sleep(0.1)

    task = asyncio.create_task(crawl())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        writer.transport.abort()
        assert not reader.at_eof(), "the server answered before the end of the body"


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_pushes_pass_a_crowd_of_clients_that_send_slowly(
    minio: MinIO, tmp_path: Path, method: str
) -> None:
    url = minio.new_store_url()
    with serving(tmp_path, "--store", url, variables=minio.environment()) as server:
        async with asyncio.timeout(60), httpx.AsyncClient(base_url=server.url, timeout=15) as client:
            blocks = []
            for _ in range(SLOW):
                location = (await client.post(BEGIN)).headers["location"]
                query = f"?digest={Digest.of(b'never')}" if method == "PUT" else ""
                blocks.append(crawling(server, method, location + query))
                await blocks[-1].__aenter__()
            try:
                await asyncio.sleep(2)
                for number in range(5):
                    content = b"%03d" % number
                    pushed = await client.post(f"{BEGIN}?digest={Digest.of(content)}", content=content)
                    assert pushed.status_code == 201
                    location = (await client.post(BEGIN)).headers["location"]
                    assert (await client.patch(location, content=content)).status_code == 202
                    done = await client.put(f"{location}?digest={Digest.of(content)}")
                    assert done.status_code == 201
                large = bytes(9 << 20)
                location = (await client.post(BEGIN)).headers["location"]
                assert (await client.patch(location, content=large)).status_code == 202
                assert (await client.put(f"{location}?digest={Digest.of(large)}")).status_code == 201
            finally:
                for block in blocks:
                    await block.__aexit__(None, None, None)
