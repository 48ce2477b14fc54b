"""Readers and writers of the memory driver."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from revstore_async.driver import Condition, File, FileInfo, Reader, Writer
from revstore_async.errors import WriterNotFound

from ..arguments import check_read
from ..state import WriterState
from .store import MemoryStore, Unfinished

DRIVER = "memory"
"""The driver's name, which its states carry."""


class MemoryReader(Reader):
    """Reads one version; a later one is another object."""

    def __init__(self, file: File, offset: int, end: int) -> None:
        self.info = file.info
        self._content = memoryview(file.content)[:end]
        self._at = offset

    async def read(self, size: int = 1 << 16, /) -> bytes:
        check_read(size)
        await asyncio.sleep(0)
        piece = bytes(self._content[self._at : self._at + size])
        self._at += len(piece)
        return piece


class MemoryWriter(Writer):
    """Writes into an unfinished write of the store."""

    def __init__(
        self,
        store: MemoryStore,
        clock: Callable[[], datetime],
        name: str,
        unfinished: Unfinished,
        offset: int,
    ) -> None:
        self.offset = offset
        self._store = store
        self._clock = clock
        self._name = name
        self._unfinished = unfinished
        self._done = False

    async def write(self, data: bytes | memoryview, /) -> None:
        self._check_not_done()
        taken = bytes(data)
        await asyncio.sleep(0)
        if self.offset < len(self._unfinished.content):
            self._drop_tail()
        self._unfinished.content += taken
        self._unfinished.touched = self._clock()
        self.offset += len(taken)

    def _drop_tail(self) -> None:
        # Another state may count on the bytes that are thrown away here: under a new name it finds them gone,
        # where under the old one it would go on from bytes that are not its own.
        del self._store.unfinished[self._name]
        del self._unfinished.content[self.offset :]
        self._name = self._store.add(self._unfinished)

    async def suspend(self) -> bytes:
        self._check_not_done()
        await asyncio.sleep(0)
        self._done = True
        self._unfinished.busy = False
        return WriterState(DRIVER, self._unfinished.key, self._name, self.offset).encode()

    async def commit(self, *, condition: Condition | None = None) -> FileInfo:
        self._check_not_done()
        await asyncio.sleep(0)
        content = bytes(self._unfinished.content[: self.offset])
        self._forget()
        info = self._store.set(self._unfinished.key, content, condition, self._clock())
        await asyncio.sleep(0)
        return info

    async def cancel(self) -> None:
        if not self._done:
            self._forget()

    def _forget(self) -> None:
        self._done = True
        del self._store.unfinished[self._name]

    def _check_not_done(self) -> None:
        if self._done:
            raise WriterNotFound(self._unfinished.key)
