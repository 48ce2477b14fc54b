"""Clients that take their answers slowly, or not at all: they count, hold little, and are given up."""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from revstore_async import Digest, Registry
from revstore_async.errors import AnswerTimeout
from revstore_async.server import AccessLog, InFlight, RegistryApp, ServerOptions
from revstore_async.server.exchange import LARGE, PIECE, Exchange, exchange_of
from revstore_async.server.running.interrupted import AnswersCancelled, DropsStalled
from revstore_async.server.running.uvicorn_server import ListenOptions, _listen
from revstore_async.testing import run_on_virtual_clock
from tests.parts.bare import Bare
from tests.parts.documents import NAME, image
from tests.parts.programs import without_aws
from tests.parts.serving import Server, serving

MANIFESTS = f"/v2/{NAME}/manifests"
LONG = timedelta(hours=1)
SHORT = timedelta(milliseconds=300)
HUGE = 64 << 20  # bytes, which are more than the kernel takes for a client that reads nothing


class Clients:
    """Clients that send requests, and read only what the test reads."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    async def ask(self, server: Server, *paths: str) -> socket.socket:
        """Send requests over one connection, whose own end takes next to nothing."""
        connection = self._stack.enter_context(socket.socket())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", server.port))
        requests = "".join(f"GET {path} HTTP/1.1\r\nHost: registry\r\n\r\n" for path in paths)
        await loop.sock_sendall(connection, requests.encode())
        return connection


@pytest.fixture
def clients() -> Iterator[Clients]:
    with ExitStack() as stack:
        yield Clients(stack)


async def until(number: int, in_flight: InFlight) -> None:
    """Wait until so many requests are under way."""
    async with asyncio.timeout(60):
        while in_flight.count != number:  # noqa: ASYNC110 (no event tells of it)
            await asyncio.sleep(0.01)


@pytest.fixture
async def stored(lenient_app: RegistryApp) -> Registry:
    """A registry with a manifest of 4 MiB, and one that is just not large."""
    repository = lenient_app.registry.repository(NAME)
    for tag, size in (("large", (4 << 20) - 4096), ("small", LARGE - 1024)):
        await repository.manifests.put(image(b"{}", annotations={"note": "x" * size}), tag=tag)
    return lenient_app.registry


def limited(registry: Registry, body_timeout: timedelta, limit: int = 1000) -> InFlight:
    return InFlight(
        AnswersCancelled(RegistryApp(registry, options=ServerOptions(body_timeout=body_timeout))), limit
    )


def bounded(scope: Scope, receive: Receive, send: Send, timeout: timedelta) -> Exchange:
    """An exchange as `RegistryApp` makes it."""
    exchange = exchange_of(scope, receive, send)
    exchange.send_timeout = timeout.total_seconds()
    return exchange


# ---- they count


async def test_answers_that_nobody_takes_are_under_way_and_the_next_request_is_refused(
    stored: Registry, clients: Clients
):
    app = limited(stored, LONG, 3)
    async with serving(app) as server, httpx.AsyncClient(base_url=server.url) as other:
        waiting = [await clients.ask(server, f"{MANIFESTS}/large") for _ in range(3)]
        await until(3, app)
        assert (await other.get("/v2/")).status_code == 503
        for each in waiting:
            each.close()
        await until(0, app)
        assert (await other.get("/v2/")).status_code == 200


async def test_so_do_small_ones_that_are_asked_for_and_not_taken(stored: Registry, clients: Clients):
    app = limited(stored, LONG)
    async with serving(app) as server:
        connection = await clients.ask(server, *[f"{MANIFESTS}/small"] * 200)
        under_way = 0
        async with asyncio.timeout(60):
            while under_way < 20:  # one after another, until one stays
                await asyncio.sleep(0.01)
                under_way = under_way + 1 if app.count == 1 else 0
        connection.close()
        await until(0, app)


# ---- they are given up


@pytest.mark.parametrize("http", ["httptools", "h11"])
@pytest.mark.parametrize("what", ["an answer", "a blob", "many small ones"])
async def test_a_client_that_takes_nothing_is_given_up_and_loses_the_connection_at_once(
    stored: Registry, clients: Clients, caplog: pytest.LogCaptureFixture, http: str, what: str
):
    digest = (await stored.repository(NAME).blobs.put(bytes(HUGE))).digest
    app = limited(stored, SHORT)
    paths = {
        "an answer": [f"{MANIFESTS}/large"],
        "a blob": [f"/v2/{NAME}/blobs/{digest}"],
        "many small ones": [f"{MANIFESTS}/small"] * 400,
    }[what]
    with caplog.at_level(logging.INFO):
        async with serving(DropsStalled(AccessLog(app)), http=http) as server:
            connection = await clients.ask(server, *paths)
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(60):
                while "given up" not in caplog.text:  # noqa: ASYNC110 (no event tells of it)
                    await asyncio.sleep(0.01)
                with pytest.raises(ConnectionResetError):
                    while await loop.sock_recv(connection, 1 << 16):
                        pass
            await until(0, app)
    told = [record for record in caplog.records if record.levelno > logging.INFO]
    assert [(each.levelname, each.exc_info) for each in told] == [("WARNING", None)]
    assert paths[0] in told[0].getMessage()
    access = [json.loads(each.getMessage()) for each in caplog.records if each.name.endswith(".access")]
    assert [line["complete"] for line in access] == [True] * (len(access) - 1) + [False]


async def test_a_server_that_is_not_uvicorn_hears_of_it():
    async def never(message: Message) -> None:
        await asyncio.Event().wait()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AnswerTimeout(1, 1.0)

    with pytest.raises(AnswerTimeout):
        await DropsStalled(app)({"type": "http", "method": "GET"}, asyncio.Queue[Message]().get, never)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel has no such option")
@pytest.mark.parametrize(
    ("body_timeout", "milliseconds"), [(timedelta(seconds=60), 65_000), (timedelta.max, 2_000_000_000)]
)
def test_the_kernel_gives_up_what_no_request_waits_for_a_little_later(
    body_timeout: timedelta, milliseconds: int
):
    with _listen(ListenOptions(port=0, body_timeout=body_timeout)) as listener, socket.socket() as client:
        client.connect(listener.getsockname())
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == milliseconds
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 1 << 17


SERVER = """
import logging, sys
from datetime import timedelta
from revstore_async import Digest, Registry
from revstore_async.server import RegistryApp, ServerOptions, served
from revstore_async.server.running.uvicorn_server import ListenOptions, run

