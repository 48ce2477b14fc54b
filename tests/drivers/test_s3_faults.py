"""The S3 driver behind a network and a server that fail: the right error or the right content, never another."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from revstore_async.driver import IfAbsent, IfMatch
from revstore_async.errors import (
    AccessDenied,
    ConditionFailed,
    InvalidStoreURL,
    KeyNotFound,
    Throttled,
    Unavailable,
    Unsupported,
)
from revstore_drivers.s3 import S3Driver
from tests.parts.minio import MinIO
from tests.parts.programs import free_port
from tests.parts.proxy import Answer, LoseAnswer, Proxy, Reset, Silence, Stall, Truncate, running
from tests.parts.s3 import connections_in_use
from tests.parts.suite import pattern, read_all

SLOW_DOWN = Answer(503, "SlowDown", {"Retry-After": "0"})
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
    async with S3Driver(minio.new_bucket(), "prefix", **options) as driver:
        yield driver
        assert connections_in_use(driver) == []
    assert proxy.unused() == 0, "a fault was not met"


CALLS = {
    "get": ("GET", lambda driver: driver.get("key")),
    "stat": ("HEAD", lambda driver: driver.stat("key")),
    "reader": ("GET", lambda driver: read_all(driver, "key")),
    "put": ("PUT", lambda driver: driver.put("key", b"content")),
    "put if absent": ("PUT", lambda driver: driver.put("new", b"content", condition=IfAbsent())),
    "copy": ("PUT", lambda driver: driver.copy("key", "copy")),
    "list": ("GET", lambda driver: driver.list("folder")),
    "delete": ("DELETE", lambda driver: driver.delete("key")),
    "delete_many": ("POST", lambda driver: driver.delete_many(["key", "other"])),
}


@pytest.mark.parametrize("fault", [SLOW_DOWN, Answer(429, "TooManyRequests"), BROKEN, Reset()], ids=str)
@pytest.mark.parametrize("name", CALLS)
async def test_what_passes_is_tried_again(driver: S3Driver, proxy: Proxy, name: str, fault):
    method, call = CALLS[name]
    await driver.put("key", b"content")
    proxy.spoil(fault, times=2, method=method)
    await call(driver)


@pytest.mark.parametrize("name", CALLS)
async def test_who_is_throttled_for_long_is_told_when(driver: S3Driver, proxy: Proxy, name: str):
    method, call = CALLS[name]
    await driver.put("key", b"content")
    proxy.spoil(Answer(503, "SlowDown", {"Retry-After": "77"}), method=method)
    begun = time.monotonic()
    with pytest.raises(Throttled) as caught:
        await call(driver)
    assert caught.value.retry_after == 77
    assert time.monotonic() - begun < 1


async def test_a_server_that_fails_for_long(driver: S3Driver, proxy: Proxy):
    proxy.spoil(BROKEN, times=4, method="GET")
    with pytest.raises(Unavailable) as caught:
        await driver.get("key")
    assert caught.value.retryable
    assert "InternalError" in caught.value.reason
    assert caught.value.__cause__ is not None


async def test_a_dead_server_is_reported_soon(minio: MinIO):
    options = {**minio.options(), "endpoint_url": f"http://127.0.0.1:{free_port()}"}
    async with S3Driver("bucket", **options) as driver:
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            await driver.get("key")
        assert time.monotonic() - begun < 1.5


@pytest.mark.parametrize("size", [0, 2_000_000])
async def test_a_server_that_is_silent(minio: MinIO, proxy: Proxy, options, size: int):
    """aiohttp waits for ever for a server that is to say whether it wants the body: it is not asked that."""
    proxy.spoil(Silence(), times=9)
    async with S3Driver(minio.new_bucket(), **{**options, "read_timeout": 0.1, "retries": 1}) as driver:
        for ask in (driver.get("key"), driver.put("key", bytes(size), condition=IfAbsent())):
            with pytest.raises(Unavailable):
                await ask


# ---- bodies


@pytest.mark.parametrize("fault", [Truncate(0), Truncate(70_000), Stall(70_000)], ids=str)
async def test_a_body_that_breaks_off(driver: S3Driver, proxy: Proxy, fault):
    content = pattern(1_000_000)
    await driver.put("key", content)
    proxy.spoil(fault, method="GET")
    assert (await driver.get("key")).content == content


@pytest.mark.parametrize("fault", [Truncate(0), Truncate(300_000), Stall(300_000)], ids=str)
@pytest.mark.parametrize(("offset", "length"), [(0, None), (5, None), (100, 900_000)])
async def test_a_stream_goes_on_where_it_stopped(driver: S3Driver, proxy: Proxy, fault, offset, length):
    content = pattern(1_000_000)
    await driver.put("key", content)
    times = 1 if isinstance(fault, Stall) else 2
    proxy.spoil(fault, times=times, method="GET")
    end = None if length is None else offset + length
    assert await read_all(driver, "key", offset=offset, length=length) == content[offset:end]
    etag = (await driver.stat("key")).etag
    asked = [request for request in proxy.requests if request.method == "GET"]
    assert len(asked) == times + 1
    assert [request.headers.get("if-match") for request in asked[1:]] == [f'"{etag}"'] * times
    assert asked[1].headers["range"].startswith(f"bytes={offset + fault.after}-")


async def test_a_stream_never_mixes_versions(driver: S3Driver, proxy: Proxy, minio: MinIO):
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


async def test_a_server_that_ignores_ranges(driver: S3Driver, proxy: Proxy):
    await driver.put("key", b"0123456789")
    whole = Answer(
        200,
        "",
        {
            "ETag": '"x"',
            "Last-Modified": "Tue, 24 Nov 2026 00:25:29 GMT",
            "Date": "Tue, 24 Nov 2026 00:25:29 GMT",
        },
        "0123456789",
    )
    proxy.spoil(whole, method="GET")
    with pytest.raises(Unsupported):
        await read_all(driver, "key", offset=4)
    proxy.spoil(whole, method="GET")
    assert await read_all(driver, "key", length=4) == b"0123"


# ---- answers that were lost


LOST = [LoseAnswer(), LoseAnswer(answer=BROKEN), LoseAnswer(answer=Answer(503, "ServiceUnavailable"))]


@pytest.mark.parametrize("fault", LOST, ids=["reset", "500", "503"])
async def test_a_conditional_put_whose_answer_was_lost(driver: S3Driver, proxy: Proxy, fault):
    proxy.spoil(fault, method="PUT")
    first = await driver.put("key", b"first", condition=IfAbsent())
    assert (await driver.get("key")).info.etag == first.etag
    proxy.spoil(fault, method="PUT")
    second = await driver.put("key", b"second", condition=IfMatch(first.etag))
    assert (await driver.get("key")).info.etag == second.etag
    assert (await driver.get("key")).content == b"second"


async def test_a_lost_answer_of_a_put_that_lost(driver: S3Driver, proxy: Proxy):
    """It can't be known whether ours was there for a moment, so it is not said that it was not."""
    await driver.put("key", b"another's")
    proxy.spoil(LoseAnswer(), method="PUT")
    with pytest.raises(Unavailable) as caught:
        await driver.put("key", b"ours", condition=IfAbsent())
    assert not isinstance(caught.value, Throttled)
    with pytest.raises(ConditionFailed):
        await driver.put("key", b"ours", condition=IfAbsent())
    assert (await driver.get("key")).content == b"another's"


