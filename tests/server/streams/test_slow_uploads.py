"""Clients that send their bodies slowly: how slowly they may, and that they don't stop the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

import httpx
import pytest
from starlette.types import Message

from revstore_async import Digest, Registry
from revstore_async.errors import BodyTimeout
from revstore_async.server import RegistryApp, ServerOptions
from revstore_async.server.streams.deadlines import within
from revstore_async.server.streams.request_body import LEAST_RATE, RequestBody
from revstore_async.testing import run_on_virtual_clock
from tests.parts.serving import Server, serving

NAME = "library/hello"
BEGIN = f"/v2/{NAME}/blobs/uploads/"
MINUTE = timedelta(minutes=1)
Result = TypeVar("Result")


# ---- on a real server


@pytest.fixture
async def registry(in_memory: Registry) -> Registry:
    """A registry with little room."""
    part = in_memory.driver.capabilities.part_size
    return Registry(in_memory.driver, memory=4 * part, memory_wait=timedelta(seconds=1))


@pytest.fixture
async def server(registry: Registry) -> AsyncIterator[Server]:
    options = ServerOptions(body_timeout=timedelta(seconds=1), retry_after=timedelta(seconds=7))
    async with serving(RegistryApp(registry, options=options)) as running:
        yield running


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as opened:
        yield opened


async def trickle(server: Server, location: str) -> bytes:
    """Announce 8 MiB, send a byte now and then, and return the head of the answer."""
    reader, writer = await server.connect()
    writer.write(f"PATCH {location} HTTP/1.1\r\nHost: registry\r\nContent-Length: {8 << 20}\r\n\r\n".encode())
    answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
    while not answer.done():
        writer.write(b"x")
        await asyncio.wait([answer], timeout=0.05)
    writer.transport.abort()
    return await answer


async def test_bodies_that_trickle_are_given_up_and_what_came_is_kept(
    server: Server, client: httpx.AsyncClient, registry: Registry
):
    locations = [(await client.post(BEGIN)).headers["location"] for _ in range(4)]
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        trickling = [group.create_task(trickle(server, each)) for each in locations]
    for location, task in zip(locations, trickling, strict=True):
        assert task.result().startswith(b"HTTP/1.1 408 ")
        held = await client.get(location)  # what came was taken, and the upload goes on from there
        assert int(held.headers["range"].removeprefix("0-")) > 0
    assert registry.blobs.memory.taken == 0


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
async def test_a_body_without_room_is_refused_in_time_and_taken_when_there_is_some(
    client: httpx.AsyncClient, registry: Registry, method: str
):
    memory = registry.blobs.memory
    content = bytes(memory.small * 3)
    location = BEGIN if method == "POST" else (await client.post(BEGIN)).headers["location"]
    before = b""
    if method == "PUT":
        before = b"before"
        assert (await client.patch(location, content=before)).status_code == 202
    blob = before + content
    path = f"{location}?digest={Digest.of(blob)}"
    async with asyncio.timeout(30):
        with memory.share() as others:
            memory.arrived(others, memory.size)
            refused = await client.request(method, path, content=content)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "7")
        (told,) = refused.json()["errors"]
        assert told["code"] == "UNAVAILABLE"
        assert "try again later" in told["message"]
        assert memory.taken == 0
        if method == "PATCH":  # what came is kept, and the upload goes on from there
            held = (await client.get(location)).headers["range"].removeprefix("0-")
            content = content[int(held) + 1 if held != "0" else 0 :]
        assert (await client.request(method, path, content=content)).is_success
        if method == "PATCH":
            assert (await client.put(path)).is_success
    assert await registry.repository(NAME).blobs.get(Digest.of(blob)) == blob


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
async def test_small_content_needs_none_of_the_memory_that_large_content_holds(
    client: httpx.AsyncClient, registry: Registry, method: str
):
    memory = registry.blobs.memory
    location = BEGIN if method == "POST" else (await client.post(BEGIN)).headers["location"]
    path = f"{location}?digest={Digest.of(b'abc')}"
    async with asyncio.timeout(30):
        with memory.share() as others:
            memory.arrived(others, memory.size - memory.size // 16)
            assert (await client.request(method, path, content=b"abc")).is_success
            if method == "PATCH":
                assert (await client.put(path)).status_code == 201
    assert await registry.repository(NAME).blobs.get(Digest.of(b"abc")) == b"abc"


# ---- how slowly


class Sender:
    """Sends pieces, each some seconds after it is asked for, and then nothing more."""

    def __init__(self, *pieces: tuple[float, int]) -> None:
        self._next = iter(pieces)

    async def receive(self) -> Message:
        for seconds, size in self._next:
            await asyncio.sleep(seconds)
            return {"type": "http.request", "body": bytes(size), "more_body": True}
        await asyncio.Event().wait()
        raise AssertionError


def given_up(*pieces: tuple[float, int], storing: float = 0.0) -> tuple[float, int]:
    """Take a body until its client is given up; return after how many seconds that was, and bytes."""

    async def take() -> tuple[float, int]:
        body = RequestBody(Sender(*pieces).receive, MINUTE)
        with pytest.raises(BodyTimeout) as told:
            async for _ in body:
                await asyncio.sleep(storing)
        assert (told.value.received, told.value.seconds) == (body.taken, 60.0)
        return asyncio.get_running_loop().time(), body.taken

    return run_on_virtual_clock(take())


def test_a_client_that_stands_still_is_given_up_after_a_minute():
    assert given_up() == (60, 0)


def test_a_byte_now_and_then_gains_no_time():
    seconds, taken = given_up(*[(1.0, 1)] * 1000)
    assert (round(seconds), taken) == (60, 60)


@pytest.mark.parametrize("rate", [16 << 10, LEAST_RATE])
def test_a_bad_line_is_waited_for_however_long_it_takes(rate: int):
    seconds, taken = given_up(*[(1.0, rate)] * 10_000)
    assert (seconds, taken) == (10_060, 10_000 * rate)


def test_a_client_may_stand_still_again_and_again_when_it_sends_well_between():
    pieces = [(59.0, 64 << 10), *[(0.0, 64 << 10)] * 4] * 10
    seconds, taken = given_up(*pieces)
    assert (seconds, taken) == (650, 50 * 64 << 10)


def test_what_was_sent_fast_buys_no_more_than_a_minute():
    assert given_up((0.0, 1 << 30)) == (60, 1 << 30)


def test_a_client_is_not_blamed_for_a_slow_storage():
    seconds, taken = given_up(*[(1.0, LEAST_RATE)] * 100, storing=1000.0)
    assert (seconds, taken) == (100 * 1001 + 60, 100 * LEAST_RATE)


# ---- waiting


def late() -> Exception:
    return LookupError("too late")


async def returned(value: Result, seconds: float) -> Result:
    await asyncio.sleep(seconds)
    return value


@pytest.mark.parametrize("seconds", [0.0, 1.0, 59.0])
def test_what_is_waited_for_gives_its_result(seconds: float):
    assert run_on_virtual_clock(within(60, returned("it", seconds), late)) == "it"


def test_a_result_that_is_there_sets_no_timer(monkeypatch: pytest.MonkeyPatch):
    async def at_once() -> int:
        return 5

    monkeypatch.setattr(asyncio, "timeout", None)
    assert run_on_virtual_clock(within(60, at_once(), late)) == 5


def test_what_takes_too_long_is_cancelled_and_cleans_up():
    cleaned = []

    async def slow() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(1)
            cleaned.append(asyncio.get_running_loop().time())

    with pytest.raises(LookupError, match="too late"):
        run_on_virtual_clock(within(60, slow(), late))
    assert cleaned == [61]


def test_what_survives_its_cancellation_is_heard():
    async def stubborn() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(100)
        return "done"

    async def cancelled() -> str:
        task = asyncio.create_task(within(60, stubborn(), late))
        await asyncio.sleep(1)
        task.cancel()
        return await task

    assert run_on_virtual_clock(cancelled()) == "done"


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_an_error_goes_on_whatever_it_is(seconds: float):
    async def fail() -> None:
        await asyncio.sleep(seconds)
        raise TimeoutError("another's")

    with pytest.raises(TimeoutError, match="another's"):
        run_on_virtual_clock(within(60, fail(), late))
