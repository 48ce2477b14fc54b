"""The base of the drivers of a bucket: it judges the arguments and holds the client; verbs do the rest."""

import builtins
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Generic, Protocol, Self, TypeVar

from revstore_async.driver import (
    LIST_LIMIT,
    Condition,
    Driver,
    File,
    FileInfo,
    Folder,
    Page,
    Reader,
    Writer,
    check_key,
)
from revstore_async.driver.deadline import metadata_operation
from revstore_async.errors import DriverClosed, InvalidArgument, Unsupported

from ..arguments import check_listing, check_until

_AT_ONCE: Final = 1000  # keys that a server deletes in one request, if it does
_LONGEST_SIGNED: Final = timedelta(days=7)


class Shown(Protocol):
    """Options of a driver that were judged."""

    @property
    def shown(self) -> str:
        """The name of the store in messages."""

    @property
    def metadata_timeout(self) -> float:
        """Seconds that an operation on metadata takes at most."""


ClientT = TypeVar("ClientT")
OptionsT = TypeVar("OptionsT", bound=Shown)


@dataclass(frozen=True, slots=True)
class Verbs(Generic[ClientT]):
    """The requests to a server, with judged arguments; each verb is the driver's method of its name.

    Attributes:
        get: Of a key, and at most so many bytes.
        put: Of a key, the content, and a condition.
        stat: Of a key.
        open_reader: Of a key, the offset, and the length.
        open_writer: Of a key.
        list_children: `list`, of what all keys begin with, the place to begin after, and a limit.
        list_below: `list_all`, likewise.
        delete_many: Of a thousand keys at most, each there once, and the end.
    """

    get: Callable[[ClientT, str, int | None], Awaitable[File]]
    put: Callable[[ClientT, str, bytes, Condition | None], Awaitable[FileInfo]]
    stat: Callable[[ClientT, str], Awaitable[FileInfo]]
    open_reader: Callable[[ClientT, str, int, int | None], AbstractAsyncContextManager[Reader]]
    open_writer: Callable[[ClientT, str], AbstractAsyncContextManager[Writer]]
    list_children: Callable[[ClientT, str, str | None, int], Awaitable[Page[FileInfo | Folder]]]
    list_below: Callable[[ClientT, str, str | None, int], Awaitable[Page[FileInfo]]]
    delete_many: Callable[[ClientT, builtins.list[str], datetime | None], Awaitable[None]]


class BucketDriver(Driver, Generic[OptionsT, ClientT]):
    """A driver of a bucket.

    Attributes:
        options: How it is opened.
    """

    options: OptionsT
    _verbs: Verbs[ClientT]
    _client: ClientT | None
    _limit: timedelta

    def _be(self, options: OptionsT) -> None:
        self.options = options
        self._client = None
        self._limit = timedelta(seconds=options.metadata_timeout)

    @classmethod
    def from_options(cls, options: OptionsT) -> Self:
        """Build a driver from options that were judged."""
        driver = cls.__new__(cls)
        driver._be(options)  # noqa: SLF001 (it is being made here)
        return driver

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.options.shown!r})"

    @abstractmethod
    async def _connect(self) -> ClientT:
        """Return an open client."""

    @abstractmethod
    async def _disconnect(self, client: ClientT) -> None:
        """Close a client."""

    async def __aenter__(self) -> Self:
        self._client = await self._connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            await self._disconnect(client)

    def _open(self) -> ClientT:
        """Return the client.

        Raises:
            DriverClosed: There is none.
        """
        if self._client is None:
            raise DriverClosed(self.name)
        return self._client

    # ---- one object

    async def get(self, key: str, *, limit: int | None = None) -> File:
        check_key(key)
        with metadata_operation(self._limit):
            return await self._verbs.get(self._client or self._open(), key, limit)

    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        check_key(key)
        with metadata_operation(self._limit, size=len(content)):
            return await self._verbs.put(self._client or self._open(), key, bytes(content), condition)

    async def stat(self, key: str) -> FileInfo:
        check_key(key)
        with metadata_operation(self._limit):
            return await self._verbs.stat(self._client or self._open(), key)

    @asynccontextmanager
    async def open_reader(
        self, key: str, *, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[Reader]:
        check_key(key)
        async with AsyncExitStack() as block:
            with metadata_operation(self._limit):
                entered = self._verbs.open_reader(self._open(), key, offset, length)
                reader = await block.enter_async_context(entered)
            yield reader

    @asynccontextmanager
    async def open_writer(self, key: str) -> AsyncIterator[Writer]:
        check_key(key)
        async with self._verbs.open_writer(self._open(), key) as writer:
            yield writer

    async def url_for(
        self, key: str, *, method: str = "GET", expires: timedelta = timedelta(minutes=20)
    ) -> str:
        check_key(key)
        if not self.capabilities.signed_urls:
            raise Unsupported(self.name, "signed URLs on this server")
        if method not in {"GET", "HEAD"}:
            raise InvalidArgument("method", method, "a URL is signed for GET or HEAD")
        if not timedelta(0) < expires <= _LONGEST_SIGNED:
            raise InvalidArgument("expires", expires, "a URL is signed for up to seven days")
        return await self._sign(key, method, expires)

    @abstractmethod
    async def _sign(self, key: str, method: str, expires: timedelta) -> str:
        """Return a URL; the method is GET or HEAD."""

    # ---- listings

    async def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo | Folder]:
        begin = check_listing(prefix, limit)
        with metadata_operation(self._limit, bulk=True):
            return await self._verbs.list_children(self._client or self._open(), begin, start_after, limit)

    async def list_all(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo]:
        begin = check_listing(prefix, limit)
        with metadata_operation(self._limit, bulk=True):
            return await self._verbs.list_below(self._client or self._open(), begin, start_after, limit)

    # ---- deletion

    async def delete_many(self, keys: Iterable[str], *, until: datetime | None = None) -> None:
        judged = [*dict.fromkeys(check_key(key) for key in keys)]
        check_until(self.name, until, dated=self.capabilities.dated_deletion)
        for begin in range(0, len(judged), _AT_ONCE):
            with metadata_operation(self._limit, bulk=True):
                batch = judged[begin : begin + _AT_ONCE]
                await self._verbs.delete_many(self._client or self._open(), batch, until)

    async def delete_prefix(self, prefix: str) -> None:
        check_key(prefix)
        after: str | None = None
        while True:
            page = await self.list_all(prefix, start_after=after)
            await self.delete_many(info.key for info in page.entries)
            after = page.next
            if after is None:
                return