logging.basicConfig(stream=sys.stderr)
registry = Registry.open("memory:")
options = ServerOptions(body_timeout=timedelta(seconds=1))
app = served(RegistryApp(registry, options=options))
listen = ListenOptions(port=0, body_timeout=options.body_timeout)
run(app, registry, listen, lambda url: print(url, flush=True))
"""


async def test_a_server_as_the_command_runs_it_gives_up_who_takes_nothing(clients: Clients, tmp_path: Path):
    log = tmp_path / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(  # noqa: ASYNC220 (it only starts)
            [sys.executable, "-W", "error", "-c", SERVER],
            env=without_aws() | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        server = Server(int(process.stdout.readline().rpartition(":")[2]))
        async with httpx.AsyncClient(base_url=server.url) as other:
            content, path = bytes(HUGE), f"/v2/{NAME}/blobs/uploads/"
            location = (await other.post(path)).headers["location"]
            digest = Digest.of(content)
            put = await other.put(location, params={"digest": digest}, content=content)
            assert put.status_code == 201
        connection = await clients.ask(server, f"/v2/{NAME}/blobs/{digest}")
        async with asyncio.timeout(60):
            while "given up" not in log.read_text():  # noqa: ASYNC110 (no event tells of it)
                await asyncio.sleep(0.05)
            with pytest.raises(ConnectionResetError):
                while await asyncio.get_running_loop().sock_recv(connection, 1 << 16):
                    pass
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 20) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    (line,) = log.read_text().splitlines()
    assert line.startswith("WARNING:revstore_async.server:a client was given up in request ")


def test_a_client_that_takes_its_time_gets_everything():
    content, taken = os.urandom(5 * PIECE + 1), list[bytes]()

    async def slow(message: Message) -> None:
        await asyncio.sleep(59)
        taken.append(message.get("body", b""))

    async def answer() -> None:
        scope = {"type": "http", "method": "GET"}
        exchange = bounded(scope, asyncio.Queue[Message]().get, slow, timedelta(seconds=60))
        await PlainTextResponse(content)(scope, exchange.receive, exchange.send)

    run_on_virtual_clock(answer())
    assert b"".join(taken) == content
    assert max(map(len, taken)) == PIECE


# ---- what it costs


@pytest.mark.parametrize(
    ("method", "size", "bodies"),
    [
        ("HEAD", 4 << 20, [4 << 20]),
        ("GET", 0, [0]),
        ("GET", 2000, [2000]),
        ("GET", LARGE, [LARGE]),
        ("GET", 100_000, [100_000, 0]),
        ("GET", PIECE, [PIECE, 0]),
        ("GET", 2 * PIECE + 5, [PIECE, PIECE, 5, 0]),
    ],
)
async def test_only_large_content_takes_messages_more(method: str, size: int, bodies: list[int]):
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(bytes(size))(scope, receive, bounded(scope, receive, send, LONG).send)

    request = Bare(app, method, "/")
    assert len(await request.whole()) == size
    assert [len(message["body"]) for message in request.sent[1:]] == bodies
    assert [message.get("more_body", False) for message in request.sent[1:]] == [True] * (len(bodies) - 1) + [
        False
    ]


async def test_the_last_piece_of_a_blob_is_waited_for_without_anything_around_the_registry(stored: Registry):
    content = bytes(PIECE + LARGE + 1)
    digest = (await stored.repository(NAME).blobs.put(content)).digest
    request = Bare(RegistryApp(stored), "GET", f"/v2/{NAME}/blobs/{digest}")
    assert await request.whole() == content
    assert [len(message["body"]) for message in request.sent[1:]] == [PIECE, LARGE + 1, 0]


async def test_layers_share_an_exchange_and_an_answer_is_waited_for_once():
    sent, messages = asyncio.Queue[Message](), asyncio.Queue[Message]()
    scope = {"type": "http", "method": "GET"}
    outer = bounded(scope, messages.get, sent.put, LONG)
    assert exchange_of(scope, outer.receive, outer.send) is outer
    inner = exchange_of(scope, outer.receive, outer.send)
    await PlainTextResponse(bytes(LARGE + 1))(scope, inner.receive, inner.send)
    assert sent.qsize() == 3
    assert (outer.status, outer.sent, outer.complete) == (200, LARGE + 1, True)


async def test_a_layer_between_that_wraps_messages_gets_an_exchange_of_its_own_around_it():
    sent, messages = asyncio.Queue[Message](), asyncio.Queue[Message]()
    scope: Scope = {"type": "http", "method": "GET"}
    outer = exchange_of(scope, messages.get, sent.put)

    async def doubled(message: Message) -> None:
        await outer.send({**message, "body": 2 * message.get("body", b"")})

    async def received() -> Message:
        return await outer.receive()

    for receive, send in ((outer.receive, doubled), (received, outer.send)):
        assert exchange_of(scope, receive, send) is not outer
    assert exchange_of(dict(scope), outer.receive, outer.send) is not outer
    inner = exchange_of(scope, outer.receive, doubled)
    await PlainTextResponse(b"abc")(scope, inner.receive, inner.send)
    assert (inner.sent, outer.sent) == (3, 6)
