"""Listings of the driver on obstore: what MinIO leaves out, what obstore hides, and what a page costs."""

import asyncio
import shutil
from dataclasses import replace

import pytest

from revstore_drivers.object_store import ObjectStoreDriver
from tests.parts.minio import MinIO
from tests.parts.proxy import Proxy, running
from tests.parts.suite import children, keys_of, place, walk


@pytest.fixture
async def proxy(minio: MinIO):
    async with running(minio.port) as proxy:
        yield proxy


@pytest.fixture
async def driver(minio: MinIO, proxy: Proxy):
    options = {**minio.options(), "endpoint_url": proxy.url}
    async with ObjectStoreDriver(f"obstore+s3://{minio.new_bucket()}", **options) as driver:
        yield driver


async def fill(driver: ObjectStoreDriver, minio: MinIO, names: list[str]) -> None:
    """Copy an object on the drive: to ask the server for thousands takes long."""
    await driver.put("zz/first", b"")
    root = minio.folder / driver.options.bucket

    def copies() -> None:
        for name in names:
            (root / name).mkdir(parents=True)
            shutil.copyfile(root / "zz/first/xl.meta", root / name / "xl.meta")

    await asyncio.to_thread(copies)
    await driver.delete("zz/first")


async def test_entries_that_the_server_leaves_out(driver: ObjectStoreDriver, minio: MinIO):
    """MinIO counts `app-test/...` as given to who goes on inside of `app/`, and leaves out what follows."""
    before = [f"app-test/{number:04}" for number in range(1300)]
    expected = ["app/a", "app/b/c", "app/z", "app0", "app1", "z/y"]
    await fill(driver, minio, [*before, *expected])
    for limit in (1, 2, 1000):
        for start, count in (("app-zzz", 0), ("app/a", 1), ("app/b/c", 2), ("app/zz/z/z", 3), ("app0", 4)):
            found = await walk(driver, start_after=start, limit=limit)
            assert [info.key for info in found] == expected[count:], start
        found_children = await children(driver, start_after="app/", limit=limit)
        assert [place(entry) for entry in found_children] == ["app0", "app1", "z/"]
        found_children = await children(driver, limit=limit)
        assert [place(entry) for entry in found_children] == ["app-test/", "app/", "app0", "app1", "z/"]
    assert await keys_of(driver) == sorted([*before, *expected])


async def test_a_folder_that_the_server_leaves_out(driver: ObjectStoreDriver, minio: MinIO):
    """The same of objects beside the folder."""
    before = [f"app-{number:04}" for number in range(1300)]
    expected = ["app/", "app1/", "app2", "z/"]
    await fill(driver, minio, [*before, "app/a", "app1/a", "app2", "z/y"])
    for start_after, count in (("app-zzz", 0), ("app/", 1), ("app/a", 1), ("app1/", 2)):
        found = await children(driver, start_after=start_after)
        assert [place(entry) for entry in found] == expected[count:]
    assert [place(entry) for entry in await children(driver)] == [*before, *expected]


async def test_full_folders(driver: ObjectStoreDriver, minio: MinIO, proxy: Proxy):
    names = [f"{folder}/{number:04}" for folder in "abc" for number in range(1100)]
    await fill(driver, minio, [*names, "b0", "d"])
    begun = len(proxy.requests)
    page = await driver.list()
    assert [place(entry) for entry in page.entries] == ["a/", "b/", "b0", "c/", "d"]
    assert page.next is None
    assert len(proxy.requests) - begun == 2
    for limit in (1, 2, 3):
        found = await children(driver, limit=limit)
        assert [place(entry) for entry in found] == ["a/", "b/", "b0", "c/", "d"]


async def test_what_a_page_costs(driver: ObjectStoreDriver, minio: MinIO, proxy: Proxy):
    await fill(driver, minio, [f"tags/{number:04}/current/link" for number in range(1500)])

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


async def test_other_names_are_not_listed(driver: ObjectStoreDriver, minio: MinIO):
    raw = minio.raw()
    for name in ["a b/c", "x,y", "key", "ü/x", "%41", "*"]:
        await asyncio.to_thread(raw.put_object, Bucket=driver.options.bucket, Key=name, Body=b"")
    assert await keys_of(driver) == ["key"]
    assert [place(entry) for entry in await children(driver, limit=1)] == ["key"]


async def test_a_name_that_ends_in_a_slash(driver: ObjectStoreDriver, minio: MinIO):
    """obstore drops the slash; where the order gives the name away it is left out, and every listing ends."""
    raw = minio.raw()
    for name in ["mark/", "mark-x", "other"]:
        await asyncio.to_thread(raw.put_object, Bucket=driver.options.bucket, Key=name, Body=b"")
    for limit in (1, 2, 1000):
        assert [info.key for info in await walk(driver, limit=limit)] == ["mark-x", "other"]
        assert [place(entry) for entry in await children(driver, limit=limit)] == ["mark-x", "other"]
