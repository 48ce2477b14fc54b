"""Listings of the drivers of buckets: entries that MinIO leaves out, and names that are no keys."""

import asyncio

from tests.parts.buckets import Bucketed, fill_on_the_drive
from tests.parts.minio import MinIO
from tests.parts.suite import children, keys_of, position_of, walk


async def test_a_folder_does_not_come_again(bucket: Bucketed):
    for key in ("a/1", "a/2", "b/1"):
        await bucket.put(key, b"")
    page = await bucket.list(limit=1)
    assert page.next == "a/"
    assert [position_of(entry) for entry in (await bucket.list(start_after="a/")).entries] == ["b/"]
    assert [position_of(entry) for entry in (await bucket.list(start_after="a/1")).entries] == ["b/"]


async def test_entries_that_the_server_leaves_out(bucket: Bucketed, minio: MinIO):
    """MinIO counts `app-test/...` in a listing that begins inside of `app/`, and leaves as many entries out."""
    before = [f"app-test/{number:04}" for number in range(1300)]
    expected = ["app/a", "app/b/c", "app/z", "app0", "app1", "z/y"]
    await fill_on_the_drive(bucket, minio, [*before, *expected])
    raw = minio.raw().list_objects_v2(Bucket=bucket.options.bucket, StartAfter="app/a")
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
            found = await walk(bucket, start_after=place_of_start, limit=limit)
            assert [info.key for info in found] == expected[count:], place_of_start
        found_children = await children(bucket, start_after="app/", limit=limit)
        assert [position_of(entry) for entry in found_children] == ["app0", "app1", "z/"]
        found_children = await children(bucket, limit=limit)
        assert [position_of(entry) for entry in found_children] == ["app-test/", "app/", "app0", "app1", "z/"]
    assert await keys_of(bucket) == sorted([*before, *expected])


async def test_a_folder_that_the_server_leaves_out(bucket: Bucketed, minio: MinIO):
    """The same of objects beside the folder."""
    before = [f"app-{number:04}" for number in range(1300)]
    expected = ["app/", "app1/", "app2", "z/"]
    await fill_on_the_drive(bucket, minio, [*before, "app/a", "app1/a", "app2", "z/y"])
    for start_after, count in (("app-zzz", 0), ("app/", 1), ("app/a", 1), ("app1/", 2)):
        found = await children(bucket, start_after=start_after)
        assert [position_of(entry) for entry in found] == expected[count:]
    assert [position_of(entry) for entry in await children(bucket)] == [*before, *expected]


async def test_other_names_are_not_listed(bucket: Bucketed, minio: MinIO):
    raw = minio.raw()
    for name in ["a b/c", "x,y", "key", "ü/x", "%41", "*"]:
        await asyncio.to_thread(raw.put_object, Bucket=bucket.options.bucket, Key=name, Body=b"")
    assert await keys_of(bucket) == ["key"]
    assert [position_of(entry) for entry in await children(bucket, limit=1)] == ["key"]
