"""Listings of the driver on obstore: names that obstore hides, and the cost of a page."""

import asyncio
from dataclasses import replace

import pytest

from revstore_drivers.object_store import ObjectStoreDriver
from tests.parts.buckets import fill_on_the_drive
from tests.parts.minio import MinIO
from tests.parts.proxy import Proxy
from tests.parts.suite import children, position_of, walk


@pytest.fixture
async def driver(minio: MinIO, proxy: Proxy):
    options = {**minio.options(), "endpoint_url": proxy.url}
    async with ObjectStoreDriver(f"obstore+s3://{minio.new_bucket()}", **options) as driver:
        yield driver


async def test_full_folders(driver: ObjectStoreDriver, minio: MinIO, proxy: Proxy):
    names = [f"{folder}/{number:04}" for folder in "abc" for number in range(1100)]
    await fill_on_the_drive(driver, minio, [*names, "b0", "d"])
    begun = len(proxy.requests)
    page = await driver.list()
    assert [position_of(entry) for entry in page.entries] == ["a/", "b/", "b0", "c/", "d"]
    assert page.next is None
    assert len(proxy.requests) - begun == 2
    for limit in (1, 2, 3):
        found = await children(driver, limit=limit)
        assert [position_of(entry) for entry in found] == ["a/", "b/", "b0", "c/", "d"]


async def test_what_a_page_costs(driver: ObjectStoreDriver, minio: MinIO, proxy: Proxy):
    await fill_on_the_drive(driver, minio, [f"tags/{number:04}/current/link" for number in range(1500)])

    async def cost(ask) -> tuple[int, int]:
        begun = len(proxy.requests)
        page = await ask
        return len(page.entries), len(proxy.requests) - begun

    assert await cost(driver.list("tags")) == (1000, 1)
    assert await cost(driver.list("tags", limit=100)) == (100, 1)
    assert await cost(driver.list("tags", start_after="tags/0999/")) == (500, 2)
    assert await cost(driver.list_all("tags")) == (1000, 1)
    assert await cost(driver.list_all("tags", start_after="tags/0999/current/link")) == (500, 5)
    client = driver._open()
    client.options = replace(client.options, endpoint_url=None)  # so it takes the server for AWS
    assert await cost(driver.list("tags", start_after="tags/0999/")) == (500, 1)
    assert await cost(driver.list_all("tags", start_after="tags/0999/current/link")) == (500, 1)


async def test_a_name_that_ends_in_a_slash(driver: ObjectStoreDriver, minio: MinIO):
    """obstore drops the slash; where the order gives the name away it is left out, and every listing ends."""
    raw = minio.raw()
    for name in ["mark/", "mark-x", "other"]:
        await asyncio.to_thread(raw.put_object, Bucket=driver.options.bucket, Key=name, Body=b"")
    for limit in (1, 2, 1000):
        assert [info.key for info in await walk(driver, limit=limit)] == ["mark-x", "other"]
        assert [position_of(entry) for entry in await children(driver, limit=limit)] == ["mark-x", "other"]
