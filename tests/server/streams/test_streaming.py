"""Blobs on their way out: as fast as the client takes them, and no reader left open, whatever happens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from revstore_async import Digest, Registry
from revstore_async.driver import Driver, DriverWrapper, Writer, open_driver
from revstore_async.errors import AnswerTimeout, BlobDamaged, Throttled, Unavailable
from revstore_async.server import RegistryApp, ServerOptions
from revstore_async.server.exchange import PIECE
from tests.parts.bare import Bare, Readers
from tests.parts.serving import client_of, serving

CONTENT = bytes(range(256)) * (16 * PIECE // 256)


@pytest.fixture
async def readers() -> AsyncIterator[Readers]:
    async with Readers(open_driver("memory:")) as opened:
        yield opened
        assert opened.open == 0


@pytest.fixture
def registry(readers: Readers) -> Registry:
    return Registry(readers)


@pytest.fixture
async def path(registry: Registry) -> str:
    digest = (await registry.repository("library/hello").blobs.put(CONTENT)).digest
    return f"/v2/library/hello/blobs/{digest}"


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0.001)  # hashing is done in threads


async def test_no_more_is_read_than_the_client_takes(app: RegistryApp, readers: Readers, path: str) -> None:
    request = Bare(app, "GET", path)
    task = asyncio.create_task(request.call())
    for taken in range(8):
        await settled()
        assert readers.read <= (taken + 1) * PIECE
        await request.take()
    assert Digest.of(await request.rest()) == Digest.of(CONTENT)
    await task


async def test_the_headers_are_there_before_most_of_the_content_is_read(
    app: RegistryApp, readers: Readers, path: str
) -> None:
    request = Bare(app, "GET", path)
    task = asyncio.create_task(request.call())
    message = await request.take()
    assert (message["status"], readers.read) == (200, PIECE)
    await request.rest()
    await task


async def test_the_reader_is_closed_before_the_client_has_the_last_piece(
    app: RegistryApp, readers: Readers, path: str
) -> None:
    request = Bare(app, "GET", path)
    task = asyncio.create_task(request.call())
    while sum(len(message.get("body", b"")) for message in request.sent) < len(CONTENT) - PIECE:
        await request.take()
    await settled()
    assert readers.open == 0
    await request.rest()
    await task


@pytest.mark.parametrize("taken", [0, 1, 5])
async def test_a_client_that_leaves_ends_it(
    app: RegistryApp, readers: Readers, path: str, taken: int
) -> None:
    request = Bare(app, "GET", path)
    request.body(b"")
    task = asyncio.create_task(request.call())
    for _ in range(taken + 1):
        await request.take()
    request.leave()
    await task
    assert (readers.opened, readers.open) == (1, 0)
    assert request.sent[-1].get("more_body", True)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_client_that_leaves_while_the_storage_stalls_ends_it_too(
    app: RegistryApp, readers: Readers, path: str
) -> None:
    request = Bare(app, "GET", path)
    task = asyncio.create_task(request.call())
    await request.take()
    readers.stalled = True
    await request.take()
    request.leave()
    await task
    assert readers.open == 0


@pytest.mark.parametrize("taken", [0, 1, 5])
async def test_a_cancelled_answer_closes_the_reader(
    app: RegistryApp, readers: Readers, path: str, taken: int
) -> None:
    request = Bare(app, "GET", path)
    task = asyncio.create_task(request.call())
    for _ in range(taken):
        await request.take()
    await settled()
    assert readers.open == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_client_that_takes_nothing_is_given_up(registry: Registry, path: str) -> None:
    app = RegistryApp(registry, options=ServerOptions(body_timeout=timedelta(milliseconds=20)))
    request = Bare(app, "GET", path)
    task = asyncio.create_task(request.call())
    for _ in range(3):
        await request.take()
    with pytest.raises(AnswerTimeout) as timeout:
        await task
    assert timeout.value.sent in {PIECE, 2 * PIECE}  # the third one was taken, or stands still


@pytest.mark.parametrize("error", [Throttled("secret/key", "slow down", 7.0), Unavailable("secret/key", "?")])
async def test_a_storage_that_fails_at_once_is_told_by_a_status(
    app: RegistryApp, readers: Readers, path: str, error: Unavailable
) -> None:
    readers.fail_after, readers.error = 0, error
    async with client_of(app) as client:
        answer = await client.get(path)
    assert answer.status_code == (429 if isinstance(error, Throttled) else 503)
    assert answer.headers["retry-after"] == ("7" if isinstance(error, Throttled) else "5")
    assert "secret" not in answer.text


async def test_a_storage_that_breaks_off_breaks_the_answer_off(
    app: RegistryApp, readers: Readers, path: str
) -> None:
    readers.fail_after, readers.error = 3 * PIECE, Unavailable("key", "gone")
    async with serving(app) as server, httpx.AsyncClient(base_url=server.url) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(path)
        readers.fail_after = None
        assert Digest.of((await client.get(path)).content) == Digest.of(CONTENT)


async def test_a_large_blob_that_is_damaged_is_never_handed_out_whole(
    app: RegistryApp, registry: Registry, readers: Readers, path: str
) -> None:
    await readers.put(registry.blobs.path(Digest.of(CONTENT)), CONTENT[:-1] + b"?")
    request = Bare(app, "GET", path)
    task = asyncio.create_task(request.call())
    taking = asyncio.create_task(request.rest())
    with pytest.raises(BlobDamaged):
        await task
    taking.cancel()
    assert sum(len(message.get("body", b"")) for message in request.sent) < len(CONTENT)


async def test_a_server_that_leaves_verifying_to_clients_hands_out_what_the_storage_has(
    registry: Registry, readers: Readers, path: str
) -> None:
    damaged = CONTENT[:-1] + b"?"
    await readers.put(registry.blobs.path(Digest.of(CONTENT)), damaged)
    async with client_of(RegistryApp(registry, options=ServerOptions(verify_blobs=False))) as client:
        assert (await client.get(path)).content == damaged


async def test_a_client_that_reads_slowly_makes_the_server_read_slowly(
    app: RegistryApp, registry: Registry, readers: Readers
) -> None:
    content = bytes(64 << 20)
    digest = (await registry.repository("library/hello").blobs.put(content)).digest
    async with serving(app) as server:
        reader, writer = await server.connect()
        writer.write(f"GET /v2/library/hello/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        before = -1
        while readers.read != before:  # until nothing moves: the sockets of both sides are full
            before = readers.read
            await asyncio.sleep(0.2)
        assert before < len(content) / 2
        assert Digest.of(await reader.readexactly(len(content))) == digest
        writer.close()


# ---- and in


class Stalling(DriverWrapper):
    """A driver whose writers take nothing more until they may."""

    def __init__(self, inner: Driver) -> None:
        super().__init__(inner)
        self.may = asyncio.Event()

    @asynccontextmanager
    async def open_writer(self, key: str) -> AsyncIterator[Writer]:
        async with self.inner.open_writer(key) as writer:
            await self.may.wait()
            yield writer


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
async def test_no_more_is_taken_from_a_client_than_the_storage_takes(method: str) -> None:
    async with Stalling(open_driver("memory:")) as driver:
        app = RegistryApp(Registry(driver))
        path = "/v2/library/hello/blobs/uploads/"
        if method != "POST":
            async with client_of(app) as client:
                path = (await client.post(path)).headers["location"]
        request = Bare(app, method, path, query=f"digest={Digest.of(CONTENT)}")
        step = 1 << 16
        request.body(*(CONTENT[start : start + step] for start in range(0, len(CONTENT), step)))
        pieces = request.incoming.qsize()
        task = asyncio.create_task(request.call())
        await settled()
        taken = (pieces - request.incoming.qsize()) * step
        assert taken <= 2 * driver.capabilities.part_size + step < len(CONTENT)
        driver.may.set()
        await request.rest()
        await task
        assert request.status == (202 if method == "PATCH" else 201)
