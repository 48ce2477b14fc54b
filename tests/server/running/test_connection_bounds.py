"""What a client may send before it is judged, and for how long: `revstore serve`, and clients without measure."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from revstore_async import Digest, Registry
from revstore_async.server import RegistryApp
from revstore_async.server.running.connections import (
    Connections,
    Limits,
    Seldom,
    State,
    room_for_connections,
)
from revstore_async.server.running.uvicorn_server import bounded
from tests.parts.raw_clients import connected, read_to_end, resident, send_and_read, status_line
from tests.parts.serve_command import Serving, serving, status_of
from tests.parts.serving import serving as serving_here

MIB = 1 << 20
FLOOD = 48 * MIB  # bytes that a client would send; the server must not keep them
ROOM = 40 * MIB  # bytes that a server may grow by while it takes such a flood
HOST = b"Host: registry\r\n"
GET = b"GET /v2/ HTTP/1.1\r\n" + HOST
POST = b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n" + HOST
CHUNKED = (
    POST.replace(b"uploads/", b"uploads/?digest=sha256:" + b"0" * 64) + b"Transfer-Encoding: chunked\r\n\r\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Give a server that waits for a second."""
    options = ("--head-timeout", "1", "--idle-timeout", "1", "--body-timeout", "1")
    with serving(tmp_path_factory.mktemp("server"), *options) as running:
        assert status_of(f"{running.url}/v2/") == 200
        yield running


@pytest.mark.parametrize(
    ("begin", "endless", "status"),
    [
        pytest.param(b"GET /", b"a", 414, id="a target"),
        pytest.param(b"GET /?", b"a", 414, id="a query"),
        pytest.param(b"", b"G", 400, id="a method"),
        pytest.param(b"", b"\r\n", 431, id="blank lines before a request"),
        pytest.param(GET, b"X: " + b"y" * 100 + b"\r\n", 431, id="long fields"),
        pytest.param(GET, b"X:\r\n", 431, id="short fields"),
        pytest.param(GET + b"X: ", b"a", 431, id="a field's value"),
        pytest.param(GET + b"X: ", b" ", 431, id="spaces before a field's value"),
        pytest.param(GET + b"X: a", b" ", 431, id="spaces after a field's value"),
        pytest.param(GET, b"a", 431, id="a field's name"),
        pytest.param(CHUNKED + b"1;", b"a", 400, id="an extension of a chunk"),
        pytest.param(CHUNKED + b"1", b";a=b", 400, id="extensions of a chunk"),
        pytest.param(CHUNKED, b"0", 400, id="the size of a chunk"),
        pytest.param(CHUNKED, b"1;" + b"a" * 1000 + b"\r\nb\r\n", 400, id="an extension of each chunk"),
        pytest.param(CHUNKED + b"0\r\n", b"X: " + b"y" * 100 + b"\r\n", 400, id="trailers"),
        pytest.param(CHUNKED + b"0\r\nX: ", b"a", 400, id="a trailer"),
    ],
)
def test_what_is_sent_without_end_is_refused_and_not_kept(
    server: Serving, begin: bytes, endless: bytes, status: int
):
    before = resident(server)
    with connected(server) as connection:
        answer = send_and_read(connection, begin, endless, FLOOD)
    assert status_line(answer) == status
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    assert json.loads(body)["errors"][0]["code"] == "UNSUPPORTED"
    assert resident(server) - before < ROOM
    assert status_of(f"{server.url}/v2/") == 200


def test_of_requests_sent_ahead_few_are_kept(server: Serving):
    before = resident(server)
    with connected(server) as connection:
        answers = send_and_read(connection, b"", GET + b"\r\n", FLOOD)
    assert 1 <= answers.count(b"HTTP/1.1 200 OK") <= 20
    assert b"HTTP/1.1 400" not in answers
    assert resident(server) - before < ROOM


def test_a_body_sent_ahead_waits_with_the_client(server: Serving):
    blob = f"{server.url}/v2/a/blobs/{pushed(server, bytes(16 * MIB))}".removeprefix(server.url)
    before = resident(server)
    ahead = f"GET {blob} HTTP/1.1\r\n".encode() + HOST + b"\r\n" + POST + b"Content-Length: 999999999\r\n\r\n"
    with connected(server) as connection:
        connection.setblocking(False)
        sent = 0
        try:
            connection.send(ahead)
            while sent < FLOOD:
                sent += connection.send(bytes(1 << 16))
                time.sleep(0.001)
        except (BlockingIOError, ConnectionError):  # the server takes no more, or has given the client up
            pass
        assert sent < FLOOD
        assert resident(server) - before < ROOM


