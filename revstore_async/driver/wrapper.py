"""The base of wrappers: a driver around a driver, which passes every call on."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from functools import cached_property
from types import TracebackType
from typing import Self

from .contract import LIST_LIMIT, Driver, Reader, Writer
from .values import Capabilities, Condition, DeletionEffects, File, FileInfo, Folder, IfMatch, Page, Source


class DriverWrapper(Driver):
    """Passes each call on to the inner driver; a wrapper overrides the methods that it changes.

    The wrapper opens and closes the inner driver. Only the inner driver checks arguments.
    """

    def __init__(self, inner: Driver) -> None:
        self.inner = inner
        self.name: str = inner.name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"

    @cached_property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    async def __aenter__(self) -> Self:
        self.__dict__.pop("capabilities", None)  # it is the same only while the driver is open
        await self.inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.inner.__aexit__(kind, error, trace)

    async def get(self, key: str, *, limit: int | None = None) -> File:
        return await self.inner.get(key, limit=limit)

    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        return await self.inner.put(key, content, condition=condition)

    async def stat(self, key: str) -> FileInfo:
        return await self.inner.stat(key)

    def open_reader(
        self, key: str, *, offset: int = 0, length: int | None = None
    ) -> AbstractAsyncContextManager[Reader]:
        return self.inner.open_reader(key, offset=offset, length=length)

    def open_writer(self, key: str) -> AbstractAsyncContextManager[Writer]:
        return self.inner.open_writer(key)

    async def compose(self, sources: Sequence[Source], target: str, *, digest: str | None = None) -> FileInfo:
        return await self.inner.compose(sources, target, digest=digest)

    async def url_for(
        self, key: str, *, method: str = "GET", expires: timedelta = timedelta(minutes=20)
    ) -> str:
        return await self.inner.url_for(key, method=method, expires=expires)

    async def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo | Folder]:
        return await self.inner.list(prefix, start_after=start_after, limit=limit)

    async def list_all(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo]:
        return await self.inner.list_all(prefix, start_after=start_after, limit=limit)

    async def delete(
        self, key: str, *, condition: IfMatch | None = None, until: datetime | None = None
    ) -> None:
        await self.inner.delete(key, condition=condition, until=until)

    async def delete_many(self, keys: Iterable[str], *, until: datetime | None = None) -> None:
        await self.inner.delete_many(keys, until=until)

    async def delete_prefix(self, prefix: str) -> None:
        await self.inner.delete_prefix(prefix)

    async def deletion_effects(self) -> DeletionEffects:
        return await self.inner.deletion_effects()

    async def purge_writers(self, older_than: timedelta) -> int:
        return await self.inner.purge_writers(older_than)
