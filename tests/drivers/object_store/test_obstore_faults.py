"""Failures that only the drivers on obstore meet; `test_bucket_...` has those of both drivers."""

import pytest

from revstore_async.driver import IfAbsent
from revstore_async.errors import AccessDenied, Unavailable
from revstore_drivers.object_store import ObjectStoreDriver
from tests.parts.buckets import BROKEN, OBSTORE, Kind
from tests.parts.minio import MinIO
from tests.parts.programs import free_port
from tests.parts.proxy import Answer, Proxy


@pytest.fixture
def kind() -> Kind:
    return OBSTORE


async def test_obstore_itself_tries_once(spoilt: ObjectStoreDriver, proxy: Proxy):
    await spoilt.put("other", b"")
    before = len(proxy.requests)
    proxy.spoil(BROKEN, times=4)
    with pytest.raises(Unavailable):
        await spoilt.put("key", b"content")
    assert len(proxy.requests) - before == 4


async def test_no_credentials(minio: MinIO, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    url = f"obstore+s3://{minio.new_bucket()}?endpoint_url={minio.url}&retries=0"
    async with ObjectStoreDriver(url) as driver:
        with pytest.raises(AccessDenied) as caught:
            await driver.get("key")
    assert "no credentials" in caught.value.reason


async def test_a_write_that_was_denied_while_others_were_not(spoilt: ObjectStoreDriver, proxy: Proxy):
    """MinIO now and then denies a write while it removes the write's folder."""
    await spoilt.put("first", b"")
    proxy.spoil(Answer(403, "AccessDenied"), times=2, method="PUT")
    await spoilt.put("key", b"content")
    proxy.spoil(Answer(403, "AccessDenied"), times=2, method="PUT")
    await spoilt.put("new", b"content", condition=IfAbsent())
    proxy.spoil(Answer(403, "AccessDenied"), times=4, method="PUT")
    with pytest.raises(AccessDenied):
        await spoilt.put("key", b"content")
