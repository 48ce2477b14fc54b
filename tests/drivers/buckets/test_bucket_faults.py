"""Drivers of a bucket behind a network and a server that fail: the right error or the right content."""

import asyncio
from hashlib import sha256

import pytest

from revstore_async.driver import IfAbsent
from revstore_async.errors import Throttled, Unavailable
from tests.parts.buckets import BROKEN, CALLS, SLOW_DOWN, Bucketed, Kind
from tests.parts.minio import MinIO
from tests.parts.programs import free_port
from tests.parts.proxy import Answer, Proxy, Reset, Silence, Stall, Truncate
from tests.parts.suite import pattern, read_all


@pytest.mark.parametrize("fault", [SLOW_DOWN, Answer(429, "TooManyRequests"), BROKEN, Reset()], ids=str)
@pytest.mark.parametrize("name", CALLS)
async def test_what_passes_is_tried_again(spoilt: Bucketed, proxy: Proxy, name: str, fault):
    method, call = CALLS[name]
    await spoilt.put("key", b"content")
    proxy.spoil(fault, times=2, method=method)
    await call(spoilt)


async def test_who_is_throttled_for_long_is_told(spoilt: Bucketed, proxy: Proxy):
    proxy.spoil(SLOW_DOWN, times=4, method="GET")
    with pytest.raises(Throttled) as caught:
        await spoilt.get("key")
    assert caught.value.reason == "injected (SlowDown)"
    assert caught.value.__cause__ is not None


async def test_a_server_that_fails_for_long(spoilt: Bucketed, proxy: Proxy):
    proxy.spoil(BROKEN, times=4, method="GET")
    with pytest.raises(Unavailable) as caught:
        await spoilt.get("key")
    assert caught.value.retryable
    assert "InternalError" in caught.value.reason
    assert caught.value.__cause__ is not None


async def test_a_dead_server_is_reported_with_its_key(minio: MinIO, kind: Kind):
    options = {**minio.options(), "endpoint_url": f"http://127.0.0.1:{free_port()}"}
    async with kind.make("bucket", **options) as driver:
        with pytest.raises(Unavailable) as caught:
            await driver.get("key")
        assert caught.value.key == "key"


async def test_nobody_is_asked_more_often_than_the_options_say(spoilt: Bucketed, proxy: Proxy):
    """An SDK's own tries, on top of ours, would take seconds, and say nothing of it."""
    proxy.spoil(Reset(), times=4, method="GET")
    with pytest.raises(Unavailable):
        await spoilt.get("key")
    assert len(proxy.requests) == 1 + spoilt.options.retries == 4


@pytest.mark.parametrize("size", [0, 2_000_000])
async def test_a_server_that_is_silent(minio: MinIO, proxy: Proxy, kind: Kind, spoilt_options, size: int):
    """aiohttp waits for ever for a server that is to say whether it wants the body: it is not asked that."""
    proxy.spoil(Silence(), times=9)
    options = {**spoilt_options, "read_timeout": 0.1, "retries": 1}
    async with kind.make(minio.new_bucket(), **options) as driver:
        for ask in (driver.get("key"), driver.put("key", bytes(size), condition=IfAbsent())):
            with pytest.raises(Unavailable):
                await ask


# ---- bodies


@pytest.mark.parametrize("fault", [Truncate(0), Truncate(70_000), Stall(70_000)], ids=str)
async def test_a_body_that_breaks_off(spoilt: Bucketed, proxy: Proxy, fault):
    content = pattern(1_000_000)
    await spoilt.put("key", content)
    proxy.spoil(fault, method="GET")
    found = (await spoilt.get("key")).content
    assert len(found) == len(content)
    assert sha256(found).digest() == sha256(content).digest()


@pytest.mark.parametrize("fault", [Truncate(0), Truncate(300_000), Stall(300_000)], ids=str)
@pytest.mark.parametrize(("offset", "length"), [(0, None), (5, None), (100, 900_000)])
async def test_a_stream_goes_on_where_it_stopped(
    spoilt: Bucketed, kind: Kind, proxy: Proxy, fault, offset, length
):
    content = pattern(1_000_000)
    await spoilt.put("key", content)
    times = 1 if isinstance(fault, Stall) else 2
    proxy.spoil(fault, times=times, method="GET")
    end = None if length is None else offset + length
    found = await read_all(spoilt, "key", offset=offset, length=length)
    assert len(found) == len(content[offset:end])
    assert sha256(found).digest() == sha256(content[offset:end]).digest()
    etag = (await spoilt.stat("key")).etag
    asked = [request for request in proxy.requests if request.method == "GET"]
    assert len(asked) == times + 1
    assert [request.headers.get("if-match") for request in asked[1:]] == [f'"{etag}"'] * times
    if kind.gives_all:
        assert asked[1].headers["range"].startswith(f"bytes={offset + fault.after}-")


async def test_a_stream_never_mixes_versions(spoilt: Bucketed, proxy: Proxy, minio: MinIO):
    await spoilt.put("key", b"old" * 300_000)
    proxy.spoil(Truncate(300_000), method="GET")
    async with spoilt.open_reader("key") as reader:
        begin = await reader.read(100)
        raw = minio.raw()
        await asyncio.to_thread(
            raw.put_object, Bucket=spoilt.options.bucket, Key="prefix/key", Body=b"new" * 300_000
        )
        read = bytearray(begin)
        with pytest.raises(Unavailable) as caught:
            while piece := await reader.read(1 << 20):
                read += piece
    assert (b"old" * 300_000).startswith(read)
    assert caught.value.reason == "another version is there now"
