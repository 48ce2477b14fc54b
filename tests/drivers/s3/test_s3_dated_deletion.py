"""Deletions that end at a time by the server's clock: their signatures, their tries, their refusals."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from revstore_async.errors import AccessDenied, DeletionExpired, Throttled, Unavailable, Unsupported
from revstore_drivers.s3 import S3Driver
from tests.parts.buckets import BROKEN, S3, SLOW_DOWN, Kind
from tests.parts.minio import MinIO
from tests.parts.proxy import Answer, LoseAnswer, Proxy, Request, Reset, Silence

Delete = Callable[[S3Driver, datetime], Coroutine[Any, Any, None]]
HOUR = timedelta(hours=1)
CALLS: dict[str, Delete] = {
    "DELETE": lambda driver, until: driver.delete("key", until=until),
    "POST": lambda driver, until: driver.delete_many(["key", "other"], until=until),
}
"""The calls, by the methods of their requests."""

EACH = """<DeleteResult><Error><Key>prefix/key</Key><Code>{{code}}</Code><Message>{message}</Message></Error>
</DeleteResult>"""


@pytest.fixture
def kind() -> Kind:
    return S3


@pytest.fixture(params=CALLS)
def method(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def ends(requests: list[Request], method: str) -> list[datetime]:
    """Return the ends of the signatures of all requests of a method."""
    found = []
    for request in requests:
        if request.method == method:
            query = parse_qs(urlsplit(request.target).query, keep_blank_values=True)
            assert "authorization" not in request.headers
            begin = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            found.append(begin + timedelta(seconds=int(query["X-Amz-Expires"][0])))
    return found


async def filled(driver: S3Driver) -> datetime:
    """Store two objects; return the store's time."""
    await driver.put("key", b"")
    return (await driver.put("other", b"")).modified


async def left(driver: S3Driver) -> list[str]:
    return [info.key for info in (await driver.list_all()).entries]


async def test_all_tries_have_the_same_end(spoilt: S3Driver, proxy: Proxy, method: str):
    until = await filled(spoilt) + HOUR
    for _ in range(3):
        proxy.spoil(SLOW_DOWN, method=method)
    await CALLS[method](spoilt, until)
    assert ends(proxy.requests, method) == [until] * 4
    assert "key" not in await left(spoilt)


async def test_the_end_is_rounded_down_to_a_second(spoilt: S3Driver, proxy: Proxy, method: str):
    until = await filled(spoilt) + HOUR
    await CALLS[method](spoilt, until + timedelta(microseconds=999_999))
    assert ends(proxy.requests, method) == [until]


@pytest.mark.parametrize("fault", [Reset(), LoseAnswer(), BROKEN, Silence()], ids=repr)
async def test_a_try_without_an_answer_is_told_and_not_tried_again(
    spoilt: S3Driver, proxy: Proxy, method: str, fault: Any
):
    until = await filled(spoilt) + HOUR
    proxy.spoil(fault, method=method)
    with pytest.raises(Unavailable):
        await CALLS[method](spoilt, until)
    assert len(ends(proxy.requests, method)) == 1


@pytest.mark.parametrize(("code", "error"), [("SlowDown", Throttled), ("InternalError", Unavailable)])
async def test_a_key_that_was_throttled_is_tried_again_and_one_that_failed_is_told(
    spoilt: S3Driver, proxy: Proxy, code: str, error: type[Unavailable]
):
    until = await filled(spoilt) + HOUR
    proxy.spoil(Answer(200, code, {}, EACH.format(message="no")), method="POST")
    if error is Throttled:
        await CALLS["POST"](spoilt, until)
        assert ends(proxy.requests, "POST") == [until] * 2
        return
    with pytest.raises(error):
        await CALLS["POST"](spoilt, until)
    assert ends(proxy.requests, "POST") == [until]


async def test_a_server_that_refuses_late_requests_as_a_whole(spoilt: S3Driver, proxy: Proxy, method: str):
    """AWS answers 403."""
    until = await filled(spoilt) + HOUR
    body = "<Error><Code>{code}</Code><Message>Request has expired</Message></Error>"
    proxy.spoil(Answer(403, "AccessDenied", {}, body), method=method)
    with pytest.raises(DeletionExpired) as caught:
        await CALLS[method](spoilt, until)
    assert (caught.value.key, caught.value.until) == ("key", until)


async def test_a_refusal_without_a_word_is_late_by_the_time_of_the_answer(
    spoilt: S3Driver, proxy: Proxy, method: str
):
    until = await filled(spoilt) + HOUR
    for date, error in ((until, DeletionExpired), (until - timedelta(seconds=1), AccessDenied)):
        told = {"Date": f"{date:%a, %d %b %Y %H:%M:%S} GMT"}
        answer = (
            Answer(403, "AccessDenied", told)
            if method == "DELETE"
            else Answer(200, "AccessDenied", told, EACH.format(message="no"))
        )
        proxy.spoil(answer, method=method)
        with pytest.raises(error):
            await CALLS[method](spoilt, until)


async def test_the_first_request_of_a_driver_learns_the_servers_time_first(
    minio: MinIO, proxy: Proxy, spoilt_options: dict[str, Any], method: str
):
    bucket = minio.new_bucket()
    async with S3Driver(bucket, "prefix", **spoilt_options) as driver:
        until = await filled(driver) + HOUR
    proxy.requests.clear()
    async with S3Driver(bucket, "prefix", **spoilt_options) as driver:
        await CALLS[method](driver, until)
    assert [request.method for request in proxy.requests] == ["GET", method]


async def test_a_server_that_wants_checksums_takes_them_too(
    minio: MinIO, proxy: Proxy, spoilt_options: dict[str, Any], method: str
):
    async with S3Driver(minio.new_bucket(), **spoilt_options, checksums="when_supported") as driver:
        until = await filled(driver) + HOUR
        with pytest.raises(DeletionExpired):
            await CALLS[method](driver, until - 2 * HOUR)
        await CALLS[method](driver, until)
        assert "key" not in await left(driver)


async def test_a_bucket_that_moved_is_found_again(spoilt: S3Driver, proxy: Proxy, method: str):
    until = await filled(spoilt) + HOUR
    proxy.spoil(Answer(307, "TemporaryRedirect", {"Location": f"{proxy.url}/elsewhere"}), method=method)
    await CALLS[method](spoilt, until)
    assert ends(proxy.requests, method) == [until] * 2
    assert "key" not in await left(spoilt)


async def test_each_object_has_a_request_where_the_server_deletes_one_by_one(
    minio: MinIO, proxy: Proxy, spoilt_options: dict[str, Any]
):
    async with S3Driver(minio.new_bucket(), **spoilt_options, bulk_delete=False) as driver:
        until = await filled(driver) + HOUR
        with pytest.raises(DeletionExpired):
            await CALLS["POST"](driver, until - 2 * HOUR)
        assert await left(driver) == ["key", "other"]
        proxy.requests.clear()
        await CALLS["POST"](driver, until)
        assert ends(proxy.requests, "DELETE") == [until] * 2
        assert await left(driver) == []


async def test_a_server_that_ignores_ends_is_never_asked_where_that_is_declared(minio: MinIO, method: str):
    async with S3Driver(minio.new_bucket(), **minio.options(), dated_deletion=False) as driver:
        until = await filled(driver) + HOUR
        with pytest.raises(Unsupported):
            await CALLS[method](driver, until)
        assert await left(driver) == ["key", "other"]
