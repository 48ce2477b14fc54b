"""The contract of a storage driver: the duties of every store under the engine, and no more.

Each sentence here has one meaning on every driver, and `revstore_async.testing.DriverConformance` checks them
one by one. Errors other than those listed do not leave a driver: it translates its SDK's errors, at one place,
and keeps the cause (`raise ... from`).

Rules for every method:

* Keys fit `check_key`; any other raises `InvalidKey` before anything is asked of the store.
* Any method may raise `Unavailable` (its subclass `Throttled` included), `AccessDenied` and `DriverClosed`.
* A store that a driver can't create and that is not there, such as a bucket, is `InvalidStoreURL`, from any method
  that asks it and never `KeyNotFound`; one that a write creates, such as a folder, is empty until then.
* A write that returned is seen by every read and listing that begins after it, from any process.
* A reader sees one whole version of an object, never a part of it and never a mixture of two.
* A call that was cancelled or failed leaves either no effect or its whole effect; no temporary object that a
  listing shows, no task, no open file, no open connection.
* No key may be a folder of another (`a` beside `a/b`): a driver may refuse the later one with `InvalidKey`.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from types import TracebackType
from typing import Self

from ..errors import Unsupported
from .composing import Comparing, check_sources, check_version
from .values import Capabilities, Condition, File, FileInfo, Folder, IfMatch, Page, Source

LIST_LIMIT = 1000
"""Entries of one page at most; what S3 gives for one request."""


class Reader(ABC):
    """Content on its way out. It is handed out by `Driver.open_reader` and closed by leaving that block.

    Attributes:
        info: What the store knows of the object; of the version that is read, `size` is that of the whole.
    """

    info: FileInfo

    @abstractmethod
    async def read(self, size: int = 1 << 16, /) -> bytes:
        """Return the next bytes: at least one and at most `size`; none only at the end of the range.

        Raises:
            InvalidArgument: `size` is below 1.
            Unavailable: The store broke off; the bytes read so far are right.
        """

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the bytes that are left, in pieces of a size that suits the store, none empty."""
        while piece := await self.read(1 << 18):
            yield piece


class Writer(ABC):
    """Content on its way in. It is handed out by `Driver.open_writer`.

    Nothing is visible under the key before `commit`. Leaving the block of `open_writer` without `commit`, by an
    error or not, is a `cancel`. After `commit` or `cancel` the writer is done: a further call but `cancel`
    raises `WriterNotFound`. One task uses it at a time.

    Attributes:
        offset: Bytes accepted so far.
    """

    offset: int

    @abstractmethod
    async def write(self, data: bytes | memoryview, /) -> None:
        """Accept bytes. Their memory may be used again when it returns.

        When it fails or is cancelled, `offset` tells whether they were accepted. Memory is bounded by a small
        multiple of `Capabilities.part_size`, for objects of any size.
        """

    @abstractmethod
    async def commit(self, *, condition: Condition | None = None) -> FileInfo:
        """Make the content visible under the key, at once and durably, in place of any earlier content.

        An empty content is content. The object has exactly `offset` bytes, else it does not become visible.

        Raises:
            ConditionFailed: The condition does not hold; nothing is visible, and the writer is cancelled.
            Unsupported: A condition was given and the driver lacks `conditional_commit`.
        """

    @abstractmethod
    async def cancel(self) -> None:
        """Remove all written bytes. Idempotent; after `commit` it does nothing."""


