"""Readers and writers of the file-system driver."""

import os

from revstore_async.driver import Comparing, Condition, FileInfo, Reader, Writer
from revstore_async.errors import Unavailable, WriterNotFound

from ..arguments import check_read
from .root import Root
from .threads import Threads
from .unfinished import Unfinished

PART = 1 << 20
"""Bytes that a writer gathers, and the most that one read gives, so that a switch of threads is worth it."""


class FileReader(Reader):
    """Reads an open file. The file never changes, since a later version is another file."""

    info: FileInfo

    def __init__(self, threads: Threads, key: str) -> None:
        self._threads = threads
        self._key = key
        self._file = -1
        self._at = 0
        self._end = 0

    def open_in_thread(self, root: Root) -> None:
        """Open the file. The reader keeps it, so that the driver closes it even if this call is cancelled."""
        self._file, self.info = root.open(self._key)

    def close_in_thread(self) -> None:
        """Close the file, if it is open."""
        file, self._file = self._file, -1  # the system may soon give the number to another file
        if file >= 0:
            os.close(file)

    def copy_in_thread(
        self, target: Unfinished, offset: int, count: int, to: int, comparing: Comparing
    ) -> int:
        """Copy some bytes; return their number.

        The digest is computed from the copy: the system copies by itself, and this process does not see the bytes.
        """
        copied = target.copy(self._file, offset, count, to)
        if comparing.needed:
            for piece in target.read(to, copied):
                comparing.update_in_thread(piece)
        return copied

    def set_range(self, offset: int, end: int) -> None:
        """Set the range to read."""
        self._at = offset
        self._end = end

    async def read(self, size: int = 1 << 16, /) -> bytes:
        check_read(size)
        size = min(size, self._end - self._at, PART)
        if not size:
            return b""
        piece = await self._threads.run(self._key, os.pread, self._file, size, self._at)
        if not piece:
            raise Unavailable(self._key, "the file is shorter than it was")
        self._at += len(piece)
        return piece


class FileWriter(Writer):
    """Gathers a part, then writes it. Content of less than a part is written at the commit.

    A method with `_in_thread` in its name does the work of the method without it. It changes the writer's state at
    its end, so that the state is right even if the waiting task is cancelled.
    """

    def __init__(self, threads: Threads, key: str, unfinished: Unfinished) -> None:
        self.offset: int = 0
        self._threads = threads
        self._key = key
        self._unfinished = unfinished
        self._gathered = bytearray()
        self._done = False

    async def write(self, data: bytes | memoryview, /) -> None:
        self._check_not_done()
        view = memoryview(data).cast("B")
        if len(self._gathered) + len(view) < PART:
            self._gathered += view
            self.offset += len(view)
        else:
            await self._threads.run(self._key, self._write_in_thread, view)

    def _write_in_thread(self, data: memoryview) -> None:
        self._unfinished.write(self.offset - len(self._gathered), self._gathered, data)
        self._gathered = bytearray()
        self.offset += len(data)

    async def commit(self, *, condition: Condition | None = None) -> FileInfo:
        self._check_not_done()
        return await self._threads.run_locking(self._key, self._commit_in_thread, condition)

    def _commit_in_thread(self, condition: Condition | None) -> FileInfo:
        if self._gathered:
            self._write_in_thread(memoryview(b""))
        try:
            return self._unfinished.publish(self.offset, condition)
        finally:
            self._done = self._unfinished.published or self._unfinished.removed

    async def cancel(self) -> None:
        if not self._done:
            self._done = True
            await self._threads.finish(self._key, self._unfinished.remove)

    def _check_not_done(self) -> None:
        if self._done:
            raise WriterNotFound(self._key)
