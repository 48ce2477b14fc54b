"""Properties of the file-system driver alone: the folder, durability, the purge, the event loop."""

import asyncio
import errno
import fcntl
import os
import stat
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from revstore_async.driver import IfAbsent, IfMatch, Source
from revstore_async.errors import (
    AccessDenied,
    ConditionFailed,
    InvalidKey,
    InvalidStoreURL,
    KeyNotFound,
)
from revstore_drivers.filesystem import FilesystemDriver


@pytest.fixture
async def driver(tmp_path):
    async with FilesystemDriver(tmp_path / "root") as driver:
        yield driver


# ---- names and URLs


async def test_a_key_is_its_path(driver) -> None:
    await driver.put("docker/registry/v2/key", b"content")
    assert (driver.root / "docker/registry/v2/key").read_bytes() == b"content"
    (driver.root / "docker/registry/v2/other").write_bytes(b"somebody else's")
    assert (await driver.get("docker/registry/v2/other")).content == b"somebody else's"


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("file:///var/lib/registry", "/var/lib/registry"),
        ("file://localhost/var/lib", "/var/lib"),
        ("file:relative/folder", "relative/folder"),
        ("file:///with%20space", "/with space"),
    ],
)
def test_urls(url, root) -> None:
    assert FilesystemDriver.from_url(url, {}).root == Path(root)


def test_the_url_goes_before_options() -> None:
    url = "file:///folder?threads=3"
    assert FilesystemDriver.from_url(url, {"threads": 5}).capabilities.connections == 3
    assert FilesystemDriver.from_url("file:///folder", {"threads": 5}).capabilities.connections == 5


@pytest.mark.parametrize(
    "url",
    [
        "file:",
        "file://host/folder",
        "file:///folder?thread=3",
        "file:///folder?threads=0",
        "file:///folder?threads=x",
        "file:///folder?threads=1&threads=2",
        "file:///folder#part",
        "file:///nul%00",
    ],
)
def test_bad_urls(url) -> None:
    with pytest.raises(InvalidStoreURL):
        FilesystemDriver.from_url(url, {})
    with pytest.raises(InvalidStoreURL):
        FilesystemDriver.from_url("file:///folder", {"unknown": 1})


# ---- what stands in the folder beside objects


async def test_temporary_files_are_not_listed(driver) -> None:
    async with driver.open_writer("folder/key") as writer:
        await writer.write(bytes(3_000_000))
        assert [path for path in driver.root.rglob(",*") if path.parent.name == "folder"]
        assert (await driver.list_all()).entries == ()
        assert (await driver.list()).entries == ()
        assert (await driver.list("folder")).entries == ()
    assert not (driver.root / "folder").exists()


async def test_what_can_be_no_object_is_not_listed(driver) -> None:
    await driver.put("a/key", b"")
    (driver.root / "a" / "not a key").write_bytes(b"")
    (driver.root / "empty" / "folders").mkdir(parents=True)
    (driver.root / "link").symlink_to(driver.root / "a" / "key")
    (driver.root / "folder-link").symlink_to(driver.root / "a")
    os.mkfifo(driver.root / "pipe")
    assert [entry.key for entry in (await driver.list()).entries] == ["a"]
    assert [entry.key for entry in (await driver.list_all()).entries] == ["a/key"]
    for key in ("empty", "empty/folders", "pipe"):
        with pytest.raises(KeyNotFound):
            await driver.get(key)
    await driver.put("empty", b"folders that hold nothing make room")
    assert (await driver.get("empty")).info.size == 35


