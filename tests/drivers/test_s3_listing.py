"""Listings of the S3 driver: places in the order of keys, and what servers do with them."""

import asyncio
import shutil

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from revstore_async.driver import check_key
from revstore_async.errors import InvalidKey
from revstore_async.testing.strategies import keys
from revstore_drivers.places import levels, place_after, start_of
from revstore_drivers.s3 import S3Driver
from tests.parts.minio import MinIO
from tests.parts.s3 import Wire
from tests.parts.suite import children, keys_of, place, walk

TEXTS = st.one_of(
    st.text(max_size=6), st.text("ab/.,-0~\x00", max_size=8), keys(), keys().map(lambda key: key + "/")
)


@pytest.fixture
async def driver(minio: MinIO):
    async with S3Driver(minio.new_bucket(), **minio.options()) as driver:
        yield driver


def is_key(text: str) -> bool:
    try:
        check_key(text)
    except InvalidKey:
        return False
    return True


@given(TEXTS, st.lists(keys(), max_size=8))
@example("a/..", ["a/..x", "a/.x", "a/...", "a/a"])
@example("a//", ["a/-", "a/.x", "a/a"])
@example("a/./b", ["a/.-", "a/..x", "a/.0"])
@example("a\x00", ["a", "a-", "a/b"])
def test_a_place_parts_keys_as_its_text_does(text: str, some: list[str]):
    found = place_after(text)
    parts = found.split("/")
    assert "." not in parts
    assert ".." not in parts
    assert "" not in parts[:-1] or found == ""
    for key in some:
        assert (key > text) == (key > found), (key, found)


@given(st.sampled_from(["", "a/", "a/b/"]), TEXTS, st.lists(keys(), max_size=8), st.booleans())
def test_levels_are_all_that_follows(begin: str, text: str, some: list[str], folders: bool):
    start = start_of(begin, text, folders=folders)
    if not start or "/" not in start[len(begin) :]:
        return
    below = sorted(key for key in some if key.startswith(begin))
    found = []
    for level in levels(begin, start, folders=folders):
        found += [key for key in below if key == level.between]
        found += [key for key in below if key.startswith(level.begin) and key > level.start]
    assert found == [key for key in below if key > start]


async def test_a_folder_does_not_come_again(driver: S3Driver):
    for key in ("a/1", "a/2", "b/1"):
        await driver.put(key, b"")
    page = await driver.list(limit=1)
    assert page.next == "a/"
    assert [place(entry) for entry in (await driver.list(start_after="a/")).entries] == ["b/"]
    assert [place(entry) for entry in (await driver.list(start_after="a/1")).entries] == ["b/"]


async def fill(driver: S3Driver, minio: MinIO, names: list[str]) -> None:
    """Copy an object on the drive: to ask the server for thousands takes long."""
    await driver.put("zz/first", b"")
    root = minio.folder / driver.options.bucket

    def copies() -> None:
        for name in names:
            (root / name).mkdir(parents=True)
            shutil.copyfile(root / "zz/first/xl.meta", root / name / "xl.meta")

    await asyncio.to_thread(copies)
    await driver.delete("zz/first")


async def test_entries_that_the_server_leaves_out(driver: S3Driver, minio: MinIO):
    """MinIO counts `app-test/...` as given to who goes on inside of `app/`, and leaves out what follows."""
    before = [f"app-test/{number:04}" for number in range(1300)]
    expected = ["app/a", "app/b/c", "app/z", "app0", "app1", "z/y"]
    await fill(driver, minio, [*before, *expected])
    raw = minio.raw().list_objects_v2(Bucket=driver.options.bucket, StartAfter="app/a")
    shown = [entry["Key"] for entry in raw.get("Contents", ())]
    assert shown != expected[1:], "MinIO has learnt it: this, and what is done against it, can go"
    for limit in (1, 2, 1000):
        for place_of_start, count in (
            ("app-zzz", 0),
            ("app/a", 1),
            ("app/b/c", 2),
            ("app/z", 3),
            ("app/zz/z/z", 3),
            ("app0", 4),
            ("app0/x", 4),
        ):
            found = await walk(driver, start_after=place_of_start, limit=limit)
            assert [info.key for info in found] == expected[count:], place_of_start
        found_children = await children(driver, start_after="app/", limit=limit)
        assert [place(entry) for entry in found_children] == ["app0", "app1", "z/"]
    assert await keys_of(driver) == sorted([*before, *expected])


async def test_a_folder_that_the_server_leaves_out(driver: S3Driver, minio: MinIO):
    """The same of objects beside the folder."""
    before = [f"app-{number:04}" for number in range(1300)]
    expected = ["app/", "app1/", "app2", "z/"]
    await fill(driver, minio, [*before, "app/a", "app1/a", "app2", "z/y"])
    for start_after, count in (("app-zzz", 0), ("app/", 1), ("app/a", 1), ("app1/", 2)):
        found = await children(driver, start_after=start_after)
        assert [place(entry) for entry in found] == expected[count:]


async def test_what_a_page_costs(driver: S3Driver, minio: MinIO):
    await fill(driver, minio, [f"tags/{number:04}/current/link" for number in range(1500)])
    with Wire(driver) as wire:
        page = await driver.list("tags")
        assert len(page.entries) == 1000
        assert len(wire.operations) == 1
        rest = await driver.list("tags", start_after=page.next)
        assert len(rest.entries) == 500
        assert len(wire.operations) == 3  # on MinIO; on AWS it is 2
        driver._open().server = "AmazonS3"
        await driver.list("tags", start_after=page.next)
        assert len(wire.operations) == 4


async def test_other_names_are_not_listed(driver: S3Driver, minio: MinIO):
    raw = minio.raw()
    for name in [*[f" {number}" for number in range(1003)][:3], "a b/c", "x,y", "key", "ü/x"]:
        await asyncio.to_thread(raw.put_object, Bucket=driver.options.bucket, Key=name, Body=b"")
    assert await keys_of(driver) == ["key"]
    assert [place(entry) for entry in await children(driver, limit=1)] == ["key"]


async def test_a_root_listing_begins_after_what_stands_beside(driver: S3Driver):
    async with driver.open_writer("key") as writer:
        await writer.write(b"content")
        state = await writer.suspend()
    await driver.put("another", b"")
    with Wire(driver) as wire:
        page = await driver.list_all(limit=1)
        assert [info.key for info in page.entries] == ["another"]
    assert len(wire.operations) == 1
    async with driver.open_writer("key", resume=state) as writer:
        await writer.cancel()
