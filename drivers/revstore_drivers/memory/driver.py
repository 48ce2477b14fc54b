"""The driver of a `MemoryStore`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

from revstore_async.driver import (
    LIST_LIMIT,
    Capabilities,
    Condition,
    Driver,
    File,
    FileInfo,
    Folder,
    IfMatch,
    Page,
    Reader,
    Writer,
    check_key,
    without_secrets,
)
from revstore_async.driver.writer_blocks import writer_block
from revstore_async.errors import DriverClosed, InvalidStoreURL, KeyNotFound, ObjectTooLarge

from ..arguments import check_listing, check_range, check_until, take_options
from .store import MemoryStore
from .streams import MemoryReader, MemoryWriter

Entry = TypeVar("Entry", FileInfo, FileInfo | Folder)


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


class MemoryDriver(Driver):
    """A driver of a `MemoryStore`. URL: `memory:`, which is a new and empty store."""

    name = "memory"

    def __init__(self, store: MemoryStore | None = None, *, clock: Callable[[], datetime] = utc_now) -> None:
        """Make a driver.

        Args:
            store: The store; None for a new and empty one.
            clock: The store's clock: gives `FileInfo.modified` and `File.date`.
        """
        self.store: MemoryStore = MemoryStore() if store is None else store
        self._clock = clock
        self._open = False

    @classmethod
    def from_url(cls, url: str, options: Mapping[str, object]) -> Self:
        """Build a driver from `memory:`."""
        take_options(url, options, frozenset())
        parts = urlsplit(url)
        if parts.netloc or parts.path or parts.fragment:
            raise InvalidStoreURL(without_secrets(url), "nothing follows 'memory:'")
        return cls()

    def __repr__(self) -> str:
        return f"MemoryDriver({len(self.store.objects)} objects)"

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(conditional_delete=True, dated_deletion=True)

    async def __aenter__(self) -> Self:
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False

    async def _asked(self) -> None:
        if not self._open:
            raise DriverClosed(self.name)
        await asyncio.sleep(0)

    async def get(self, key: str, *, limit: int | None = None) -> File:
        await self._asked()
        file = self._file(key)
        if limit is not None and file.info.size > limit:
            raise ObjectTooLarge(key, file.info.size, limit)
        return File(file.info, file.content, self._now(key))

    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        check_key(key)
        await self._asked()
        info = self.store.set(key, bytes(content), condition, self._clock())
        await asyncio.sleep(0)
        return info

    async def stat(self, key: str) -> FileInfo:
        await self._asked()
        return self._file(key).info

    @asynccontextmanager
    async def open_reader(
        self, key: str, *, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[Reader]:
        await self._asked()
        file = self._file(key)
        end = check_range(key, offset, length, file.info.size)
        yield MemoryReader(file, offset, end)

    @asynccontextmanager
    async def open_writer(self, key: str) -> AsyncIterator[Writer]:
        check_key(key)
        await self._asked()
        async with writer_block(MemoryWriter(self.store, self._clock, key)) as writer:
            yield writer

    async def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo | Folder]:
        begin = check_listing(prefix, limit)
        await self._asked()
        return _page(self.store.children(begin, start_after), limit)

    async def list_all(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo]:
        begin = check_listing(prefix, limit)
        await self._asked()
        return _page((self.store.objects[key].info for key in self.store.below(begin, start_after)), limit)

    async def delete(
        self, key: str, *, condition: IfMatch | None = None, until: datetime | None = None
    ) -> None:
        check_key(key)
        check_until(self.name, until, dated=True)
        await self._asked()
        self.store.check_not_ended(key, until, self._clock())
        self.store.remove(key, condition)
        await asyncio.sleep(0)

    async def delete_many(self, keys: Iterable[str], *, until: datetime | None = None) -> None:
        judged = [check_key(key) for key in keys]
        check_until(self.name, until, dated=True)
        await self._asked()
        for key in judged:
            self.store.check_not_ended(key, until, self._clock())
            self.store.remove(key)
        await asyncio.sleep(0)

    async def delete_prefix(self, prefix: str) -> None:
        check_key(prefix)
        await self._asked()
        for key in [*self.store.below(prefix + "/", None)]:
            self.store.remove(key)
        await asyncio.sleep(0)

    async def purge_writers(self, older_than: timedelta) -> int:  # noqa: ARG002 (nothing outlives the process)
        """Remove nothing: the bytes of an unfinished write end with the process."""
        await self._asked()
        return 0

    def _file(self, key: str) -> File:
        try:
            return self.store.objects[check_key(key)]
        except KeyError:
            raise KeyNotFound(key, self._now(key)) from None

    def _now(self, key: str) -> datetime:
        return self.store.time_of_answer(key, self._clock())


def _page(entries: Iterator[Entry], limit: int) -> Page[Entry]:
    found: list[Entry] = []
    for entry in entries:
        if len(found) == limit:
            last = found[-1]
            return Page(tuple(found), last.key + "/" if isinstance(last, Folder) else last.key)
        found.append(entry)
    return Page(tuple(found), None)
