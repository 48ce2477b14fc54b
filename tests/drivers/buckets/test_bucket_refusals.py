"""Drivers of a bucket that may not, or that have none."""

import pytest

from revstore_async.driver import IfMatch, Source
from revstore_async.errors import AccessDenied, InvalidStoreURL
from tests.parts.buckets import Kind
from tests.parts.minio import MinIO
from tests.parts.suite import read_all


async def test_wrong_credentials(minio: MinIO, kind: Kind):
    bucket = minio.new_bucket()
    for wrong in ({"secret_access_key": "something-else"}, {"access_key_id": "nobody"}):
        async with kind.make(bucket, **{**minio.options(), **wrong}) as driver:
            for ask in (driver.get("key"), driver.stat("key"), driver.put("key", b""), driver.list()):
                with pytest.raises(AccessDenied) as caught:
                    await ask
                shown = f"{caught.value} {caught.value!r} {caught.value.__cause__}"
                assert minio.password not in shown
                assert "something-else" not in shown


async def test_a_missing_bucket(minio: MinIO, kind: Kind):
    async with kind.make("there-is-none", **minio.options()) as driver:
        for ask in (
            driver.stat("key"),
            driver.get("key"),
            driver.put("key", b""),
            driver.put("key", b"", condition=IfMatch("abc")),
            driver.compose([Source("key", 7)], "other"),
            driver.list(),
            driver.delete_many(["key"]),
            read_all(driver, "key"),
        ):
            with pytest.raises(InvalidStoreURL) as caught:
                await ask
            assert "the bucket does not exist" in str(caught.value)
