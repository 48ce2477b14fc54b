"""The S3 driver on obstore behind a network and a server that fail: the right error or the right content."""

import asyncio

import pytest

from revstore_async.driver import IfAbsent, IfMatch
from revstore_async.errors import (
    AccessDenied,
    ConditionFailed,
    InvalidStoreURL,
    Throttled,
    Unavailable,
)
from revstore_drivers.object_store import ObjectStoreDriver
from tests.parts.minio import MinIO
from tests.parts.programs import free_port
from tests.parts.proxy import Answer, LoseAnswer, Proxy, Reset, Silence, Stall, Truncate, running
from tests.parts.suite import keys_of, pattern, read_all

SLOW_DOWN = Answer(503, "SlowDown")
BROKEN = Answer(500, "InternalError")


@pytest.fixture
async def proxy(minio: MinIO):
    async with running(minio.port) as proxy:
        yield proxy


@pytest.fixture
def options(minio: MinIO, proxy: Proxy):
    return {**minio.options(), "endpoint_url": proxy.url, "part_size": 5 << 20, "read_timeout": 1}


@pytest.fixture
async def driver(minio: MinIO, proxy: Proxy, options):
    async with ObjectStoreDriver(f"obstore+s3://{minio.new_bucket()}/prefix", **options) as driver:
        yield driver
        assert driver._open().places.taken == 0
    assert proxy.unused() == 0, "a fault was not met"


CALLS = {
    "get": ("GET", lambda driver: driver.get("key")),
    "stat": ("HEAD", lambda driver: driver.stat("key")),
    "reader": ("GET", lambda driver: read_all(driver, "key")),
    "put": ("PUT", lambda driver: driver.put("key", b"content")),
    "put if absent": ("PUT", lambda driver: driver.put("new", b"content", condition=IfAbsent())),
    "copy": ("PUT", lambda driver: driver.copy("key", "copy")),
    "list": ("GET", lambda driver: driver.list("folder")),
    "delete": ("", lambda driver: driver.delete("key")),
    "delete_many": ("POST", lambda driver: driver.delete_many(["key", "other"])),
}


@pytest.mark.parametrize("fault", [SLOW_DOWN, Answer(429, "TooManyRequests"), BROKEN, Reset()], ids=str)
@pytest.mark.parametrize("name", CALLS)
async def test_what_passes_is_tried_again(driver: ObjectStoreDriver, proxy: Proxy, name: str, fault):
    method, call = CALLS[name]
    await driver.put("key", b"content")
    proxy.spoil(fault, times=2, method=method)
    await call(driver)


async def test_who_is_throttled_for_long_is_told(driver: ObjectStoreDriver, proxy: Proxy):
    proxy.spoil(SLOW_DOWN, times=4, method="GET")
    with pytest.raises(Throttled) as caught:
        await driver.get("key")
    assert caught.value.reason == "injected (SlowDown)"
    assert caught.value.__cause__ is not None


async def test_obstore_itself_tries_once(driver: ObjectStoreDriver, proxy: Proxy):
    await driver.put("other", b"")
    before = len(proxy.requests)
    proxy.spoil(BROKEN, times=4)
    with pytest.raises(Unavailable):
        await driver.put("key", b"content")
    assert len(proxy.requests) - before == 4


async def test_a_dead_server_is_reported_with_its_key(minio: MinIO):
    options = {**minio.options(), "endpoint_url": f"http://127.0.0.1:{free_port()}"}
    async with ObjectStoreDriver("obstore+s3://bucket", **options) as driver:
        with pytest.raises(Unavailable) as caught:
            await driver.get("key")
        assert caught.value.key == "key"


async def test_a_server_that_is_silent(minio: MinIO, proxy: Proxy, options):
    proxy.spoil(Silence(), times=9)
    url = f"obstore+s3://{minio.new_bucket()}"
    async with ObjectStoreDriver(url, **{**options, "read_timeout": 0.1, "retries": 1}) as driver:
        for ask in (driver.get("key"), driver.put("key", b"content", condition=IfAbsent())):
            with pytest.raises(Unavailable):
                await ask


# ---- bodies


@pytest.mark.parametrize("fault", [Truncate(0), Truncate(70_000), Stall(70_000)], ids=str)
async def test_a_body_that_breaks_off(driver: ObjectStoreDriver, proxy: Proxy, fault):
    content = pattern(1_000_000)
    await driver.put("key", content)
    proxy.spoil(fault, method="GET")
    assert (await driver.get("key")).content == content


