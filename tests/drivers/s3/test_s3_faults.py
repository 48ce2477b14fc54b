"""Failures that only the S3 driver meets, or tells apart; `test_bucket_...` has those of both drivers."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from revstore_async.driver import IfAbsent
from revstore_async.errors import (
    AccessDenied,
    InvalidStoreURL,
    KeyNotFound,
    Throttled,
    Unavailable,
    Unsupported,
)
from revstore_drivers.s3 import S3Driver
from tests.parts.buckets import CALLS, S3, Kind
from tests.parts.minio import MinIO
from tests.parts.proxy import Answer, Drip, LoseAnswer, Proxy
from tests.parts.suite import pattern, read_all


@pytest.fixture
def kind() -> Kind:
    return S3


@pytest.mark.parametrize("name", CALLS)
async def test_who_is_throttled_for_long_is_told_when(spoilt: S3Driver, proxy: Proxy, name: str):
    method, call = CALLS[name]
    await spoilt.put("key", b"content")
    proxy.spoil(Answer(503, "SlowDown", {"Retry-After": "77"}), method=method)
    async with asyncio.timeout(20):  # it does not wait for as long
        with pytest.raises(Throttled) as caught:
            await call(spoilt)
    assert caught.value.retry_after == 77


async def test_a_body_that_comes_byte_by_byte_is_given_up(
    minio: MinIO, proxy: Proxy, spoilt_options: dict[str, Any]
):
    """Each byte ends a silence, so no timeout of one would ever end it."""
    async with S3Driver(minio.new_bucket(), **spoilt_options, retries=0) as driver:
        await driver.put("key", bytes(1000))
        proxy.spoil(Drip(0.2), method="GET")
        with pytest.raises(Unavailable):
            await driver.get("key")
        assert (await driver.get("key")).content == bytes(1000)


async def test_a_server_that_ignores_ranges(spoilt: S3Driver, proxy: Proxy):
    await spoilt.put("key", b"0123456789")
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
        await read_all(spoilt, "key", offset=4)
    proxy.spoil(whole, method="GET")
    assert await read_all(spoilt, "key", length=4) == b"0123"


async def test_a_conditional_completion_whose_answer_was_lost(spoilt: S3Driver, proxy: Proxy):
    content = pattern((5 << 20) + 10)
    proxy.spoil(LoseAnswer(), method="POST", has="uploadId")
    async with spoilt.open_writer("key") as writer:
        await writer.write(content)
        info = await writer.commit(condition=IfAbsent())
    assert info == await spoilt.stat("key")
    assert info.size == len(content)


async def test_keys_that_were_not_deleted(spoilt: S3Driver, proxy: Proxy):
    """The answer to the deletion of many is 200 though some were not deleted."""

    def some(code: str) -> Answer:
        error = f"<Error><Key>prefix/b</Key><Code>{code}</Code><Message>injected</Message></Error>"
        return Answer(200, "", {}, f"<DeleteResult>{error}</DeleteResult>")

    for key in ("a", "b"):
        await spoilt.put(key, b"")
    proxy.spoil(some("SlowDown"), method="POST")
    await spoilt.delete_many(["a", "b"])
    with pytest.raises(KeyNotFound):
        await spoilt.stat("b")
    proxy.spoil(some("AccessDenied"), method="POST")
    with pytest.raises(AccessDenied) as caught:
        await spoilt.delete_many(["a", "b"])
    assert caught.value.key == "b"


async def test_nothing_that_the_server_lacks_is_retried(spoilt: S3Driver, proxy: Proxy):
    proxy.spoil(Answer(501, "NotImplemented"), method="PUT")
    with pytest.raises(Unsupported):
        await spoilt.put("key", b"")
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("condition", [None, IfAbsent()])
async def test_a_write_that_minio_denies_for_a_moment(spoilt: S3Driver, proxy: Proxy, condition):
    """MinIO denied one of 1,600 puts with good credentials, and only while neighbours were deleted."""
    denied = Answer(403, "AccessDenied", {"Server": "MinIO"})
    proxy.spoil(denied, times=2, method="PUT")
    await spoilt.put("key", b"content", condition=condition)
    proxy.spoil(denied, times=4, method="PUT")
    with pytest.raises(AccessDenied):
        await spoilt.put("new", b"content", condition=condition)
    proxy.spoil(Answer(403, "AccessDenied"), method="PUT")
    with pytest.raises(AccessDenied):
        await spoilt.put("new", b"content", condition=condition)


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
async def test_an_expired_token(spoilt: S3Driver, proxy: Proxy, call: str):
    proxy.spoil(Answer(400 if call == "get" else 403, "ExpiredToken"))
    with pytest.raises(AccessDenied) as caught:
        await getattr(spoilt, call)("key")
    if call == "get":
        assert "expired" in caught.value.reason


@pytest.mark.parametrize("call", ["get", "stat"])
async def test_a_clock_that_is_off(spoilt: S3Driver, proxy: Proxy, call: str):
    """The server answers a HEAD with 403 only; its date tells the reason."""
    date = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    proxy.spoil(Answer(403, "RequestTimeTooSkewed", {"Date": date}))
    with pytest.raises(AccessDenied) as caught:
        await getattr(spoilt, call)("key")
    assert "this machine's clock is" in caught.value.reason
    assert "s ahead of the store's" in caught.value.reason
    assert not caught.value.retryable


async def test_a_session_of_single_sign_on_that_is_not_there(minio: MinIO, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # where sessions are kept
    config = tmp_path / "config"
    start = "https://example.org/start"
    config.write_text(
        f"[profile team]\nsso_start_url = {start}\nsso_region = us-east-1\n"
        "sso_account_id = 123456789012\nsso_role_name = reader\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    async with S3Driver("bucket", endpoint_url=minio.url, profile="team") as driver:
        with pytest.raises(AccessDenied) as caught:
            await driver.get("key")
    assert "sign in anew" in caught.value.reason


async def test_a_file_of_certificates_that_is_not_there(minio: MinIO, tmp_path):
    with pytest.raises(InvalidStoreURL) as caught:
        async with S3Driver("bucket", endpoint_url=minio.url, verify=str(tmp_path / "none.pem")):
            pytest.fail("it was opened")
    assert "none.pem" in str(caught.value)