async def test_another_writer_of_the_same_bytes_is_told_apart(driver: S3Driver, proxy: Proxy):
    """Content and etag are the same: only the mark tells that it was another's write."""
    await driver.put("key", b"same", condition=IfAbsent())
    proxy.spoil(LoseAnswer(), method="PUT")
    with pytest.raises(Unavailable):
        await driver.put("key", b"same", condition=IfAbsent())


async def test_throttled_is_not_lost(driver: S3Driver, proxy: Proxy):
    """A request that was turned away did nothing, so the next answer is the truth, and nothing is read back."""
    await driver.put("key", b"another's")
    proxy.spoil(SLOW_DOWN, method="PUT")
    with pytest.raises(ConditionFailed):
        await driver.put("key", b"ours", condition=IfAbsent())
    assert [request.method for request in proxy.requests] == ["PUT"] * 3


async def test_one_winner_though_answers_are_lost(driver: S3Driver, proxy: Proxy):
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


async def test_a_conflict_is_tried_again(driver: S3Driver, proxy: Proxy):
    proxy.spoil(Answer(409, "ConditionalRequestConflict"), times=2, method="PUT")
    await driver.put("key", b"content", condition=IfAbsent())
    proxy.spoil(Answer(409, "ConditionalRequestConflict"), times=4, method="PUT")
    with pytest.raises(Unavailable):
        await driver.put("new", b"content", condition=IfAbsent())


@pytest.mark.parametrize("condition", [None, IfAbsent()])
async def test_a_completion_whose_answer_was_lost(driver: S3Driver, proxy: Proxy, condition):
    content = pattern((5 << 20) + 10)
    proxy.spoil(LoseAnswer(), method="POST", has="uploadId")
    async with driver.open_writer("key") as writer:
        await writer.write(content)
        info = await writer.commit(condition=condition)
    assert info == await driver.stat("key")
    assert (await driver.get("key")).content == content


async def test_parts_are_sent_again(driver: S3Driver, proxy: Proxy):
    content = pattern((15 << 20) + 10)
    proxy.spoil(Reset(), method="PUT", has="partNumber=1")
    proxy.spoil(SLOW_DOWN, method="PUT", has="partNumber=2")
    proxy.spoil(LoseAnswer(), method="PUT", has="partNumber=3")
    async with driver.open_writer("key") as writer:
        await writer.write(content)
        await writer.commit()
    assert await read_all(driver, "key") == content


