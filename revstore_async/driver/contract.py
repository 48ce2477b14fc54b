"""The contract of a storage driver: the duties of every store under the engine, and no more.

Each sentence here has one meaning on every driver, and `revstore_async.testing.DriverConformance` checks them one
by one. A driver raises only the listed errors: one module of it translates its SDK's errors, and keeps the cause
(`raise ... from`).

Rules for every method:

* A driver checks keys by `check_key`. For any other text it raises `InvalidKey` before it asks the store.
* Any method may raise `Unavailable` (its subclass `Throttled` included), `AccessDenied` and `DriverClosed`.
* A missing store that a driver can't create, such as a bucket, is `InvalidStoreURL` from any method that asks the
  store, and never `KeyNotFound`. A missing store that a write creates, such as a folder, is an empty store.
* Every read and listing that begins after a write returned sees the write, from any process.
* A reader sees one whole version of an object, never a part of a version and never a mixture of two.
* A call that was cancelled or failed has no effect or its whole effect. It leaves no temporary object that a
  listing shows, no task, no open file and no open connection.
* No key may be a folder of another (`a` beside `a/b`): a driver may refuse the later one with `InvalidKey`.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from ..errors import Unsupported
from .composing import Comparing, check_sources, check_version
from .values import Capabilities, Condition, DeletionEffects, File, FileInfo, Folder, IfMatch, Page, Source

LIST_LIMIT = 1000
"""The most entries of one page; S3 gives as many for one request."""


class Reader(ABC):
    """Gives an object's content. `Driver.open_reader` returns it, and the end of that block closes it.

    Attributes:
        info: The info of the version that is read; its size is that of the whole object.
    """

    info: FileInfo

    @abstractmethod
    async def read(self, size: int = 1 << 16, /) -> bytes:
        """Return the next bytes: at least one and at most `size`. An empty result is the end of the range.

        Raises:
            InvalidArgument: `size` is below 1.
            Unavailable: The store broke off. The bytes read so far are right.
        """

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the remaining bytes, in pieces of a size that suits the store; no piece is empty."""
        while piece := await self.read(1 << 18):
            yield piece


class Writer(ABC):
    """Takes an object's content. `Driver.open_writer` returns it.

    Nothing is visible under the key before `commit`. The end of the block of `open_writer`, by an error or not,
    cancels a writer that is not committed. After `commit` or `cancel` each further call but `cancel` raises
    `WriterNotFound`. One task at a time uses a writer.

    Attributes:
        offset: The number of bytes accepted so far.
    """

    offset: int

    @abstractmethod
    async def write(self, data: bytes | memoryview, /) -> None:
        """Accept bytes. After the return the caller may use their memory again.

        After a failure or a cancellation `offset` tells whether the writer accepted them. The writer's memory is at
        most a small multiple of `Capabilities.part_size`, for objects of any size.
        """

    @abstractmethod
    async def commit(self, *, condition: Condition | None = None) -> FileInfo:
        """Make the content visible under the key, at once and durably; it replaces earlier content.

        Empty content is content too. The object has exactly `offset` bytes, or it does not become visible.

        Raises:
            ConditionFailed: The condition does not hold. Nothing is visible, and the writer is cancelled.
            Unsupported: A condition was given and the driver lacks `conditional_commit`.
        """

    @abstractmethod
    async def cancel(self) -> None:
        """Remove all written bytes. Idempotent; after `commit` it does nothing."""


