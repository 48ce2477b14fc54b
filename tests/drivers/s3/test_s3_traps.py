"""Surprises of aioboto3, aiohttp and S3 servers: each was measured, and a test holds each."""

import asyncio
import http.client
import logging
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import urlsplit

import pytest
from botocore.utils import parse_timestamp

from revstore_async.driver import IfAbsent, IfMatch, Source
from revstore_async.errors import ConditionFailed, InvalidArgument
from revstore_drivers.buckets.retries import Slots
from revstore_drivers.s3 import S3Driver
from revstore_drivers.s3.wire.sessions import _Connection
from revstore_drivers.s3.wire.times import parse_time
from tests.parts.minio import MinIO
from tests.parts.proxy import Answer, running
from tests.parts.s3 import Wire, connections_in_use
from tests.parts.suite import pattern, read_all, write_all


@pytest.fixture
async def driver(minio: MinIO):
    async with S3Driver(minio.new_bucket(), "prefix", **minio.options(), part_size=5 << 20, pool=8) as driver:
        yield driver
        assert connections_in_use(driver) == []


# ---- the pool


async def test_more_readers_than_connections_wait_and_get_on(driver: S3Driver):
    """botocore's pool waits for ever when ten bodies hold it; here is a queue before it, and bodies are closed."""
    content = pattern(300_000)
    await driver.put("key", content)

    async def read() -> bytes:
        async with driver.open_reader("key") as reader:
            begin = await reader.read(10)
            await driver.stat("key")
            return begin + b"".join([piece async for piece in reader])

    async with asyncio.timeout(20):
        assert {*await asyncio.gather(*(read() for _ in range(40)))} == {content}


async def test_readers_that_nobody_reads_give_their_connections_back(minio: MinIO):
    """A task that holds readers and opens another would wait for ever, a slow client would keep its slot."""
    options = {**minio.options(), "pool": 2, "idle_timeout": 0.2}
    content = pattern(10_000_000)
    async with S3Driver(minio.new_bucket(), **options) as driver, asyncio.timeout(20):
        await driver.put("key", content)
        async with (
            driver.open_reader("key") as one,
            driver.open_reader("key", offset=1) as two,
            driver.open_reader("key", offset=2) as three,
        ):
            begun = [await reader.read(1000) for reader in (one, two, three)]
            await asyncio.sleep(0.5)
            assert connections_in_use(driver) == []
            for number, reader in enumerate((one, two, three)):
                rest = b"".join([piece async for piece in reader])
                assert begun[number] + rest == content[number:]
        assert connections_in_use(driver) == []


async def test_bodies_that_were_not_read_are_closed(driver: S3Driver):
    await driver.put("key", pattern(2_000_000))
    for _ in range(30):
        async with driver.open_reader("key"):
            pass
    assert connections_in_use(driver) == []
    assert len((await driver.get("key")).content) == 2_000_000


async def test_no_more_requests_are_under_way_than_the_pool_holds(driver: S3Driver):
    await driver.put("key", b"")
    with Wire(driver) as wire:
        await asyncio.gather(*(driver.stat("key") for _ in range(100)))
    assert wire.operations == ["HeadObject"] * 100
    assert wire.most_at_once["HeadObject"] <= 8


async def test_places_are_given_in_the_order_of_asking():
    slots, given = Slots(8), []

    async def ask(number: int) -> None:
        await slots.take("key")
        given.append(number)
        for _ in range(number % 3):  # some are held for longer
            await asyncio.sleep(0)
        slots.release()

    await asyncio.gather(*map(ask, range(100)))
    assert given == [*range(100)]


async def test_connections_are_kept(driver: S3Driver):
    await driver.put("key", b"")
    sessions = driver._open()._client._endpoint.http_session._sessions.values()
    connector = next(iter(sessions)).connector
    before = [protocol for kept in connector._conns.values() for protocol, _ in kept]
    for _ in range(20):
        await driver.get("key")
        await driver.put("key", b"")
    after = [protocol for kept in connector._conns.values() for protocol, _ in kept]
    assert after == before


# ---- what goes over the wire