@pytest.mark.parametrize("fault", [Truncate(0), Truncate(300_000), Stall(300_000)], ids=str)
@pytest.mark.parametrize(("offset", "length"), [(0, None), (5, None), (100, 900_000)])
async def test_a_stream_goes_on_where_it_stopped(
    driver: ObjectStoreDriver, proxy: Proxy, fault, offset, length
):
    content = pattern(1_000_000)
    await driver.put("key", content)
    times = 1 if isinstance(fault, Stall) else 2
    proxy.spoil(fault, times=times, method="GET")
    end = None if length is None else offset + length
    found = await read_all(driver, "key", offset=offset, length=length)
    assert len(found) == len(content[offset:end])
    assert found == content[offset:end]
    etag = (await driver.stat("key")).etag
    asked = [request for request in proxy.requests if request.method == "GET"]
    assert len(asked) == times + 1
    assert [request.headers.get("if-match") for request in asked[1:]] == [f'"{etag}"'] * times


async def test_a_stream_never_mixes_versions(driver: ObjectStoreDriver, proxy: Proxy, minio: MinIO):
    await driver.put("key", b"old" * 300_000)
    proxy.spoil(Truncate(300_000), method="GET")
    async with driver.open_reader("key") as reader:
        begin = await reader.read(100)
        raw = minio.raw()
        await asyncio.to_thread(
            raw.put_object, Bucket=driver.options.bucket, Key="prefix/key", Body=b"new" * 300_000
        )
        read = bytearray(begin)
        with pytest.raises(Unavailable) as caught:
            while piece := await reader.read(1 << 20):
                read += piece
    assert (b"old" * 300_000).startswith(read)
    assert caught.value.reason == "another version is there now"


# ---- answers that were lost


LOST = [LoseAnswer(), LoseAnswer(answer=BROKEN), LoseAnswer(answer=Answer(503, "ServiceUnavailable"))]


@pytest.mark.parametrize("fault", LOST, ids=["reset", "500", "503"])
async def test_a_conditional_put_whose_answer_was_lost(driver: ObjectStoreDriver, proxy: Proxy, fault):
    proxy.spoil(fault, method="PUT")
    first = await driver.put("key", b"first", condition=IfAbsent())
    assert (await driver.get("key")).info.etag == first.etag
    proxy.spoil(fault, method="PUT")
    second = await driver.put("key", b"second", condition=IfMatch(first.etag))
    assert (await driver.get("key")).info.etag == second.etag
    assert (await driver.get("key")).content == b"second"


async def test_another_writer_of_the_same_bytes_is_told_apart(driver: ObjectStoreDriver, proxy: Proxy):
    """Content and etag are the same: only the mark tells that it was another's write."""
    await driver.put("key", b"same", condition=IfAbsent())
    proxy.spoil(LoseAnswer(), method="PUT")
    with pytest.raises(Unavailable):
        await driver.put("key", b"same", condition=IfAbsent())
    with pytest.raises(ConditionFailed):
        await driver.put("key", b"same", condition=IfAbsent())


async def test_throttled_is_not_lost(driver: ObjectStoreDriver, proxy: Proxy):
    """A request that was turned away did nothing, so the next answer is the truth, and nothing is read back."""
    await driver.put("key", b"another's")
    before = len(proxy.requests)
    proxy.spoil(SLOW_DOWN, method="PUT")
    with pytest.raises(ConditionFailed):
        await driver.put("key", b"ours", condition=IfAbsent())
    assert [request.method for request in proxy.requests[before:]] == ["PUT"] * 2


async def test_one_winner_though_answers_are_lost(driver: ObjectStoreDriver, proxy: Proxy):
    proxy.spoil(LoseAnswer(), times=10, method="PUT")

    async def write(number: int) -> bool:
        try:
            await driver.put("key", b"%d" % number, condition=IfAbsent())
        except (ConditionFailed, Unavailable):
            return False
        return True

    won = await asyncio.gather(*map(write, range(20)))
    assert sum(won) == 1
    assert (await driver.get("key")).content == b"%d" % won.index(True)


async def test_a_conflict_is_tried_again(driver: ObjectStoreDriver, proxy: Proxy):
    proxy.spoil(Answer(409, "ConditionalRequestConflict"), times=2, method="PUT")
    first = await driver.put("key", b"content", condition=IfAbsent())
    proxy.spoil(Answer(409, "ConditionalRequestConflict"), times=2, method="PUT")
    await driver.put("key", b"other", condition=IfMatch(first.etag))
    proxy.spoil(Answer(409, "ConditionalRequestConflict"), times=4, method="PUT")
    with pytest.raises(Unavailable):
        await driver.put("new", b"content", condition=IfAbsent())


