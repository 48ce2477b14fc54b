"""The driver of a bucket on obstore: each method is one verb of the modules beside."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from types import TracebackType
from typing import Final, Literal, Self

import obstore

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
from .changing import copy, delete, delete_below, delete_many
from .client import Client
from .config import ObjectStoreOptions
from .errors import translated
from .listing import list_below, list_children
from .putting import put
from .reading import get, open_reader, stat
from .writing import open_writer

_SIGNED: Final[dict[str, Literal["GET", "HEAD"]]] = {"GET": "GET", "HEAD": "HEAD"}
_LONGEST_SIGNED: Final = timedelta(days=7)


class ObjectStoreDriver(Driver):
    """A driver of a bucket. URL: `obstore+s3://`, `gs://`, `az://`; `ObjectStoreOptions` is the table of options.

    At most `pool` requests are under way at once, in the order of asking; the parts of writers are not counted.
    A reader holds a place for one while bytes come, and gives it back at the end of the range, of its block, or
    when nobody reads for a while.
    """

    def __init__(self, url: str, **options: object) -> None:
        """Make a driver.

        Args:
            url: The store's URL.
            **options: What it left open, as in `ObjectStoreOptions`.

        Raises:
            InvalidStoreURL: The URL or an option is not understood; it is named.
        """
        self._be(ObjectStoreOptions.from_url(url, options))

    def _be(self, options: ObjectStoreOptions) -> None:
        self.options = options
        self.name = options.scheme
        self._client: Client | None = None

    @classmethod
    def from_url(cls, url: str, options: Mapping[str, object]) -> Self:
        """Build a driver from a URL of one of its schemes."""
        return cls.from_options(ObjectStoreOptions.from_url(url, options))

    @classmethod
    def from_options(cls, options: ObjectStoreOptions) -> Self:
        """Build a driver from options that were judged."""
        driver = cls.__new__(cls)
        driver._be(options)  # noqa: SLF001 (it is being made here)
        return driver

    def __repr__(self) -> str:
        return f"ObjectStoreDriver({self.options.shown!r})"

    @property
    def capabilities(self) -> Capabilities:
        options = self.options
        return Capabilities(
            conditional_put=options.conditional_put,
            conditional_commit=False,
            conditional_delete=False,
            resumable_writes=False,
            signed_urls=options.signed_urls,
            ordered_listing=True,
            connections=options.pool,
            part_size=options.part_size,
            time_resolution=timedelta(seconds=1),
        )

    async def __aenter__(self) -> Self:
        # It reads certificates, which takes some 15 ms for each of obstore's stores.
        self._client = await asyncio.to_thread(Client, self.options)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

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
        client = self._open()
        if resume is not None:
            raise Unsupported(self.name, "resumed writers")
        async with open_writer(client, key) as writer:
            yield writer

    async def copy(self, source: str, target: str) -> FileInfo:
        check_key(source)
        check_key(target)
        return await copy(self._open(), source, target)

    async def compose(self, sources: Sequence[tuple[str, int]], target: str) -> FileInfo:
        check_sources(sources, target)
        if len(sources) == 1:
            return await copy(self._open(), sources[0][0], target)
        return await super().compose(sources, target)

    async def url_for(
        self, key: str, *, method: str = "GET", expires: timedelta = timedelta(minutes=20)
    ) -> str:
        check_key(key)
        if not self.options.signed_urls:
            raise Unsupported(self.name, "signed URLs on this server")
        if method not in _SIGNED:
            raise InvalidArgument("method", method, "a URL is signed for GET or HEAD")
        if not timedelta(0) < expires <= _LONGEST_SIGNED:
            raise InvalidArgument("expires", expires, "S3 and Google sign for up to seven days")
        signer = self._open().signer
        with translated(key, self.options.shown, self.name):
            return await obstore.sign_async(signer, _SIGNED[method], key, expires)

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
        client = self._open()
        if condition is not None:
            raise Unsupported(self.name, "conditional deletion")
        await delete(client, key)

    async def delete_many(self, keys: Iterable[str]) -> None:
        judged = [check_key(key) for key in keys]
        await delete_many(self._open(), [*dict.fromkeys(judged)])

    async def delete_prefix(self, prefix: str) -> None:
        check_key(prefix)
        await delete_below(self._open(), prefix)

    async def purge_writers(self, older_than: timedelta) -> int:  # noqa: ARG002 (there is nothing to list)
        """Remove nothing: obstore lists no unfinished uploads, so the bucket's lifecycle rules must end those."""
        self._open()
        return 0