COSTS = {
    "get": (lambda driver: driver.get("key"), ["GetObject"]),
    "stat": (lambda driver: driver.stat("key"), ["HeadObject"]),
    "read": (lambda driver: read_all(driver, "key"), ["GetObject"]),
    "read from": (lambda driver: read_all(driver, "key", offset=2, length=3), ["GetObject"]),
    "put": (lambda driver: driver.put("key", b"content"), ["PutObject"]),
    "put if absent": (lambda driver: driver.put("new", b"", condition=IfAbsent()), ["PutObject"]),
    "list": (lambda driver: driver.list(), ["ListObjectsV2"]),
    "list_all": (lambda driver: driver.list_all(), ["ListObjectsV2"]),
    "delete": (lambda driver: driver.delete("key"), ["DeleteObject"]),
    "delete_many": (lambda driver: driver.delete_many(f"k{n}" for n in range(1001)), ["DeleteObjects"] * 2),
    "copy": (lambda driver: driver.compose([Source("key", 7)], "to"), ["CopyObject"]),
    "url_for": (lambda driver: driver.url_for("key"), []),
}


@pytest.mark.parametrize("name", COSTS)
async def test_what_a_call_costs(driver: S3Driver, name: str):
    call, expected = COSTS[name]
    await driver.put("key", b"content")
    with Wire(driver) as wire:
        await call(driver)
    assert wire.operations == expected


async def test_requests_carry_no_more_than_they_must(driver: S3Driver):
    """No question whether the body is wanted (a round trip), one checksum and no other, one agent."""
    await driver.put("first", b"by botocore")
    with Wire(driver) as wire:
        await driver.put("key", b"content")
        await driver.put("large", bytes(2_000_000))
        await driver.get("key")
    for headers in wire.headers:
        assert "expect" not in headers
        assert not [name for name in headers if "checksum" in name]
        assert headers["user-agent"].startswith("revstore-async/")
        assert "content-md5" not in headers
    sealed = [headers["x-amz-content-sha256"] for headers in wire.headers]
    assert sealed == [
        sha256(b"content").hexdigest(),
        sha256(bytes(2_000_000)).hexdigest(),
        "UNSIGNED-PAYLOAD",
    ]


@pytest.mark.parametrize("status", [404, 412])
async def test_a_missing_key_with_if_match(minio: MinIO, status: int):
    """It is 404 on MinIO and 412 elsewhere."""
    async with running(minio.port) as proxy:
        code = {404: "NoSuchKey", 412: "PreconditionFailed"}[status]
        proxy.spoil(Answer(status, code), method="PUT")
        async with S3Driver(minio.new_bucket(), **{**minio.options(), "endpoint_url": proxy.url}) as driver:
            with pytest.raises(ConditionFailed):
                await driver.put("key", b"", condition=IfMatch("abc"))


async def test_a_conditional_deletion(minio: MinIO):
    """MinIO ignores the condition, so it is offered only where it is declared: then the server is asked."""
    async with running(minio.port) as proxy:
        options = {**minio.options(), "endpoint_url": proxy.url, "server": "aws"}
        async with S3Driver(minio.new_bucket(), **options) as driver:
            info = await driver.put("key", b"content")
            proxy.spoil(Answer(412, "PreconditionFailed"), method="DELETE")
            with pytest.raises(ConditionFailed):
                await driver.delete("key", condition=IfMatch("abc"))
            await driver.delete("key", condition=IfMatch(info.etag))
        asked = [request.headers["if-match"] for request in proxy.requests if request.method == "DELETE"]
        assert asked == ['"abc"', f'"{info.etag}"']


# ---- reading


async def test_sixty_four_readers_at_once(minio: MinIO, caplog):
    """The readers fill the default pool but for one slot, so other requests go on, and no library warns."""
    content = pattern(400_000)
    async with S3Driver(minio.new_bucket(), **minio.options()) as driver, asyncio.timeout(60):
        await driver.put("key", content)
        together = asyncio.Barrier(driver.capabilities.connections - 1)

        async def read(number: int) -> bytes:
            async with driver.open_reader("key") as reader:
                begin = await reader.read(1)
                if number < together.parties:
                    await together.wait()
                await asyncio.gather(*(driver.get(f"missing{n}") for n in range(16)), return_exceptions=True)
                return begin + b"".join([piece async for piece in reader])

        before = asyncio.all_tasks()
        found = await asyncio.gather(*map(read, range(driver.capabilities.connections)))
        assert {*found} == {content}
        assert connections_in_use(driver) == []
        assert asyncio.all_tasks() == before
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_iterating_gives_large_pieces(driver: S3Driver):
    """A body's own iterator gives 1 KiB at a time, at a third of the speed."""
    content = pattern(6 << 20)
    await write_all(driver, "key", content)
    async with driver.open_reader("key") as reader:
        pieces = [piece async for piece in reader]
    assert b"".join(pieces) == content
    assert len(content) / len(pieces) > 16 << 10


