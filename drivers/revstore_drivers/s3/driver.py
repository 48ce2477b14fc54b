"""The driver of a bucket: each method is one verb of the modules beside."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from math import ceil
from types import TracebackType
from typing import Self

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
    check_sources,
)
from revstore_async.errors import DriverClosed, InvalidArgument, Unsupported

from ..arguments import check_listing
from .client import Client
from .composing import compose
from .config import S3Options
from .copying import copy
from .deleting import delete, delete_below, delete_many
from .errors import DRIVER
from .listing import list_below, list_children
from .purging import purge
from .putting import put
from .reading import get, open_reader, stat
from .writing import open_writer

_SIGNED = {"GET": "get_object", "HEAD": "head_object"}
_LONGEST_SIGNED = timedelta(days=7)


class S3Driver(Driver):
    """A driver of a bucket. URL: `s3://bucket/prefix?endpoint_url=...`; `S3Options` is the table of options.

    At most `pool` requests are under way at once, in the order of asking. A reader holds a place for one while
    bytes come, and gives it back at the end of the range, of its block, or when nobody reads for a while.
    """

    name = DRIVER

    def __init__(self, bucket: str, prefix: str = "", **options: object) -> None:
        """Make a driver.

        Args:
            bucket: The bucket, which exists.
            prefix: What stands before each key; Docker Distribution's `rootdirectory`.
            **options: Those of `S3Options`.

        Raises:
            InvalidStoreURL: An option is not known or wrong; it is named.
        """
        self._be(S3Options.build(f"s3://{bucket}", bucket, prefix, options))

    def _be(self, options: S3Options) -> None:
        self.options = options
        self._client: Client | None = None

    @classmethod
    def from_url(cls, url: str, options: Mapping[str, object]) -> Self:
        """Build a driver from an `s3:` URL."""
        return cls.from_options(S3Options.from_url(url, options))

    @classmethod
    def from_options(cls, options: S3Options) -> Self:
        """Build a driver from options that were judged."""
        driver = cls.__new__(cls)
        driver._be(options)  # noqa: SLF001 (it is being made here)
        return driver

    def __repr__(self) -> str:
        return f"S3Driver({self.options.shown!r})"

    @property
    def capabilities(self) -> Capabilities:
        options = self.options
        return Capabilities(
            conditional_put=options.honours("conditional_put"),
            conditional_commit=options.honours("conditional_commit"),
            conditional_delete=options.honours("conditional_delete"),
            resumable_writes=options.honours("resumable_writes"),
            signed_urls=options.honours("signed_urls"),
            ordered_listing=options.honours("ordered_listing"),
            connections=options.pool,
            part_size=options.part_size,
            time_resolution=timedelta(seconds=1),
        )

    async def __aenter__(self) -> Self:
        client = Client(self.options)
        await client.open()
        self._client = client
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _open(self) -> Client:
        if self._client is None:
            raise DriverClosed(self.name)
        return self._client

    async def get(self, key: str, *, limit: int | None = None) -> File:
        check_key(key)
        return await get(self._open(), key, limit)

    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        check_key(key)
        return await put(self._open(), key, bytes(content), condition)

    async def stat(self, key: str) -> FileInfo:
        check_key(key)
        return await stat(self._open(), key)

    @asynccontextmanager
    async def open_reader(
        self, key: str, *, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[Reader]:
        check_key(key)
        async with open_reader(self._open(), key, offset, length) as reader:
            yield reader

    def open_writer(self, key: str, *, resume: bytes | None = None) -> AbstractAsyncContextManager[Writer]:
        return self._writer(key, resume)

    @asynccontextmanager
    async def _writer(self, key: str, resume: bytes | None) -> AsyncIterator[Writer]:
        check_key(key)
        async with open_writer(self._open(), key, resume) as writer:
            yield writer

    async def copy(self, source: str, target: str) -> FileInfo:
        check_key(source)
        check_key(target)
        return await copy(self._open(), source, target)

    async def compose(self, sources: Sequence[tuple[str, int]], target: str) -> FileInfo:
        check_sources(sources, target)
        return await compose(self._open(), sources, target)

    async def url_for(
        self, key: str, *, method: str = "GET", expires: timedelta = timedelta(minutes=20)
    ) -> str:
        check_key(key)
        if not self.options.honours("signed_urls"):
            raise Unsupported(self.name, "signed URLs on this server")
        if method not in _SIGNED:
            raise InvalidArgument("method", method, "a URL is signed for GET or HEAD")
        if not timedelta(0) < expires <= _LONGEST_SIGNED:
            raise InvalidArgument("expires", expires, "S3 signs for up to seven days")
        return await self._open().sign(_SIGNED[method], key, ceil(expires.total_seconds()))

    async def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo | Folder]:
        check_listing(prefix, limit)
        return await list_children(self._open(), prefix, start_after, limit)

    async def list_all(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo]:
        check_listing(prefix, limit)
        return await list_below(self._open(), prefix, start_after, limit)

    async def delete(self, key: str, *, condition: IfMatch | None = None) -> None:
        check_key(key)
        await delete(self._open(), key, condition)

    async def delete_many(self, keys: Iterable[str]) -> None:
        judged = [check_key(key) for key in keys]
        await delete_many(self._open(), judged)

    async def delete_prefix(self, prefix: str) -> None:
        check_key(prefix)
        await delete_below(self._open(), prefix)

    async def purge_writers(self, older_than: timedelta) -> int:
        return await purge(self._open(), older_than)
