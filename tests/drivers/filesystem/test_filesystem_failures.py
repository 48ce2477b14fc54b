"""The file-system driver where the system refuses a call, or a file is shorter than it was."""

import errno
import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from revstore_async.driver import Source
from revstore_async.errors import (
    AccessDenied,
    KeyNotFound,
    StorageFull,
    Unavailable,
)
from revstore_drivers.filesystem import FilesystemDriver


@pytest.fixture
async def driver(tmp_path):
    async with FilesystemDriver(tmp_path / "root") as driver:
        yield driver


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EIO, Unavailable),
        (errno.EACCES, AccessDenied),
        (errno.EPERM, AccessDenied),
        (errno.EROFS, AccessDenied),
    ],
)
@pytest.mark.parametrize("call", ["open", "pwrite", "fsync", "rename", "utime", "flock"])
async def test_what_the_system_refuses_is_told_as_what_it_means(
    driver, monkeypatch, call, number, expected
) -> None:
    await driver.put("folder/key", b"before")
    module = fcntl if call == "flock" else os
    real = getattr(module, call)

    def refuse(*args, **kwargs):
        if threading.current_thread() is threading.main_thread():
            return real(*args, **kwargs)
        raise OSError(number, os.strerror(number))

    async def write() -> None:
        async with driver.open_writer("folder/key") as writer:
            await writer.write(bytes(2_000_000))
            await writer.commit()

    monkeypatch.setattr(module, call, refuse)
    for attempt in (driver.put("folder/key", b"after"), write()):
        with pytest.raises(expected) as caught:
            await attempt
        assert type(caught.value) is expected
        assert caught.value.key == "folder/key"
        assert caught.value.reason == os.strerror(number)
        assert isinstance(caught.value.__cause__, OSError)
    monkeypatch.undo()
    assert (await driver.get("folder/key")).content == b"before"
    assert [path.name for path in (driver.root / "folder").iterdir()] == ["key"]


async def test_a_full_disk_leaves_the_writer_usable(driver, monkeypatch) -> None:
    real = os.pwrite
    full = True

    def pwrite(file, data, offset):
        if full and offset > 1_500_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data[:1_000_000], offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    content = os.urandom(4_000_000)
    async with driver.open_writer("key") as writer:
        await writer.write(content[:1_200_000])
        with pytest.raises(StorageFull):
            await writer.write(content[1_200_000:])
        assert writer.offset == 1_200_000
        full = False
        await writer.write(content[1_200_000:])
        await writer.commit()
    assert (await driver.get("key")).content == content


@pytest.fixture
def nobodys_folder():
    """Give a folder of a user other than root, to whom the system refuses access."""
    folder = Path(tempfile.mkdtemp(prefix="revstore-"))
    before = os.geteuid()
    if before == 0:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    yield folder
    os.seteuid(before)
    for path in folder.rglob("*"):
        path.chmod(0o700)
    shutil.rmtree(folder)


async def test_permissions(nobodys_folder) -> None:
    async with FilesystemDriver(nobodys_folder) as driver:
        await driver.put("folder/key", b"content")
        (driver.root / "folder" / "key").chmod(0)
        call: Coroutine[Any, Any, object]
        for call in (driver.get("folder/key"), driver.compose([Source("folder/key", 7)], "other")):
            with pytest.raises(AccessDenied):
                await call
        (driver.root / "folder").chmod(0o500)
        for call in (driver.put("folder/other", b""), driver.delete("folder/key")):
            with pytest.raises(AccessDenied):
                await call
        (driver.root / "folder").chmod(0)
        for call in (driver.stat("folder/key"), driver.list("folder"), driver.list_all()):
            with pytest.raises(AccessDenied):
                await call


async def test_a_file_that_shrinks_under_a_reader(driver) -> None:
    await driver.put("key", bytes(1000))
    async with driver.open_reader("key") as reader:
        os.truncate(driver.root / "key", 10)
        assert len(await reader.read(500)) == 10
        with pytest.raises(Unavailable):
            await reader.read(500)


async def test_a_temporary_file_that_shrinks_is_not_committed(driver) -> None:
    async with driver.open_writer("key") as writer:
        await writer.write(bytes(2_000_000))
        (temporary,) = [path for path in driver.root.glob(",*") if path.is_file()]
        os.truncate(temporary, 10)
        with pytest.raises(Unavailable):
            await writer.commit()
    with pytest.raises(KeyNotFound):
        await driver.get("key")