async def test_links_are_not_followed(driver, tmp_path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    driver.root.mkdir()
    driver.root.joinpath("folder").symlink_to(outside)
    driver.root.joinpath("file").symlink_to(outside / "secret")

    async def read(key) -> None:
        async with driver.open_reader(key):
            pass

    async def write(key) -> None:
        async with driver.open_writer(key) as writer:
            await writer.write(b"content")
            await writer.commit()

    await driver.put("source", b"content")
    for key in ("folder/secret", "file"):
        for call in (
            driver.get(key),
            driver.stat(key),
            read(key),
            driver.put(key, b"content"),
            write(key),
            driver.compose([Source(key, 6)], "copy"),
            driver.compose([Source("source", 7)], key),
            driver.delete(key),
        ):
            with pytest.raises(AccessDenied):
                await call
    for call in (driver.list("folder"), driver.list_all("folder"), driver.delete_prefix("folder")):
        with pytest.raises(AccessDenied):
            await call
    (outside / "empty").mkdir()
    with pytest.raises(AccessDenied):
        await driver.put("folder/empty/key", b"")
    assert sorted(path.name for path in outside.iterdir()) == ["empty", "secret"]
    assert (outside / "secret").read_bytes() == b"secret"


async def test_a_file_where_a_folder_is_needed(driver) -> None:
    await driver.put("a", b"object")
    for call in (driver.put("a/b", b""), driver.put("a/b/c", b"")):
        with pytest.raises(InvalidKey):
            await call
    async with driver.open_writer("a/b") as writer:
        with pytest.raises(InvalidKey):
            await writer.write(bytes(2_000_000))
    async with driver.open_writer("a/b") as writer:
        with pytest.raises(InvalidKey):
            await writer.commit()
    for call in (driver.get("a/b"), driver.stat("a/b/c")):
        with pytest.raises(KeyNotFound):
            await call
    await driver.put("c/d", b"")
    with pytest.raises(InvalidKey):
        await driver.put("c", b"", condition=IfAbsent())
    assert [info.key for info in (await driver.list_all()).entries] == ["a", "c/d"]


# ---- etags and times


async def test_etags_differ_on_a_clock_that_stands_still(driver, monkeypatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    infos = [await driver.put("key", b"%03d" % number) for number in range(20)]
    assert len({info.etag for info in infos}) == 20
    assert [info.modified for info in infos] == sorted(info.modified for info in infos)


async def test_a_stale_etag_never_matches_again(driver) -> None:
    first = await driver.put("key", b"first")
    for _ in range(20):
        await driver.delete("key")
        await driver.put("key", b"other")
        with pytest.raises(ConditionFailed):
            await driver.put("key", b"third", condition=IfMatch(first.etag))


# ---- durability


async def test_the_steps_of_a_durable_write(driver, monkeypatch) -> None:
    await driver.put("first", b"so that the root is there")
    steps = []

    def recorded(name) -> None:
        real = getattr(os, name)

        def call(first, *args, **kwargs):
            if name == "fsync":
                folder = stat.S_ISDIR(os.fstat(first).st_mode)
                steps.append("fsync folder" if folder else "fsync file")
            else:
                steps.append(name)
            return real(first, *args, **kwargs)

        monkeypatch.setattr(os, name, call)

    for name in ("mkdir", "pwrite", "fsync", "utime", "rename"):
        recorded(name)
    await driver.put("a/b/key", b"content")
    created = ["mkdir", "fsync folder"] * 2
    assert steps == [*created, "pwrite", "fsync file", "utime", "rename", "fsync folder"]
    steps.clear()
    async with driver.open_writer("a/b/other") as writer:
        await writer.write(b"content")
        await writer.commit()
    assert steps == ["pwrite", "fsync file", "utime", "rename", "fsync folder"]


@pytest.fixture
def synced(driver, monkeypatch):
    """The folders below the root that were synced, in order; a sync makes their entries durable."""
    found = []
    real = os.fsync

    def fsync(descriptor) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_relative_to(driver.root):
            found.append(path.relative_to(driver.root).as_posix())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


async def test_a_deletion_syncs_each_folder_that_stays_once(driver, synced) -> None:
    """A folder that is removed takes its entries along: the folder above makes that durable for all of them."""
    blobs = [f"blobs/sha256/{number % 3:02x}/{number:064x}/data" for number in range(8)]
    links = [f"links/{number:064x}/link" for number in range(8)]
    for key in [*blobs, *links, "blobs/sha256/00/stays"]:
        await driver.put(key, b"content")
    synced.clear()
    await driver.delete_many([*blobs, *links])
    assert sorted(synced) == [".", "blobs/sha256", "blobs/sha256/00"]
    assert [info.key for info in (await driver.list_all()).entries] == ["blobs/sha256/00/stays"]


async def test_a_deletion_is_durable_where_another_process_removes_the_folder_that_stayed(
    driver, synced, monkeypatch
) -> None:
    for key in ("a/b/c/key", "a/b/other", "a/stays"):
        await driver.put(key, b"content")
    real = os.rmdir

    def rmdir(path) -> None:
        if path.endswith("/b"):
            with pytest.raises(OSError, match="not empty"):
                real(path)
            (driver.root / "a/b/other").unlink()
            real(path)
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
        real(path)

    synced.clear()
    monkeypatch.setattr(os, "rmdir", rmdir)
    await driver.delete("a/b/c/key")
    assert synced == ["a"]


# ---- writers


async def test_a_purge_goes_by_age_and_leaves_live_writers(driver) -> None:
    now = time.time()
    for name, hours in (("old", 2), ("young", 0)):
        (driver.root / name).mkdir(parents=True)
        file = driver.root / name / ",0123456789abcdef"
        file.write_bytes(b"what the writer of a killed process left")
        os.utime(file, (now - 3600 * hours, now - 3600 * hours))
    assert await driver.purge_writers(timedelta(hours=3)) == 0
    async with driver.open_writer("live/key") as writer:
        await writer.write(bytes(2_000_000))
        (live,) = (driver.root / "live").iterdir()
        os.utime(live, (now - 7200, now - 7200))
        assert await driver.purge_writers(timedelta(hours=1)) == 1
        await writer.commit()
    assert not (driver.root / "old").exists()
    assert [*(driver.root / "young").iterdir()]
    assert [info.key for info in (await driver.list_all()).entries] == ["live/key"]


# ---- the loop


async def test_nothing_blocks_the_loop(driver, monkeypatch) -> None:
    """No call that may wait for a disk runs on the loop's thread."""
    loop_thread = threading.current_thread()
    guilty = []

    def guarded(module, name) -> None:
        real = getattr(module, name)

        def call(*args, **kwargs):
            if threading.current_thread() is loop_thread:
                guilty.append(name)
            return real(*args, **kwargs)

        monkeypatch.setattr(module, name, call)

    names = (
        "open close read pread pwrite fsync rename unlink mkdir makedirs rmdir lstat stat fstat scandir walk"
    )
    for name in [*names.split(), "utime", "ftruncate", "fdopen", "copy_file_range"]:
        guarded(os, name)
    guarded(fcntl, "flock")
    await driver.put("a/b", b"content", condition=IfAbsent())
    await driver.get("a/b")
    await driver.stat("a/b")
    async with driver.open_writer("a/c") as writer:
        await writer.write(bytes(3_000_000))
        await writer.commit()
    async with driver.open_writer("a/d") as writer:
        await writer.write(bytes(3_000_000))
    async with driver.open_reader("a/c") as reader:
        async for _ in reader:
            pass
    await driver.compose([Source("a/c", 3_000_000)], "a/e")
    await driver.list("a")
    await driver.list_all()
    await driver.delete_many(["a/b", "a/c"])
    await driver.delete_prefix("a")
    await driver.purge_writers(timedelta(0))
    monkeypatch.undo()
    assert guilty == []


async def test_the_loop_goes_on_while_a_large_object_is_written(driver) -> None:
    gaps = []

    async def beat() -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(0.001)
            gaps.append(time.monotonic() - begun)

    heart = asyncio.create_task(beat())
    piece = bytes(1 << 20)
    async with driver.open_writer("large") as writer:
        for _ in range(64):
            await writer.write(piece)
        info = await writer.commit()
    heart.cancel()
    await asyncio.wait([heart])
    assert info.size == 64 << 20
    assert len(gaps) > 5
    assert max(gaps) < 1.0


async def test_cancelled_before_a_thread_was_free(tmp_path) -> None:
    """A call that waits for its thread is cancelled without having begun."""
    async with FilesystemDriver(tmp_path, threads=1) as driver:
        release = threading.Event()
        _, threads = driver._open()
        blocking = asyncio.create_task(threads.run("", release.wait))
        await asyncio.sleep(0.05)
        waiting = asyncio.create_task(driver.put("key", b"content"))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait([waiting], timeout=5)
        assert waiting.cancelled()
        release.set()
        await blocking
        with pytest.raises(KeyNotFound):
            await driver.get("key")
