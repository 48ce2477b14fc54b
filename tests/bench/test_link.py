"""The link counts requests and round trips, keeps order, and delays; the client reads any answer."""

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import link
from bench.http import Client, Refused
from bench.http.parsing import Parser
from bench.link.counting import ConnectionCount, DoorCount
from tests.parts.programs import free_port

GET = b"GET /bucket/key HTTP/1.1\r\nHost: a\r\n\r\n"
PUT = b"PUT /bucket/key HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n\r\n"


@asynccontextmanager
async def echoing():
    """Answer each request with its own target, `/together` only when two of it have come; yield the port."""

    both = asyncio.Barrier(2)

    async def serve(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                target = head.split(b" ")[1]
                size = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.split(b"\r\n")
                        if line.startswith(b"Content-Length")
                    ),
                    0,
                )
                await reader.readexactly(size)
                if target.startswith(b"/together"):
                    await both.wait()
                status = b"404 Not Found" if target == b"/missing" else b"200 OK"
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(target)))
                if not head.startswith(b"HEAD"):
                    writer.write(target)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_a_link_counts_requests_by_kind_and_the_round_trips_among_them():
    async with echoing() as port, link.running("127.0.0.1", port, ["a", "b"]) as running:
        client = Client(running.ports["a"])
        await client.ask("GET", "/warm")
        await running.reset("a")
        await client.ask("GET", "/bucket?list-type=2&prefix=x")
        await asyncio.gather(client.ask("GET", "/together"), client.ask("HEAD", "/together"))
        await client.ask("PUT", "/3?partNumber=1", body=b"x")
        passed, other = await running.passed("a"), await running.passed("b")
        client.close()
    assert dict(passed.requests) == {"LIST": 1, "GET": 1, "HEAD": 1, "PART": 1}
    assert passed.total == 4
    assert passed.round_trips == 3
    assert other.total == 0


async def test_a_link_hands_large_bodies_on_whole_and_in_order_at_any_latency():
    target = "/" + "".join(f"{number:06}" for number in range(9000))
    async with echoing() as port, link.running("127.0.0.1", port, ["a"]) as running:
        client = Client(running.ports["a"])
        for latency in (0.0, 2.0):
            await running.set_latency(latency)
            answer = await client.ask("GET", target, keep=True)
            assert len(answer.content) == len(target)
            assert bytes(answer.content[-60:]) == target[-60:].encode()
        client.close()


async def test_a_server_that_is_not_there_breaks_the_connection_and_not_the_link():
    async with link.running("127.0.0.1", free_port(), ["a"]) as running:
        client = Client(running.ports["a"])
        with pytest.raises(ConnectionError):
            await client.ask("GET", "/")
        assert (await running.passed("a")).connections == 1


async def test_a_status_that_is_not_expected_is_refused():
    async with echoing() as port:
        client = Client(port)
        with pytest.raises(Refused, match="404"):
            await client.ask("GET", "/missing", keep=True)
        await client.ask("GET", "/missing", expect=(404,))
        assert client.opened == 1
        client.close()


def test_a_body_that_looks_like_a_request_is_not_counted():
    door = DoorCount()
    connection = ConnectionCount(door)
    connection.sent(PUT)
    connection.sent(GET)  # it is the PUT's body
    connection.answered(OK)
    assert dict(door.requests) == {"PUT": 1}


def test_waiting_for_100_continue_is_a_round_trip():
    door = DoorCount()
    connection = ConnectionCount(door)
    connection.sent(PUT)
    connection.answered(b"HTTP/1.1 100 Continue\r\n\r\n")
    connection.sent(b"body")
    connection.answered(OK)
    assert door.deepest == 2


def test_the_copy_of_an_object_is_told_from_a_put():
    door = DoorCount()
    connection = ConnectionCount(door)
    connection.sent(b"PUT /b/k HTTP/1.1\r\nHost: a\r\nX-Amz-Copy-Source: b/o\r\n\r\n")
    assert dict(door.requests) == {"COPY": 1}


def cut(content, places):
    starts = [0, *sorted({place % (len(content) + 1) for place in places}), len(content)]
    return [content[one:other] for one, other in pairwise(starts) if one < other]


@given(
    st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.lists(st.integers(0, 10_000), max_size=20)
)
def test_a_chunked_answer_is_read_however_it_is_cut(chunks, places):
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"
    parser = Parser(bodiless=False, keep=True)
    *most, last = cut(whole, places)
    assert not any(parser.feed(piece) for piece in most)
    assert parser.feed(last)
    assert bytes(parser.answer.content) == b"".join(chunks)


@given(st.binary(max_size=300), st.lists(st.integers(0, 10_000), max_size=20))
def test_an_answer_with_a_length_is_read_however_it_is_cut(content, places):
    head = b"HTTP/1.1 201 Created\r\ncontent-length: %d\r\nX-Y:  z \r\n\r\n" % len(content)
    parser = Parser(bodiless=False, keep=True)
    *most, last = cut(b"HTTP/1.1 100 Continue\r\n\r\n" + head + content, places)
    assert not any(parser.feed(piece) for piece in most)
    assert parser.feed(last)
    assert parser.answer.status == 201
    assert parser.answer.header("x-y") == "z"
    assert bytes(parser.answer.content) == content


def test_what_is_no_answer_is_an_error():
    with pytest.raises(ConnectionError):
        Parser(bodiless=False, keep=False).feed(b"SSH-2.0-OpenSSH\r\n\r\n")


@pytest.mark.parametrize(("head", "closes"), [(b"Connection: close\r\n", True), (b"", False)])
def test_an_answer_to_head_ends_with_its_headers_and_tells_whether_the_connection_stays(head, closes):
    parser = Parser(bodiless=True, keep=False)
    assert parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n" + head + b"\r\n")
    assert parser.answer.closes is closes


def test_bytes_after_the_answer_are_an_error():
    parser = Parser(bodiless=False, keep=False)
    with pytest.raises(ConnectionError):
        parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n\r\n")