@pytest.mark.parametrize(
    ("begin", "drip", "statuses"),
    [
        pytest.param(b"", b"", [], id="nothing"),
        pytest.param(b"GET /v2", b"", [408], id="half a request line"),
        pytest.param(GET, b"", [408], id="half a head"),
        pytest.param(GET + b"X: ", b"a", [408], id="a field, byte by byte"),
        pytest.param(b"", b"\r\n", [408], id="blank lines, one by one"),
        pytest.param(GET + b"\r\n", b"", [200], id="a request, and no other"),
        pytest.param(GET + b"\r\nGET", b"", [200, 408], id="a request, and half of another"),
        pytest.param(GET + b"\r\n", b"\r\n", [200, 408], id="a request, and blank lines"),
        pytest.param(
            b"POST /v2/ HTTP/1.1\r\n" + HOST + b"Content-Length: 9999\r\n\r\n",
            b"a",
            [405],
            id="a body that is answered already",
        ),
        pytest.param(CHUNKED + b"5", b"", [408], id="half a chunk's size"),
        pytest.param(CHUNKED + b"0\r\nX: ", b"", [408], id="half a trailer"),
    ],
)
def test_who_stands_still_or_crawls_is_closed(
    server: Serving, begin: bytes, drip: bytes, statuses: list[int]
):
    with connected(server) as connection:
        connection.settimeout(0.1)
        answers = bytearray()
        unsent = begin
        for _ in range(300):
            try:
                connection.sendall(unsent)
                unsent = drip
                came = connection.recv(1 << 16)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            if not came:
                break
            answers += came
        else:
            raise AssertionError("the connection stays open")
    assert [int(part[:3]) for part in bytes(answers).split(b"HTTP/1.1 ")[1:]] == statuses


def test_a_body_in_the_smallest_chunks_is_taken(server: Serving):
    content = b"a" * 20_000
    location = begun(server)
    with connected(server) as connection:
        head = (
            f"PATCH {location} HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n".encode()
            + HOST
        )
        connection.sendall(head + b"\r\n" + b"1\r\na\r\n" * len(content) + b"0\r\n\r\n")
        answer = read_to_end(connection)
    assert status_line(answer) == 202
    assert b"range: 0-19999" in answer.lower()


def test_trailers_are_no_fields_of_the_head(server: Serving):
    """Else a client could add what was judged already, such as credentials."""
    with connected(server) as connection:
        connection.sendall(
            CHUNKED
            + b"0\r\nX-Request-ID: trailer\r\n\r\n"
            + GET
            + b"X-Request-ID: after\r\nConnection: close\r\n\r\n"
        )
        answers = read_to_end(connection)
    assert [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]] == [400, 200]


def test_the_wish_for_another_protocol_is_ignored_and_bodies_are_read(server: Serving):
    """As Java's client wishes for HTTP/2 with each of its first requests, uploads too."""
    wish = (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
    )
    location = begun(server)
    with connected(server) as connection:
        patch = f"PATCH {location} HTTP/1.1\r\n".encode() + HOST + wish
        connection.sendall(
            patch
            + b"Content-Length: 5\r\n\r\nhello"
            + GET
            + wish
            + b"\r\n"
            + patch
            + b"Transfer-Encoding: chunked\r\n\r\n3\r\n wo\r\n3\r\nrld\r\n0\r\n\r\n"
            + GET
            + b"Connection: close\r\n\r\n"
        )
        answers = read_to_end(connection)
    assert [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]] == [202, 200, 202, 200]
    assert b"range: 0-4\r\n" in answers
    assert b"range: 0-10\r\n" in answers


def test_what_is_no_http_is_answered_after_the_answers_before(server: Serving):
    with connected(server) as connection:
        connection.sendall(GET + b"\r\n" + b"\x00nonsense\r\n\r\n")
        answers = read_to_end(connection)
    assert [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]] in ([200], [200, 400])