class Driver(ABC):
    """A storage driver. It is an async context manager; its methods are used inside the block.

    Attributes:
        name: What messages call it; for a driver that is opened by URL, the scheme.
    """

    name: str

    @classmethod
    def from_url(cls, url: str, options: Mapping[str, object]) -> "Driver":
        """Build a driver, not yet open, from a store URL.

        Args:
            url: The whole URL, of a scheme under which the driver is registered.
            options: Keyword arguments of the program; they fill what the URL left open.

        Raises:
            InvalidStoreURL: The URL or an option is not understood; an unknown one is named.
        """
        raise Unsupported(cls.__name__, f"opening by URL ({url!r}, {len(options)} options)")

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """The driver's capabilities; the same value as long as it is open."""

    @abstractmethod
    async def __aenter__(self) -> Self:
        """Open connections and files. A driver is open once at a time."""

    @abstractmethod
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it all. Stored objects stay."""

    # ---- one object

    @abstractmethod
    async def get(self, key: str, *, limit: int | None = None) -> File:
        """Return an object, whole: small content.

        Args:
            key: Its key.
            limit: Bytes that the caller is willing to hold; None for any.

        Raises:
            KeyNotFound: Nothing is stored under the key; also where the key is a folder of others.
            ObjectTooLarge: It holds more than `limit` bytes; they were not all read.
        """

    @abstractmethod
    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        """Store content under a key, durably, in place of the former object; return the new one.

        The condition and the write are one step: of many writers at once with `IfAbsent`, or with `IfMatch`
        of one etag, exactly one wins. `IfMatch` where nothing is stored fails.

        After a lost answer the driver resolves a conditional write by reading back: a write never ends in
        `ConditionFailed` because of itself.

        Raises:
            ConditionFailed: The condition does not hold; nothing was written.
            Unsupported: A condition was given and the driver lacks `conditional_put`.
        """

    @abstractmethod
    async def stat(self, key: str) -> FileInfo:
        """Return an object's size, time and etag.

        Raises:
            KeyNotFound: Nothing is stored under the key; also where the key is a folder of others.
        """

    @abstractmethod
    def open_reader(
        self, key: str, *, offset: int = 0, length: int | None = None
    ) -> AbstractAsyncContextManager[Reader]:
        """Open an object's content from `offset` on; errors are raised on entering the block.

        Args:
            key: Its key.
            offset: Where to begin; the object's size is a good offset, with no bytes after it.
            length: Bytes to read at most; None for all. It may reach past the end.

        Raises:
            KeyNotFound: Nothing is stored under the key.
            InvalidOffset: `offset` is below 0 or beyond the size.
            InvalidArgument: `length` is below 0.
        """

    @abstractmethod
    def open_writer(self, key: str) -> AbstractAsyncContextManager[Writer]:
        """Open a writer for a key; errors are raised on entering the block.

        Args:
            key: The key under which `commit` makes the content visible.
        """

    async def compose(self, sources: Sequence[Source], target: str, *, digest: str | None = None) -> FileInfo:
        """Store the content of one or several objects, one after another, under a target, replacing its content.

        One source makes a copy. The bytes do not pass through this process where the store can join objects by
        itself; this method reads and writes them. Memory is bounded as a writer's is.

        A source with an etag is copied from that version only. A digest is compared with the bytes before the
        target is written. A driver with `conditional_copy` may compare the etags instead, where each source has
        one: the digest is then the caller's promise.

        Args:
            sources: The objects.
            target: Where the whole is stored; none of the sources.
            digest: What the whole must be, as `sha256:` (or another algorithm of `hashlib`) and lower-case
                hexadecimal digits; None for anything.

        Raises:
            KeyNotFound: Nothing is stored under a source; the target is as it was.
            ConditionFailed: A source is another version, or the whole has another digest; the target is as it was.
            InvalidArgument: There is no source, the target is one, or the digest is of no known algorithm.
        """
        check_sources(sources, target, digest)
        comparing = Comparing(digest)
        async with self.open_writer(target) as writer:
            for source in sources:
                async with self.open_reader(source.key) as reader:
                    check_version(source, reader.info, target)
                    async for piece in reader:
                        await comparing.update(piece)
                        await writer.write(piece)
            comparing.check(target)
            return await writer.commit()

    async def url_for(
        self, key: str, *, method: str = "GET", expires: timedelta = timedelta(minutes=20)
    ) -> str:
        """Return a URL that allows any client to GET or HEAD an object until it expires, ranges included.

        The store is not asked whether the object exists.

        Raises:
            InvalidArgument: The method is not GET or HEAD, or the time not positive.
            Unsupported: The driver lacks `signed_urls`.
        """
        raise Unsupported(self.name, f"signed URLs ({method} of {key!r} for {expires})")

    # ---- listings

    @abstractmethod
    async def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo | Folder]:
        """List one page of the direct children of a prefix: objects, and folders that have keys below them.

        Children are in the byte order of their keys, where a folder counts as its key with a `/` at the end.
        A prefix with nothing below it has no children; that is no error.

        Args:
            prefix: A key, without a `/` at the end; empty for the whole store.
            start_after: Only children after this are listed. Any text will do, as a place in that order:
                `Page.next`, a folder's key with its `/`, a key that does not exist.
            limit: Entries of the page at most, from 1 to 1,000.

        Raises:
            InvalidArgument: `limit` is outside its range.
        """

    @abstractmethod
    async def list_all(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo]:
        """List one page of all the objects below a prefix, at any depth, in the byte order of their keys.

        The object `ab` is not below the prefix `a`; nor is `a` itself.

        Args:
            prefix: A key, without a `/` at the end; empty for the whole store.
            start_after: Only keys after this are listed. Any text will do.
            limit: Entries of the page at most, from 1 to 1,000.

        Raises:
            InvalidArgument: `limit` is outside its range.
        """

    # ---- deletion

    @abstractmethod
    async def delete(self, key: str, *, condition: IfMatch | None = None) -> None:
        """Delete an object. Idempotent: without a condition it is no error where nothing is stored.

        Args:
            key: Its key.
            condition: Delete only the version that has this etag; judged and done in one step, as in `put`.

        Raises:
            ConditionFailed: Another version is stored, or none; nothing was deleted.
            Unsupported: A condition was given and the driver lacks `conditional_delete`.
        """

    @abstractmethod
    async def delete_many(self, keys: Iterable[str]) -> None:
        """Delete objects, in as few requests as the store allows, in no order. Idempotent.

        All keys are judged before any is deleted. When it fails, some may be deleted.
        """

    @abstractmethod
    async def delete_prefix(self, prefix: str) -> None:
        """Delete all the objects below a prefix, at any depth, those that `list_all` gives. Idempotent.

        When it fails, some may be deleted. The object `ab` is not below the prefix `a`; nor is `a` itself.

        Raises:
            InvalidKey: The prefix is empty: a whole store is not deleted by a slip.
        """

    @abstractmethod
    async def purge_writers(self, older_than: timedelta) -> int:
        """Remove what writers of killed processes left, where nothing was written for that long.

        Writers at work are left alone. A server that does not list unfinished writes leaves those to its own
        rules, which the driver documents.

        Returns:
            How many unfinished writes were removed.
        """