class Driver(ABC):
    """A storage driver. It is an async context manager; callers use its methods inside of the block.

    Attributes:
        name: The driver's name in messages; the scheme of the URL, if a URL opens the driver.
    """

    name: str

    @classmethod
    def from_url(cls, url: str, options: Mapping[str, object]) -> "Driver":
        """Build a driver, not yet open, from a store URL.

        Args:
            url: The whole URL; the driver is registered under its scheme.
            options: Keyword arguments of the program, for options that the URL leaves open.

        Raises:
            InvalidStoreURL: The URL or an option is not understood; the message names an unknown option.
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
        """Close connections and files. Stored objects stay."""

    # ---- one object

    @abstractmethod
    async def get(self, key: str, *, limit: int | None = None) -> File:
        """Return a whole object, for small content.

        The file, and `KeyNotFound` too, have the store's time of the answer, if the driver can tell it.

        Args:
            key: The object's key.
            limit: The most bytes that the caller takes; None for any number.

        Raises:
            KeyNotFound: Nothing is stored under the key; a folder of other keys is no object.
            ObjectTooLarge: The object has more than `limit` bytes. The driver did not read all of them.
        """

    @abstractmethod
    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        """Store content under a key, durably; it replaces the former object. Return the new object's info.

        The condition and the write are one step: of many writers at once with `IfAbsent`, or with `IfMatch`
        of one etag, exactly one wins. `IfMatch` fails where nothing is stored.

        When the answer to a conditional write is lost, the driver reads back. A write never ends in
        `ConditionFailed` because of itself.

        Raises:
            ConditionFailed: The condition does not hold. Nothing was written.
            Unsupported: A condition was given and the driver lacks `conditional_put`.
        """

    @abstractmethod
    async def stat(self, key: str) -> FileInfo:
        """Return an object's size, time and etag.

        Raises:
            KeyNotFound: Nothing is stored under the key; a folder of other keys is no object.
        """

    @abstractmethod
    def open_reader(
        self, key: str, *, offset: int = 0, length: int | None = None
    ) -> AbstractAsyncContextManager[Reader]:
        """Open a reader of an object's content from `offset` on. The entry of the block raises the errors.

        Args:
            key: The object's key.
            offset: The first byte to read. The object's size is a good offset, with no bytes after it.
            length: The most bytes to read; None for all. It may reach past the end.

        Raises:
            KeyNotFound: Nothing is stored under the key.
            InvalidOffset: `offset` is below 0 or beyond the size.
            InvalidArgument: `length` is below 0.
        """

    @abstractmethod
    def open_writer(self, key: str) -> AbstractAsyncContextManager[Writer]:
        """Open a writer for a key. The entry of the block raises the errors.

        Args:
            key: The key under which `commit` makes the content visible.
        """

    async def compose(self, sources: Sequence[Source], target: str, *, digest: str | None = None) -> FileInfo:
        """Join the content of one or several objects, in order, to the object of a target key.

        One source makes a copy. A store that can join objects does it without sending the bytes through this
        process. This default reads and writes them, with a writer's memory.

        The driver takes a source with an etag from that version only. It compares the digest with the bytes before
        it writes the target. A driver with `conditional_copy` may compare the etags instead, if each source has
        one: then the digest is the caller's promise.

        Args:
            sources: The objects.
            target: The key of the new object, which is no source.
            digest: The digest of all the bytes, as `sha256:` (or another algorithm of `hashlib`) and lower-case
                hexadecimal digits; None to compare nothing.

        Raises:
            KeyNotFound: Nothing is stored under a source. The target is as it was.
            ConditionFailed: A source is another version, or the bytes have another digest. The target is as it was.
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
        """Return a URL with which any client may GET or HEAD an object, or a range of it, until the URL expires.

        The driver does not ask the store whether the object exists. No request.

        Raises:
            InvalidArgument: The method is neither GET nor HEAD, or the time is not positive.
            Unsupported: The driver lacks `signed_urls`.
        """
        raise Unsupported(self.name, f"signed URLs ({method} of {key!r} for {expires})")

    # ---- listings

    @abstractmethod
    async def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo | Folder]:
        """List one page of the direct children of a prefix: objects, and folders that have keys below them.

        Children are in the byte order of their keys; a folder counts as its key with a `/` at the end. A prefix
        without keys below it gives an empty page.

        Args:
            prefix: A key, without a `/` at the end; empty for the whole store.
            start_after: The page begins after this text in that order. Any text will do: `Page.next`, a folder's
                key with its `/`, a key that does not exist.
            limit: The most entries of the page, from 1 to 1,000.

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
            start_after: The page begins after this text. Any text will do.
            limit: The most entries of the page, from 1 to 1,000.

        Raises:
            InvalidArgument: `limit` is outside its range.
        """

    # ---- deletion

    @abstractmethod
    async def delete(
        self, key: str, *, condition: IfMatch | None = None, until: datetime | None = None
    ) -> None:
        """Delete an object. Idempotent: without a condition a missing object is no error.

        Args:
            key: The object's key.
            condition: The version to delete. The condition and the deletion are one step, as in `put`.
            until: The end of the deletion, aware, by the store's clock. The store refuses a request that reaches it
                later. A store that tells whole seconds may round it down. All tries have this end, and the driver
                tries again only if the store surely did nothing: a try without an answer is `Unavailable`, so that
                the caller knows of each deletion that the store may still carry out.

        Raises:
            ConditionFailed: Another version is stored, or no object. Nothing was deleted.
            DeletionExpired: The deletion reached the store after its end. Nothing was deleted.
            InvalidArgument: `until` has no time zone.
            Unsupported: A condition was given and the driver lacks `conditional_delete`, or an end and it lacks
                `dated_deletion`.
        """

    @abstractmethod
    async def delete_many(self, keys: Iterable[str], *, until: datetime | None = None) -> None:
        """Delete objects, in as few requests as the store allows, in no order. Idempotent.

        The driver checks all keys before it deletes any object. A failed call may have deleted some objects.

        Args:
            keys: The objects' keys.
            until: The end of the deletion of each key, as for `delete`.

        Raises:
            DeletionExpired: The deletion of a key reached the store after its end.
            InvalidArgument: `until` has no time zone.
            Unsupported: An end was given and the driver lacks `dated_deletion`.
        """

    @abstractmethod
    async def delete_prefix(self, prefix: str) -> None:
        """Delete all the objects below a prefix, at any depth, as `list_all` gives them. Idempotent.

        A failed call may have deleted some objects. The object `ab` is not below the prefix `a`; nor is `a` itself.

        Raises:
            InvalidKey: The prefix is empty: no slip deletes a whole store.
        """

    async def deletion_effects(self) -> DeletionEffects:
        """Return the effect of deletions on the space of the store. This default knows no former versions.

        Raises:
            AccessDenied: The credentials may not read the store's settings.
            Unsupported: The driver can't read them.
        """
        return DeletionEffects()

    @abstractmethod
    async def purge_writers(self, older_than: timedelta) -> int:
        """Remove the unfinished writes of killed processes that received nothing for that long.

        Writers at work go on. A server that does not list unfinished writes has rules of its own for them, which
        the driver documents.

        Returns:
            The number of removed unfinished writes.
        """