def test_tls_on_a_plain_port_is_told_without_a_line_each(tmp_path: Path):
    with serving(tmp_path) as server:
        for _ in range(5):
            with connected(server) as connection:
                connection.sendall(b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03" + bytes(200))
                answer = read_to_end(connection)
            assert status_line(answer) == 400
            assert b"a TLS handshake" in answer
        assert server.end() == 0
        assert server.log.read_text().count("\n") <= 1


async def test_a_program_gives_its_own_uvicorn_the_bounds(in_memory: Registry):
    app = RegistryApp(in_memory)
    limits = Limits(head_size=100, head_timeout=timedelta(milliseconds=100))
    async with serving_here(app, http=bounded(Connections(4), limits)) as here:
        for sent, status in ((b"GET /v2/ HTT", 408), (GET + b"X: " + b"a" * 200, 431), (GET + b"\r\n", 200)):
            reader, writer = await here.connect()
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            assert status_line(head) == status
            writer.close()


# ---- how many


def test_idle_connections_give_way_to_new_ones(tmp_path: Path):
    with serving(tmp_path, "--connections", "10", "--head-timeout", "60") as server, ExitStack() as stack:
        used = stack.enter_context(connected(server))
        used.sendall(GET + b"\r\n")
        assert answer_of(used).startswith(b"HTTP/1.1 200")
        opened = [stack.enter_context(connected(server)) for _ in range(40)]
        assert status_of(f"{server.url}/v2/") == 200
        assert read_to_end(used) == b""  # closed first: it was idle
        assert read_to_end(opened[0]) == b""
        opened[-1].sendall(GET + b"\r\n")
        assert answer_of(opened[-1]).startswith(b"HTTP/1.1 200")


def test_requests_under_way_stay_and_a_connection_too_many_is_refused_at_once(tmp_path: Path):
    with serving(tmp_path, "--connections", "5") as server, ExitStack() as stack:
        locations = [begun(server) for _ in range(5)]
        uploads = [stack.enter_context(connected(server)) for _ in range(5)]
        for upload, location in zip(uploads, locations, strict=True):
            head = f"PATCH {location} HTTP/1.1\r\nContent-Length: 10\r\nConnection: close\r\n".encode()
            upload.sendall(head + HOST + b"Expect: 100-continue\r\n\r\n")
            assert status_line(upload.recv(1 << 16)) == 100  # it is under way
        for _ in range(3):
            with connected(server) as another:
                answer = read_to_end(another)
            assert status_line(answer) == 503
            assert b"retry-after: 1" in answer.lower()
        for upload in uploads:
            upload.sendall(b"0123456789")
            assert status_line(read_to_end(upload)) == 202
        assert status_of(f"{server.url}/v2/") == 200
        assert server.log.read_text().count("new ones are refused") == 1


def test_the_limit_of_handles_is_raised_and_connections_stay_below(tmp_path: Path):
    limited = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 200))
from revstore_async.cli import main
main()
"""
    with serving(tmp_path, "--head-timeout", "60", program=("-c", limited)) as server, ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connected(server))
        assert pushed(server, b"content").startswith("sha256:")
        handles = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        assert 90 <= handles <= 160


def test_room_is_left_for_the_storage():
    assert room_for_connections(20_000, 1000) == 4096
    assert room_for_connections(5000, 1000) == 5000 - 128 - 2000
    assert room_for_connections(1024, 1000) == 512
    assert room_for_connections(1 << 20, 10_000) == 20_000
    assert room_for_connections(1, 1) == 1


class Bare:
    """A connection that notes what is asked of it."""

    def __init__(self, closed: list["Bare"]) -> None:
        self._closed = closed

    def give_way(self) -> None:
        self._closed.append(self)


def test_the_longest_idle_connection_gives_way_then_the_longest_at_its_beginning_and_none_at_work():
    closed: list[Bare] = []
    all_of_them = Connections(4)
    busy, idle, later_idle, beginning = (Bare(closed) for _ in range(4))
    for each, state in ((busy, State.BUSY), (idle, State.IDLE), (later_idle, State.IDLE)):
        assert all_of_them.enter(each)
        all_of_them.note(each, state)
    assert all_of_them.enter(beginning)
    for expected in (idle, later_idle, beginning):
        another = Bare(closed)
        assert all_of_them.enter(another)
        all_of_them.note(another, State.BUSY)
        assert closed.pop() is expected
    assert not all_of_them.enter(Bare(closed))
    assert len(all_of_them) == 4
    all_of_them.leave(busy)
    all_of_them.leave(busy)
    assert all_of_them.enter(Bare(closed))
    assert not closed


def test_a_line_that_strangers_bring_about_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture):
    now = 0.0
    line = Seldom("refused: %s", lambda: now)
    for _ in range(3):
        line.warn("a")
    now = 61.0
    line.warn("b")
    assert caplog.messages == ["refused: a", "refused: b (2 more since the last such line)"]


# ---- parts


def answer_of(connection: socket.socket) -> bytes:
    """Read the answer to a `GET /v2/`."""
    read = b""
    while not read.endswith(b"\r\n\r\n{}"):
        read += connection.recv(1 << 16)
    return read


def begun(server: Serving) -> str:
    """Begin an upload, and return its location."""
    with urlopen(Request(f"{server.url}/v2/a/blobs/uploads/", method="POST")) as answer:
        location: str = answer.headers["Location"]
    return location


def pushed(server: Serving, content: bytes) -> str:
    """Push a blob, and return its digest."""
    digest = Digest.of(content)
    assert status_of(f"{server.url}{begun(server)}?digest={digest}", "PUT", content=content) == 201
    return digest
