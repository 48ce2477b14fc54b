"""Deletions with an end on files: the clock is read under the lock, right before a file is removed."""

import asyncio
import fcntl
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from revstore_async.driver import IfMatch
from revstore_async.errors import DeletionExpired
from revstore_drivers.filesystem import FilesystemDriver, root

NOON = datetime(2031, 5, 6, 12, tzinfo=UTC)
END = NOON + timedelta(minutes=1)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, as another process does."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


class Clock:
    """The machine's clock.

    Attributes:
        now: Its time.
        step: The time that passes before each look at it.
    """

    def __init__(self) -> None:
        self.now = NOON
        self.step = timedelta(0)

    def __call__(self) -> datetime:
        self.now += self.step
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(root, "machine_time", made)
    return made


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when a call did not get the lock of a folder."""
    event, lock = threading.Event(), root.Root._lock

    def told(self: root.Root, key: str) -> int:
        try:
            return lock(self, key)
        except root.KeyLocked:
            event.set()
            raise

    monkeypatch.setattr(root.Root, "_lock", told)
    return event


CALLS: dict[str, Callable[[FilesystemDriver, str], Coroutine[Any, Any, None]]] = {
    "one": lambda store, etag: store.delete("folder/key", until=END),
    "one version": lambda store, etag: store.delete("folder/key", condition=IfMatch(etag), until=END),
    "many": lambda store, etag: store.delete_many(["folder/key", "folder/other"], until=END),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("late", [timedelta(0), timedelta(microseconds=1)])
async def test_a_deletion_that_gets_the_lock_after_its_end_deletes_nothing(
    tmp_path: Path, clock: Clock, refused: threading.Event, call: str, late: timedelta
):
    async with FilesystemDriver(tmp_path) as store:
        etag = (await store.put("folder/key", b"content")).etag
        with locked(tmp_path / "folder"):
            deletion = asyncio.create_task(CALLS[call](store, etag))
            assert await asyncio.to_thread(refused.wait, 60)
            clock.now = END + late
        if not late:
            await deletion
            assert not (tmp_path / "folder").exists()
            return
        with pytest.raises(DeletionExpired):
            await deletion
        assert (tmp_path / "folder/key").read_bytes() == b"content"


async def test_the_keys_that_were_reached_before_the_end_are_deleted_with_their_folders(
    tmp_path: Path, clock: Clock
):
    async with FilesystemDriver(tmp_path) as store:
        keys = [f"{number}/key" for number in range(4)]
        for key in keys:
            await store.put(key, b"")
        clock.step = timedelta(seconds=25)
        with pytest.raises(DeletionExpired) as caught:
            await store.delete_many(keys, until=END)
        assert caught.value.key == "2/key"
        assert sorted(await asyncio.to_thread(os.listdir, tmp_path)) == ["2", "3"]
