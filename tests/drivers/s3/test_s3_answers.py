"""Answers that are not whole, or come from a proxy: each becomes an error of the driver."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import RawTestServer
from botocore.parsers import ResponseParserError

from revstore_async.driver import IfAbsent
from revstore_async.errors import AccessDenied, KeyNotFound, Throttled, Unavailable, Unsupported
from revstore_drivers.s3 import S3Driver
from revstore_drivers.s3.uploads import Upload
from revstore_drivers.s3.wire.answers import ANSWER_LIMIT, body_of
from tests.parts.buckets import S3, Kind
from tests.parts.proxy import Answer, LoseAnswer, Proxy
from tests.parts.suite import pattern, read_all, write_all

PART = 5 << 20
DATE = "Tue, 24 Nov 2026 00:25:29 GMT"
WHOLE = {"ETag": '"x"', "Last-Modified": DATE, "Date": DATE}
PAGE = Answer(200, "", {}, "<html>log in</html>")
"""What the network of a hotel says to everything."""


@pytest.fixture
def kind() -> Kind:
    return S3


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in WHOLE.items() if name not in names}


@pytest.mark.parametrize(
    ("told", "date"),
    [(DATE, datetime(2026, 11, 24, 0, 25, 29, tzinfo=UTC)), ("yesterday", None), ("", None)],
)
@pytest.mark.parametrize("status", [200, 404])
async def test_the_stores_time_comes_from_the_header_of_the_answer(
    spoilt: S3Driver, proxy: Proxy, status: int, told: str, date: datetime | None
):
    await spoilt.put("key", b"01")
    answer = Answer(status, "NoSuchKey", {**WHOLE, "Date": told})
    proxy.spoil(replace(answer, body="01") if status == 200 else answer, method="GET")
    if status == 200:
        assert (await spoilt.get("key")).date == date
        return
    with pytest.raises(KeyNotFound) as caught:
        await spoilt.get("key")
    assert caught.value.date == date


@pytest.mark.parametrize(
    "answer", [PAGE, *(Answer(200, "", without(name), "01") for name in ("ETag", "Last-Modified"))]
)
@pytest.mark.parametrize("call", ["get", "stat"])
async def test_a_read_whose_answer_is_not_whole(spoilt: S3Driver, proxy: Proxy, call: str, answer: Answer):
    await spoilt.put("key", b"content")
    proxy.spoil(answer, times=4, method="GET" if call == "get" else "HEAD")
    with pytest.raises(Unavailable):
        await getattr(spoilt, call)("key")
    assert (await spoilt.get("key")).content == b"content"


@pytest.mark.parametrize("answer", [PAGE, Answer(200, "", without("ETag"), "")])
async def test_a_write_whose_answer_is_not_whole_is_one_whose_answer_was_lost(
    spoilt: S3Driver, proxy: Proxy, answer: Answer
):
    await spoilt.put("key", b"content")
    proxy.spoil(answer, method="PUT")
    assert (await spoilt.put("new", b"content", condition=IfAbsent())) == await spoilt.stat("new")
    proxy.spoil(LoseAnswer(answer=answer), method="PUT")
    assert (await spoilt.put("other", b"content", condition=IfAbsent())) == await spoilt.stat("other")


async def test_a_range_that_does_not_say_of_how_much(spoilt: S3Driver, proxy: Proxy):
    await spoilt.put("key", b"0123456789")
    proxy.spoil(Answer(206, "", {**WHOLE, "Content-Range": "bytes 0-3/*"}, "0123"), method="GET")
    with pytest.raises(Unsupported):
        await read_all(spoilt, "key", length=4)


FAILED = "<DeleteResult><Error><Code>InternalError</Code></Error></DeleteResult>"


@pytest.mark.parametrize("content", ["<html>log in</html>", "log in", FAILED])
async def test_a_deletion_whose_answer_is_none_is_tried_again(spoilt: S3Driver, proxy: Proxy, content: str):
    for key in "ab":
        await spoilt.put(key, b"")
    for _ in range(2):
        proxy.spoil(Answer(200, "", WHOLE, content), method="POST")
    await spoilt.delete_many("ab")
    assert (await spoilt.list_all()).entries == ()


async def test_a_deletion_with_an_empty_answer_is_done(spoilt: S3Driver, proxy: Proxy):
    await spoilt.put("key", b"")
    proxy.spoil(Answer(200, "", WHOLE, ""), method="POST")
    await spoilt.delete_many(["key", "other"])
    assert (await spoilt.get("key")).content == b"", "the proxy answered, and the server was not asked again"


def listings(*tokens: str) -> Iterable[Answer]:
    for token in tokens:
        said = f"<IsTruncated>true</IsTruncated>{token}"
        yield Answer(200, "", WHOLE, f"<ListBucketResult>{said}</ListBucketResult>")


async def test_a_listing_that_says_no_place_to_go_on_from(spoilt: S3Driver, proxy: Proxy):
    await spoilt.put("key", b"")
    for answer in listings("", *["<NextContinuationToken>t</NextContinuationToken>"] * 2):
        proxy.spoil(answer, method="GET", has="list-type")
    for _ in range(2):  # the first page says none; of the others the second says the same again
        with pytest.raises(Unavailable):
            await spoilt.list_all()
    assert proxy.unused() == 0
    assert [info.key for info in (await spoilt.list_all()).entries] == ["key"]


async def test_a_proxys_429_says_when(spoilt: S3Driver, proxy: Proxy):
    await spoilt.put("key", b"")
    proxy.spoil(Answer(429, "", {"Retry-After": "77"}, "Too many requests"), method="GET")
    with pytest.raises(Throttled) as caught:
        await spoilt.get("key")
    assert caught.value.retry_after == 77


# ---- a write that was done, and then the store says no


async def test_a_completion_after_which_nothing_may_be_read(spoilt: S3Driver, proxy: Proxy):
    proxy.spoil(Answer(403, "AccessDenied"), method="HEAD")
    await write_all(spoilt, "key", pattern(3 * PART))
    assert (await spoilt.stat("key")).size == 3 * PART


async def test_a_lost_answer_after_which_nothing_may_be_read(spoilt: S3Driver, proxy: Proxy):
    """The write was done; the caller hears that its outcome is not known, and not that the store refused it."""
    proxy.spoil(LoseAnswer(), method="PUT")
    proxy.spoil(Answer(403, "AccessDenied"), method="HEAD")
    with pytest.raises(Unavailable) as caught:
        await spoilt.put("key", b"content", condition=IfAbsent())
    assert isinstance(caught.value.__cause__, AccessDenied)


async def test_a_lost_answer_after_which_nothing_may_be_written(spoilt: S3Driver, proxy: Proxy):
    proxy.spoil(LoseAnswer(), method="PUT")
    proxy.spoil(Answer(404, "NoSuchKey"), method="HEAD")  # not there yet, it seems
    proxy.spoil(Answer(403, "ExpiredToken"), method="PUT")
    with pytest.raises(Unavailable) as caught:
        await spoilt.put("key", b"content", condition=IfAbsent())
    assert isinstance(caught.value.__cause__, AccessDenied)
    proxy.spoil(Answer(403, "ExpiredToken"), method="PUT")
    with pytest.raises(AccessDenied):  # nothing was lost before
        await spoilt.put("other", b"content", condition=IfAbsent())


async def test_parts_that_outlive_their_upload_do_not_keep_anybody_for_ever(spoilt: S3Driver, proxy: Proxy):
    client = spoilt._client
    assert client is not None
    upload = Upload(client, "key")
    await upload.begin()
    part = f"<Part><PartNumber>1</PartNumber><LastModified>{DATE}</LastModified><ETag>x</ETag></Part>"
    tries = client.options.retries + 1
    proxy.spoil(Answer(204, "", {}, ""), times=tries, method="DELETE")
    listed = Answer(200, "", WHOLE, f"<ListPartsResult>{part}</ListPartsResult>")
    proxy.spoil(listed, times=tries, method="GET", has="uploadId")
    with pytest.raises(Unavailable):
        await upload.abort(thorough=True)
    assert proxy.unused() == 0
    await upload.abort(thorough=True)


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize(("size", "taken"), [(0, True), (ANSWER_LIMIT, True), (ANSWER_LIMIT + 1, False)])
async def test_an_answer_is_no_longer_than_a_bound(size: int, taken: bool, announced: bool):
    async def told(request: web.BaseRequest) -> web.StreamResponse:
        if announced:
            return web.Response(body=bytes(size))
        answer = web.StreamResponse()
        await answer.prepare(request)
        with suppress(ConnectionError):
            for begin in range(0, size, PART):
                await answer.write(bytes(min(PART, size - begin)))
            await answer.write_eof()
        return answer

    async with RawTestServer(told) as server, ClientSession() as session:
        async with session.get(server.make_url("/")) as response:
            if taken:
                assert len(await body_of(response)) == size
            else:
                with pytest.raises(ResponseParserError, match="more than 16777216 bytes"):
                    await body_of(response)
                response.close()
