"""The bodies of the S3 driver's requests stay whole, without holding up the event loop."""

import hashlib
import threading
from io import BytesIO

import pytest

from revstore_async.driver import IfMatch
from revstore_async.errors import Unavailable
from revstore_drivers.s3 import S3Driver
from revstore_drivers.s3.wire import bodies
from tests.parts.minio import MinIO
from tests.parts.proxy import Corrupt, running
from tests.parts.suite import pattern, read_all, write_all


async def test_large_bodies_are_hashed_in_threads(minio: MinIO, monkeypatch):
    """botocore would hash them on the loop, for the signature: so many at once as parts are under way."""
    here: list[int] = []
    hashed = bodies._hash

    def watched(body, algorithm):
        if threading.current_thread() is threading.main_thread():
            here.append(bodies.size_of(body))
        return hashed(body, algorithm)

    monkeypatch.setattr(bodies, "_hash", watched)
    async with S3Driver(minio.new_bucket(), **minio.options()) as driver:
        await driver.put("small", b"content")
        await driver.put("large", bytes(2_000_000))
        await write_all(driver, "parts", pattern(12 << 20))
    assert here == [len(b"content")]


async def test_digests_are_written_as_the_protocol_has_them():
    for content in (bytes(2_000_000), BytesIO(bytes(2_000_000))):
        assert await bodies.md5_of(content) == "a94qpjlP3jfiF0i8BXgROw=="
        assert await bodies.sha256_of(content) == hashlib.sha256(bytes(2_000_000)).hexdigest()


@pytest.mark.parametrize("size", [7, 2_000_000, 6 << 20])
async def test_a_body_that_is_changed_on_its_way(minio: MinIO, size: int):
    """Its digest is in the signature, or else in a header: the server refuses it, and it is sent again."""
    options = {**minio.options(), "part_size": 5 << 20}
    async with running(minio.port) as proxy:
        options["endpoint_url"] = proxy.url
        async with S3Driver(minio.new_bucket(), **options) as driver:
            content = pattern(size)
            proxy.spoil(Corrupt(), times=2, method="PUT")
            await write_all(driver, "key", content)
            assert await read_all(driver, "key") == content
            proxy.spoil(Corrupt(), times=4, method="PUT")
            with pytest.raises(Unavailable, match=r"BadDigest|XAmzContentSHA256Mismatch"):
                await driver.put("key", content, condition=IfMatch((await driver.stat("key")).etag))
        assert proxy.unused() == 0