def fetch(method: str, url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


async def test_signed_urls(driver: S3Driver):
    """GET and HEAD need their own; ranges work; they expire; others may not use them for more."""
    await driver.put("folder/key", b"0123456789")
    get = await driver.url_for("folder/key")
    head = await driver.url_for("folder/key", method="HEAD")
    assert await asyncio.to_thread(fetch, "GET", get) == (200, b"0123456789")
    assert await asyncio.to_thread(fetch, "GET", get, {"Range": "bytes=2-4"}) == (206, b"234")
    assert await asyncio.to_thread(fetch, "HEAD", head) == (200, b"")
    assert (await asyncio.to_thread(fetch, "HEAD", get))[0] == 403
    assert (await asyncio.to_thread(fetch, "DELETE", get))[0] == 403
    short = await driver.url_for("folder/key", expires=timedelta(milliseconds=1))
    await asyncio.sleep(2.1)
    assert (await asyncio.to_thread(fetch, "GET", short))[0] == 403
    with pytest.raises(InvalidArgument):
        await driver.url_for("folder/key", expires=timedelta(days=8))


async def test_urls_are_signed_for_the_public_endpoint(minio: MinIO):
    async with running(minio.port) as proxy:
        options = {**minio.options(), "public_endpoint_url": proxy.url}
        async with S3Driver(minio.new_bucket(), **options) as driver:
            await driver.put("key", b"content")
            url = await driver.url_for("key")
            assert url.startswith(proxy.url)
            assert await asyncio.to_thread(fetch, "GET", url) == (200, b"content")


# ---- times


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T00:25:29.981Z",
        "2026-11-24T00:25:29Z",
        "Tue, 24 Nov 2026 00:25:29 GMT",
        "Thu, 29 Feb 2024 23:59:59 GMT",
        "2026-11-24T01:25:29+01:00",
        "1795479929",
        "Tue, 24 Foo 2026",
    ],
)
def test_the_fast_parser_of_times_says_the_same(text: str):
    try:
        expected = parse_timestamp(text)
    except ValueError:
        with pytest.raises(ValueError, match="Invalid timestamp"):
            parse_time(text)
        return
    assert parse_time(text) == expected.astimezone(UTC)
    assert parse_time(text).utcoffset() == timedelta(0)


def test_the_fast_parser_of_times_is_fast():
    def took(parse) -> float:
        begun = time.perf_counter()
        for _ in range(500):
            parse("2026-11-24T00:25:29.981Z")
        return time.perf_counter() - begun

    assert took(parse_time) * 3 < took(parse_timestamp)


async def test_a_write_tells_the_second_of_its_answer(driver: S3Driver):
    info = await driver.put("key", b"")
    found = await driver.stat("key")
    assert timedelta(0) <= info.modified - found.modified <= driver.capabilities.time_resolution
    assert abs(datetime.now(UTC) - info.modified) < timedelta(seconds=30)


# ---- being cancelled


async def test_a_change_under_way_is_waited_for(minio: MinIO):
    """A put that was dropped half-way could still come true after the caller has gone on."""
    async with running(minio.port) as proxy:
        async with S3Driver(minio.new_bucket(), **{**minio.options(), "endpoint_url": proxy.url}) as driver:
            for delay in (0.0005, 0.001, 0.002, 0.003, 0.005):
                task = asyncio.ensure_future(driver.put("key", b"late" * 100_000))
                await asyncio.sleep(delay)
                task.cancel()
                await asyncio.wait([task])
                await driver.put("key", b"next")
                await asyncio.sleep(0.05)
                assert (await driver.get("key")).content == b"next"
            assert connections_in_use(driver) == []


async def test_a_cancelled_upload_leaves_no_connection_that_waits_for_the_server():
    """aiohttp closes a connection once the server has taken all bytes; this server takes no bytes."""
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()
        await left.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options = {"access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
    transports = []
    async with S3Driver("bucket", endpoint_url=f"http://127.0.0.1:{port}", **options) as driver:
        made = _Connection.connection_made

        def noted(self: _Connection, transport: asyncio.BaseTransport) -> None:
            transports.append(transport)
            made(self, transport)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(_Connection, "connection_made", noted)
            put = asyncio.ensure_future(
                driver._client.once("put_object", "key", Key="key", Body=bytes(8 << 20))
            )
            while not (transports and transports[0].get_write_buffer_size()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            put.cancel()
            await asyncio.wait([put])
    await asyncio.sleep(0)
    assert [transport.get_extra_info("socket").fileno() for transport in transports] == [-1]
    left.set()
    server.close()
    await server.wait_closed()
