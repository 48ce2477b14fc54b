"""Readers and writers of the memory driver."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from revstore_async.driver import Condition, File, FileInfo, Reader, Writer
from revstore_async.errors import WriterNotFound

from ..arguments import check_read
from .store import MemoryStore


class MemoryReader(Reader):
    """Reads one version; a later version is another object in memory."""

    def __init__(self, file: File, offset: int, end: int) -> None:
        self.info: FileInfo = file.info
        self._content = memoryview(file.content)[:end]
        self._at = offset

    async def read(self, size: int = 1 << 16, /) -> bytes:
        check_read(size)
        await asyncio.sleep(0)
        piece = bytes(self._content[self._at : self._at + size])
        self._at += len(piece)
        return piece


class MemoryWriter(Writer):
    """Gathers content, and stores it at its commit."""

    def __init__(self, store: MemoryStore, clock: Callable[[], datetime], key: str) -> None:
        self.offset: int = 0
        self._store = store
        self._clock = clock
        self._key = key
        self._content = bytearray()
        self._done = False
        store.unfinished.append(key)

    async def write(self, data: bytes | memoryview, /) -> None:
        self._check_not_done()
        taken = bytes(data)
        await asyncio.sleep(0)
        self._content += taken
        self.offset += len(taken)

    async def commit(self, *, condition: Condition | None = None) -> FileInfo:
        self._check_not_done()
        await asyncio.sleep(0)
        content = bytes(self._content)
        self._end()
        info = self._store.set(self._key, content, condition, self._clock())
        await asyncio.sleep(0)
        return info

    async def cancel(self) -> None:
        if not self._done:
            self._end()

    def _end(self) -> None:
        self._done = True
        self._content = bytearray()
        self._store.unfinished.remove(self._key)

    def _check_not_done(self) -> None:
        if self._done:
            raise WriterNotFound(self._key)
