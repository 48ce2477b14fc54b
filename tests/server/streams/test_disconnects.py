"""Clients that leave, or stand still, at every stage: nothing half-visible, nothing lost, nothing left."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from revstore_async import Digest, Driver, Registry, Repository
from revstore_async.server import RegistryApp, ServerOptions
from tests.parts.serving import Server, serving

BEGIN = "/v2/library/hello/blobs/uploads/"
SMALL = bytes(range(256)) * 12
LARGE = bytes(range(256)) * (12 << 12)  # more than any driver gathers before it sends a part
CONTENTS = pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])


@pytest.fixture(autouse=True)
async def nothing_is_left(
    server: Server, driver: Driver, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[None]:
    """No task goes on, no write stays unfinished, and nobody is told of an error that is none."""
    before = asyncio.all_tasks()
    yield
    await ended(before)
    assert await driver.purge_writers(timedelta(0)) == 0
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url) as opened:
        yield opened
        await asyncio.sleep(0)


async def ended(before: "set[asyncio.Task[Any]]") -> None:
    """Wait until no task is there but these, and the test."""
    while asyncio.all_tasks() - before - {asyncio.current_task()}:  # noqa: ASYNC110 (no event tells of it)
        await asyncio.sleep(0.01)


async def leave_after(server: Server, request: str, headers: str, sent: bytes) -> None:
    """Send the beginning of a request, and reset the connection."""
    _, writer = await server.connect()
    writer.write(f"{request} HTTP/1.1\r\nHost: registry\r\n{headers}\r\n".encode() + sent)
    await writer.drain()
    await asyncio.sleep(0.05)  # what was sent arrives; a reset would overtake it
    writer.transport.abort()


def framed(content: bytes, end: int, form: str) -> tuple[str, bytes]:
    """Return headers and bytes of a body that breaks off before `end`."""
    if form == "length":
        return f"Content-Length: {len(content)}\r\n", content[:end]
    return "Transfer-Encoding: chunked\r\n", f"{len(content):x}\r\n".encode() + content[:end]


FORMS = pytest.mark.parametrize("form", ["length", "chunked"])


@CONTENTS
@FORMS
async def test_a_push_in_one_request_that_breaks_off_leaves_nothing(
    server: Server,
    client: httpx.AsyncClient,
    driver: Driver,
    repository: Repository,
    content: bytes,
    form: str,
) -> None:
    digest = Digest.of(content)
    headers, sent = framed(content, len(content) - 1, form)
    before = asyncio.all_tasks()
    await leave_after(server, f"POST {BEGIN}?digest={digest}", headers, sent)
    await ended(before)
    assert not await repository.blobs.exists(digest)
    assert (await driver.list_all("")).entries == ()
    assert (await client.post(f"{BEGIN}?digest={digest}", content=content)).status_code == 201


@CONTENTS
@FORMS
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_an_upload_that_breaks_off_goes_on_from_what_was_taken(
    server: Server,
    client: httpx.AsyncClient,
    repository: Repository,
    content: bytes,
    form: str,
    method: str,
) -> None:
    digest, first = Digest.of(content), 1000
    location = (await client.post(BEGIN)).headers["location"]
    await client.patch(location, content=content[:first])
    headers, sent = framed(content[first:], len(content) - first - 1, form)
    before = asyncio.all_tasks()
    await leave_after(server, f"{method} {location}?digest={digest}", headers, sent)
    await ended(before)

    assert not await repository.blobs.exists(digest)
    offset = int((await client.get(location)).headers["range"].removeprefix("0-")) + 1
    assert offset == (len(content) - 1 if method == "PATCH" else first)
    rest = {"Content-Range": f"{offset}-{len(content) - 1}"}
    answer = await client.put(f"{location}?digest={digest}", content=content[offset:], headers=rest)
    assert answer.status_code == 201
    assert Digest.of(await repository.blobs.get(digest)) == digest


@pytest.mark.parametrize(
    ("request_line", "headers"),
    [
        ("GET /v2/", "Content-Length: 10\r\n"),
        (f"POST {BEGIN}", ""),
        (f"POST {BEGIN}?digest={Digest.of(SMALL)}", "Content-Length: 3072\r\n"),
        (f"POST {BEGIN}?digest={Digest.of(SMALL)}", "Content-Length: 3072\r\nExpect: 100-continue\r\n"),
        ("HEAD /v2/library/hello/blobs/" + Digest.of(LARGE), ""),
        ("GET /v2/library/hello/blobs/" + Digest.of(LARGE), ""),
        ("GET /v2/library/hello/blobs/" + Digest.of(LARGE), "Range: bytes=5-\r\n"),
    ],
)
async def test_a_client_that_leaves_before_the_answer_leaves_nothing(
    server: Server, repository: Repository, request_line: str, headers: str
) -> None:
    await repository.blobs.put(LARGE)
    await leave_after(server, request_line, headers, b"")
    assert not await repository.blobs.exists(Digest.of(SMALL))


async def test_a_client_that_leaves_amid_its_blob_leaves_nothing(
    server: Server, repository: Repository
) -> None:
    digest = (await repository.blobs.put(LARGE)).digest
    reader, writer = await server.connect()
    writer.write(f"GET /v2/library/hello/blobs/{digest} HTTP/1.1\r\nHost: registry\r\n\r\n".encode())
    await reader.readexactly(1 << 18)
    writer.transport.abort()


@pytest.mark.parametrize(
    "method", ["POST", "PATCH", "PUT"], ids=["in one request", "a chunk", "the last chunk"]
)
async def test_a_body_that_stands_still_is_given_up(registry: Registry, method: str) -> None:
    options = ServerOptions(body_timeout=timedelta(milliseconds=50))
    digest = Digest.of(SMALL)
    async with (
        serving(RegistryApp(registry, options=options)) as server,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        location = BEGIN if method == "POST" else (await client.post(BEGIN)).headers["location"]
        reader, writer = await server.connect()
        head = (
            f"{method} {location}?digest={digest} HTTP/1.1\r\nHost: registry\r\nContent-Length: 3072\r\n\r\n"
        )
        writer.write(head.encode() + SMALL[:1000])
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 408 ")
        writer.transport.abort()
        assert not await registry.repository("library/hello").blobs.exists(digest)
        if method == "PATCH":  # what came before it stood still was taken
            assert (await client.get(location)).headers["range"] == "0-999"