async def test_a_cancelled_put_has_its_whole_effect_or_none_later(driver: ObjectStoreDriver, proxy: Proxy):
    """Who was cancelled may go on at once: what was on its way does not come after what is written next."""
    for _ in range(20):
        task = asyncio.ensure_future(driver.put("key", b"cancelled"))
        await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])
        await driver.put("key", b"next")
        assert (await driver.get("key")).content == b"next"
    assert (await driver.get("key")).content == b"next"


# ---- writers


async def test_a_completion_whose_answer_was_lost(driver: ObjectStoreDriver, proxy: Proxy):
    content = pattern((5 << 20) + 10)
    proxy.spoil(LoseAnswer(), method="POST", has="uploadId")
    async with driver.open_writer("key") as writer:
        await writer.write(content)
        info = await writer.commit()
    assert info == await driver.stat("key")
    assert info.size == len(content)


async def test_parts_are_sent_again(driver: ObjectStoreDriver, proxy: Proxy):
    content = pattern((15 << 20) + 10)
    proxy.spoil(Reset(), method="PUT", has="partNumber=1")
    proxy.spoil(SLOW_DOWN, method="PUT", has="partNumber=2")
    proxy.spoil(LoseAnswer(), method="PUT", has="partNumber=3")
    async with driver.open_writer("key") as writer:
        await writer.write(content)
        await writer.commit()
    found = await read_all(driver, "key")
    assert len(found) == len(content)
    assert found == content


@pytest.mark.parametrize("size", [6 << 20, 45 << 20])
async def test_a_part_that_fails_for_good(driver: ObjectStoreDriver, proxy: Proxy, minio: MinIO, size: int):
    before = {*minio.uploads()}
    proxy.spoil(BROKEN, times=4, method="PUT", has="partNumber=1")
    with pytest.raises(Unavailable):
        async with driver.open_writer("key") as writer:
            for _ in range(size >> 20):
                await writer.write(pattern(1 << 20))
            await writer.commit()
    assert {*minio.uploads()} == before
    assert await keys_of(driver) == []


# ---- who may not, and what is not there


async def test_wrong_credentials(minio: MinIO):
    bucket = minio.new_bucket()
    for wrong in ({"secret_access_key": "something-else"}, {"access_key_id": "nobody"}):
        async with ObjectStoreDriver(f"obstore+s3://{bucket}", **{**minio.options(), **wrong}) as driver:
            for ask in (driver.get("key"), driver.stat("key"), driver.put("key", b""), driver.list()):
                with pytest.raises(AccessDenied) as caught:
                    await ask
                shown = f"{caught.value} {caught.value!r} {caught.value.__cause__}"
                assert minio.password not in shown
                assert "something-else" not in shown


async def test_no_credentials(minio: MinIO, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    url = f"obstore+s3://{minio.new_bucket()}?endpoint_url={minio.url}&retries=0"
    async with ObjectStoreDriver(url) as driver:
        with pytest.raises(AccessDenied) as caught:
            await driver.get("key")
    assert "no credentials" in caught.value.reason


async def test_a_missing_bucket(minio: MinIO):
    async with ObjectStoreDriver("obstore+s3://no-such-bucket", **minio.options()) as driver:
        for ask in (
            driver.get("key"),
            driver.stat("key"),
            driver.put("key", b""),
            driver.copy("key", "other"),
            driver.delete_many(["key"]),
            driver.list(),
            driver.list_all(),
        ):
            with pytest.raises(InvalidStoreURL) as caught:
                await ask
            assert "no-such-bucket" in str(caught.value)


async def test_a_write_that_was_denied_while_others_were_not(driver: ObjectStoreDriver, proxy: Proxy):
    """MinIO denies one now and then whose folder goes at that moment."""
    await driver.put("first", b"")
    proxy.spoil(Answer(403, "AccessDenied"), times=2, method="PUT")
    await driver.put("key", b"content")
    proxy.spoil(Answer(403, "AccessDenied"), times=2, method="PUT")
    await driver.put("new", b"content", condition=IfAbsent())
    proxy.spoil(Answer(403, "AccessDenied"), times=4, method="PUT")
    with pytest.raises(AccessDenied):
        await driver.put("key", b"content")