async def test_a_part_that_fails_for_good(driver: S3Driver, proxy: Proxy, minio: MinIO):
    before = {*minio.uploads()}
    proxy.spoil(BROKEN, times=4, method="PUT", has="partNumber=1")
    with pytest.raises(Unavailable):
        async with driver.open_writer("key") as writer:
            await writer.write(pattern(15 << 20))
            await writer.commit()
    assert {*minio.uploads()} == before


async def test_keys_that_were_not_deleted(driver: S3Driver, proxy: Proxy):
    """The answer to the deletion of many is 200 though some were not deleted."""

    def some(code: str) -> Answer:
        error = f"<Error><Key>prefix/b</Key><Code>{code}</Code><Message>injected</Message></Error>"
        return Answer(200, "", {}, f"<DeleteResult>{error}</DeleteResult>")

    for key in ("a", "b"):
        await driver.put(key, b"")
    proxy.spoil(some("SlowDown"), method="POST")
    await driver.delete_many(["a", "b"])
    with pytest.raises(KeyNotFound):
        await driver.stat("b")
    proxy.spoil(some("AccessDenied"), method="POST")
    with pytest.raises(AccessDenied) as caught:
        await driver.delete_many(["a", "b"])
    assert caught.value.key == "b"


# ---- who may not, and what is not there


async def test_wrong_credentials(minio: MinIO):
    bucket = minio.new_bucket()
    for wrong in ({"secret_access_key": "something-else"}, {"access_key_id": "nobody"}):
        async with S3Driver(bucket, **{**minio.options(), **wrong}) as driver:
            for ask in (driver.get("key"), driver.stat("key"), driver.put("key", b""), driver.list()):
                with pytest.raises(AccessDenied) as caught:
                    await ask
                shown = f"{caught.value} {caught.value!r} {caught.value.__cause__}"
                assert minio.password not in shown
                assert "something-else" not in shown


@pytest.mark.parametrize("condition", [None, IfAbsent()])
async def test_a_write_that_minio_denies_for_a_moment(driver: S3Driver, proxy: Proxy, condition):
    """Seen with good credentials while neighbours were deleted: one of 1,600 puts, none where nobody deleted."""
    denied = Answer(403, "AccessDenied", {"Server": "MinIO"})
    proxy.spoil(denied, times=2, method="PUT")
    await driver.put("key", b"content", condition=condition)
    proxy.spoil(denied, times=4, method="PUT")
    with pytest.raises(AccessDenied):
        await driver.put("new", b"content", condition=condition)
    proxy.spoil(Answer(403, "AccessDenied"), method="PUT")
    with pytest.raises(AccessDenied):
        await driver.put("new", b"content", condition=condition)


async def test_no_credentials(minio: MinIO, monkeypatch, tmp_path):
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    async with S3Driver("bucket", endpoint_url=minio.url) as driver:
        with pytest.raises(AccessDenied) as caught:
            await driver.get("key")
    assert "no credentials" in caught.value.reason


@pytest.mark.parametrize("call", ["get", "stat"])
async def test_an_expired_token(driver: S3Driver, proxy: Proxy, call: str):
    proxy.spoil(Answer(400 if call == "get" else 403, "ExpiredToken"))
    with pytest.raises(AccessDenied) as caught:
        await getattr(driver, call)("key")
    if call == "get":
        assert "expired" in caught.value.reason


@pytest.mark.parametrize("call", ["get", "stat"])
async def test_a_clock_that_is_off(driver: S3Driver, proxy: Proxy, call: str):
    """Of a HEAD the server says only 403; its date says the rest."""
    date = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    proxy.spoil(Answer(403, "RequestTimeTooSkewed", {"Date": date}))
    with pytest.raises(AccessDenied) as caught:
        await getattr(driver, call)("key")
    assert "this machine's clock is" in caught.value.reason
    assert "s ahead of the store's" in caught.value.reason
    assert not caught.value.retryable


async def test_a_missing_bucket(minio: MinIO):
    async with S3Driver("there-is-none", **minio.options()) as driver:
        for ask in (
            driver.stat("key"),
            driver.get("key"),
            driver.put("key", b""),
            driver.put("key", b"", condition=IfMatch("abc")),
            driver.copy("key", "other"),
            driver.list(),
            driver.delete_many(["key"]),
            read_all(driver, "key"),
        ):
            with pytest.raises(InvalidStoreURL) as caught:
                await ask
            assert "the bucket does not exist" in str(caught.value)


async def test_nothing_that_the_server_lacks_is_retried(driver: S3Driver, proxy: Proxy):
    proxy.spoil(Answer(501, "NotImplemented"), method="PUT")
    with pytest.raises(Unsupported):
        await driver.put("key", b"")
    assert len(proxy.requests) == 1
