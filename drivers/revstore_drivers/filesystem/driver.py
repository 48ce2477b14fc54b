"""The driver of a folder. A method takes one step in a thread, or several where one step would take long."""

# ruff: noqa: PTH108 (as in `root`)

import fcntl
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from revstore_async.driver import (
    LIST_LIMIT,
    METADATA_TIMEOUT,
    Capabilities,
    Comparing,
    Condition,
    Driver,
    File,
    FileInfo,
    Folder,
    IfMatch,
    Page,
    Reader,
    Source,
    Writer,
    check_key,
    check_sources,
    check_version,
    without_secrets,
)
from revstore_async.driver.deadline import metadata_operation
from revstore_async.driver.writer_blocks import writer_block
from revstore_async.errors import DriverClosed, InvalidStoreURL, KeyNotFound, ObjectTooLarge, Unavailable

from ..arguments import check_listing, check_range, check_until, take_options
from ..buckets.options import seconds
from .listing import list_below, list_children, unfinished_files
from .root import Root, info_of, machine_time, sync_folder
from .streams import PART, FileReader, FileWriter
from .threads import Threads
from .unfinished import Put, Unfinished

# The work of one step: bytes of a copy, entries of a walk, keys of a deletion.
_COPIED_AT_ONCE = 64 << 20
_HASHED_AT_ONCE = 8 << 20  # bytes of a copy that is also hashed, which takes some 10 ms
_WALKED_AT_ONCE = 1000
_DELETED_AT_ONCE = 100


class FilesystemDriver(Driver):
    """A driver of a folder. URL: `file:///absolute/folder` or `file:relative/folder`, `?threads=32`.

    Its options are `threads` and `metadata_timeout`.

    Several drivers, of any number of processes on one machine, may work on one folder.
    """

    name = "file"

    def __init__(
        self,
        root: Path | str,
        *,
        threads: int = 32,
        metadata_timeout: float = METADATA_TIMEOUT.total_seconds(),
    ) -> None:
        """Make a driver.

        Args:
            root: The folder. If it is missing, nothing is stored there; the first write creates it.
            threads: The most calls that may wait for the disk at once.
            metadata_timeout: The most seconds that an operation on metadata waits for a thread and a lock.
        """
        self.root: Path = Path(root)
        self._count = threads
        self._limit = timedelta(seconds=metadata_timeout)
        self._opened: tuple[Root, Threads] | None = None

    @classmethod
    def from_url(cls, url: str, options: Mapping[str, object]) -> Self:
        """Build a driver from a `file:` URL."""
        taken = take_options(url, options, frozenset({"threads", "metadata_timeout"}))
        parts = urlsplit(url)
        if parts.netloc not in {"", "localhost"} or parts.fragment:
            raise InvalidStoreURL(without_secrets(url), "a folder is written file:///the/folder")
        if not parts.path or "\0" in (path := unquote(parts.path)):
            raise InvalidStoreURL(without_secrets(url), "it names no folder")
        threads = taken.get("threads", 32)
        if not str(threads).isdecimal() or not 1 <= int(str(threads)) <= 1000:
            reason = f"threads is {threads!r}, not a number from 1 to 1000"
            raise InvalidStoreURL(without_secrets(url), reason)
        limit = taken.get("metadata_timeout", METADATA_TIMEOUT.total_seconds())
        try:
            return cls(Path(path), threads=int(str(threads)), metadata_timeout=seconds(limit))
        except ValueError as error:
            raise InvalidStoreURL(without_secrets(url), f"metadata_timeout is {limit!r}: {error}") from None

    def __repr__(self) -> str:
        return f"FilesystemDriver({str(self.root)!r})"

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            conditional_delete=True,
            dated_deletion=True,
            connections=self._count,
            part_size=PART,
            metadata_timeout=self._limit,
        )

    async def __aenter__(self) -> Self:
        threads = Threads(self._count, self._limit)
        self._opened = await threads.run("", Root, self.root), threads
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened = None

    def _open(self) -> tuple[Root, Threads]:
        if self._opened is None:
            raise DriverClosed(self.name)
        return self._opened

    async def get(self, key: str, *, limit: int | None = None) -> File:
        check_key(key)
        root, threads = self._open()
        with metadata_operation(self._limit):
            return await threads.look(key, _get, root, key, limit)

    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        check_key(key)
        root, threads = self._open()
        step = Put(root, key, content, condition)
        with metadata_operation(self._limit, size=len(content)):
            try:
                return await threads.run_locking(key, step.take)
            finally:
                if step.waits:
                    await threads.finish(key, step.remove)

    async def stat(self, key: str) -> FileInfo:
        check_key(key)
        root, threads = self._open()
        with metadata_operation(self._limit):
            status = await threads.look(key, root.find, key)
        if status is None:
            raise KeyNotFound(key, machine_time())
        return info_of(key, status)

    @asynccontextmanager
    async def open_reader(
        self, key: str, *, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[Reader]:
        check_key(key)
        root, threads = self._open()
        reader = FileReader(threads, key)
        try:
            with metadata_operation(self._limit):
                await threads.run(key, reader.open_in_thread, root)
            reader.set_range(offset, check_range(key, offset, length, reader.info.size))
            yield reader
        finally:
            await threads.finish(key, reader.close_in_thread)

    @asynccontextmanager
    async def open_writer(self, key: str) -> AsyncIterator[Writer]:
        check_key(key)
        root, threads = self._open()
        async with writer_block(FileWriter(threads, key, Unfinished(root, key))) as writer:
            yield writer

    async def compose(self, sources: Sequence[Source], target: str, *, digest: str | None = None) -> FileInfo:
        check_sources(sources, target, digest)
        comparing = Comparing(digest)
        root, threads = self._open()
        unfinished = Unfinished(root, target)
        size = 0
        try:
            for source in sources:
                size += await self._copied(source, target, unfinished, size, comparing)
            comparing.check(target)
            return await threads.run_locking(target, unfinished.publish, size, None)
        finally:
            await threads.finish(target, unfinished.remove)

    async def _copied(
        self, source: Source, target: str, unfinished: Unfinished, to: int, comparing: Comparing
    ) -> int:
        """Copy a whole object into an unfinished one; return its size."""
        root, threads = self._open()
        reader = FileReader(threads, source.key)
        try:
            await threads.run(source.key, reader.open_in_thread, root)
            check_version(source, reader.info, target)
            offset, size = 0, reader.info.size
            while offset < size:
                step = min(size - offset, _HASHED_AT_ONCE if comparing.needed else _COPIED_AT_ONCE)
                count = await threads.run(
                    target, reader.copy_in_thread, unfinished, offset, step, to + offset, comparing
                )
                if not count:
                    raise Unavailable(source.key, "the file is shorter than it was")
                offset += count
            return size
        finally:
            await threads.finish(source.key, reader.close_in_thread)

    async def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo | Folder]:
        check_listing(prefix, limit)
        root, threads = self._open()
        with metadata_operation(self._limit, bulk=True):
            return await threads.look(prefix, list_children, root, prefix, start_after, limit)

    async def list_all(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo]:
        check_listing(prefix, limit)
        root, threads = self._open()
        with metadata_operation(self._limit, bulk=True):
            return await threads.look(prefix, list_below, root, prefix, start_after, limit)

    async def delete(
        self, key: str, *, condition: IfMatch | None = None, until: datetime | None = None
    ) -> None:
        check_key(key)
        check_until(self.name, until, dated=True)
        root, threads = self._open()
        with metadata_operation(self._limit):
            await threads.run_locking(key, Deletion(root, [key], condition, until).take)

    async def delete_many(self, keys: Iterable[str], *, until: datetime | None = None) -> None:
        judged = [check_key(key) for key in keys]
        check_until(self.name, until, dated=True)
        root, threads = self._open()
        for begin in range(0, len(judged), _DELETED_AT_ONCE):
            some = judged[begin : begin + _DELETED_AT_ONCE]
            with metadata_operation(self._limit, bulk=True):
                await threads.run_locking(some[0], Deletion(root, some, until=until).take)

    async def delete_prefix(self, prefix: str) -> None:
        check_key(prefix)
        root, threads = self._open()
        after: str | None = None
        while True:
            with metadata_operation(self._limit, bulk=True):
                page = await threads.look(prefix, list_below, root, prefix, after, _DELETED_AT_ONCE)
            await self.delete_many([info.key for info in page.entries])
            after = page.next
            if after is None:
                return

    async def purge_writers(self, older_than: timedelta) -> int:
        root, threads = self._open()
        latest = time.time_ns() - older_than // timedelta(microseconds=1) * 1000
        files = unfinished_files(root)
        purged = 0
        while (step := await threads.run("", _purge, root, files, latest)) is not None:
            purged += step
        return purged


