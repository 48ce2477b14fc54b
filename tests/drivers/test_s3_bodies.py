"""What keeps the bodies of the S3 driver's requests whole, without holding up the loop."""

import threading

import pytest

from revstore_async.driver import IfMatch
from revstore_async.errors import Unavailable
from revstore_drivers.s3 import S3Driver, bodies
from tests.parts.minio import MinIO
from tests.parts.proxy import Corrupt, running
from tests.parts.suite import pattern, read_all, write_all


async def test_large_bodies_are_hashed_in_threads(minio: MinIO, monkeypatch):
    """botocore would hash them on the loop, for the signature: so many at once as parts are under way."""
    here: list[int] = []
    hashed = bodies._md5

    def watched(body):
        if threading.current_thread() is threading.main_thread():
            here.append(bodies.size_of(body))
        return hashed(body)

    monkeypatch.setattr(bodies, "_md5", watched)
    async with S3Driver(minio.new_bucket(), **minio.options()) as driver:
        await driver.put("small", b"content")
        await driver.put("large", bytes(2_000_000))
        await write_all(driver, "parts", pattern(12 << 20))
    assert here == [len(b"content")]


async def test_over_tls_nothing_is_hashed():
    content = bytes(2_000_000)
    assert [*await bodies.prepared(content, secure=True)] == ["Body"]
    assert (await bodies.prepared(content, secure=False))["ContentMD5"] == "a94qpjlP3jfiF0i8BXgROw=="


@pytest.mark.parametrize("size", [7, 2_000_000, 6 << 20])
async def test_a_body_that_is_changed_on_its_way(minio: MinIO, size: int):
    """Signatures leave it out, so its digest is in a header: the server refuses it, and it is sent again."""
    options = {**minio.options(), "part_size": 5 << 20}
    async with running(minio.port) as proxy:
        options["endpoint_url"] = proxy.url
        async with S3Driver(minio.new_bucket(), **options) as driver:
            content = pattern(size)
            proxy.spoil(Corrupt(), times=2, method="PUT")
            await write_all(driver, "key", content)
            assert await read_all(driver, "key") == content
            proxy.spoil(Corrupt(), times=4, method="PUT")
            with pytest.raises(Unavailable, match="BadDigest"):
                await driver.put("key", content, condition=IfMatch((await driver.stat("key")).etag))
        assert proxy.unused() == 0