def _get(root: Root, key: str, limit: int | None) -> File:
    descriptor, info = root.open(key)
    with os.fdopen(descriptor, "rb") as file:
        if limit is not None and info.size > limit:
            raise ObjectTooLarge(key, info.size, limit)
        content = file.read(info.size)
    if len(content) != info.size:
        raise Unavailable(key, "the file is shorter than it was")
    return File(info, content, machine_time())


class Deletion:
    """The deletion of some keys: a step that the driver takes again when the folder of a key was locked."""

    def __init__(
        self,
        root: Root,
        keys: Iterable[str],
        condition: IfMatch | None = None,
        until: datetime | None = None,
    ) -> None:
        self._root = root
        self._left = deque(keys)
        self._condition = condition
        self._until = until

    def take(self) -> None:
        """Delete the keys that are left.

        Raises:
            ConditionFailed: The condition does not hold.
            DeletionExpired: The end of the deletion is over.
            KeyLocked: Another process or thread holds the lock of a folder; the caller calls again.
        """
        folders = set()
        try:
            while self._left:
                if self._root.remove(self._left[0], self._condition, self._until):
                    folders.add(self._left[0].rpartition("/")[0])
                self._left.popleft()
        finally:
            # A folder that is removed takes its entries along, and the folder above it makes that durable.
            self._sync({self._root.prune(folder) for folder in folders})

    def _sync(self, folders: set[str]) -> None:
        synced: set[str] = set()
        while folders:
            folder = folders.pop()
            if folder in synced:
                continue
            try:
                sync_folder(self._root.path_of(folder))
                synced.add(folder)
            except (FileNotFoundError, NotADirectoryError):  # it was removed after that, with another in it
                if folder:
                    folders.add(folder.rpartition("/")[0])


def _purge(root: Root, files: Iterator[tuple[str, str] | None], latest: int) -> int | None:
    """Take some steps of a walk; return the number of purged files, or None if the walk is over."""
    steps = [*islice(files, _WALKED_AT_ONCE)]
    if not steps:
        return None
    return sum(_purge_one(root, *found, latest) for found in steps if found is not None)


def _purge_one(root: Root, prefix: str, path: str, latest: int) -> bool:
    try:
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        if os.fstat(file).st_mtime_ns > latest:
            return False
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    except (BlockingIOError, FileNotFoundError):  # a writer is at work on the file, or has ended just now
        return False
    finally:
        os.close(file)
    root.prune(prefix)
    return True
