"""The small values that a driver takes and returns."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from .deadline import METADATA_TIMEOUT

Entry_co = TypeVar("Entry_co", covariant=True)


@dataclass(frozen=True, slots=True)
class FileInfo:
    """An object as the store lists it: key, size, time and etag, without its content.

    Attributes:
        key: The object's key.
        size: The object's size in bytes.
        modified: The time of its last write by the store's clock; aware, in UTC. The time that a write returns may
            differ by one `Capabilities.time_resolution` from the time that every read tells. A store that tells
            its time with an answer tells the time at which it had done the write.
        etag: An opaque text; it differs whenever the content differs. The same content may have the same etag
            again.
    """

    key: str
    size: int
    modified: datetime
    etag: str


@dataclass(frozen=True, slots=True)
class File:
    """One whole object.

    Attributes:
        info: The info of the same version as the content.
        content: All bytes of the object.
        date: The store's time when it answered, by the clock of `FileInfo.modified`; aware, in UTC. None where the
            driver can't tell it. It is no part of the object: two answers about one version are equal.
    """

    info: FileInfo
    content: bytes = field(repr=False)
    date: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Source:
    """An object; `Driver.compose` takes its content.

    Attributes:
        key: The object's key.
        size: The object's size in bytes. A driver may rely on it: the caller knows it, and the object never
            changes.
        etag: The version's etag, as in `FileInfo.etag`; None for any version.
    """

    key: str
    size: int
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Folder:
    """A direct child of a listed prefix that has keys below it.

    Attributes:
        key: The prefix of these keys, without the closing `/`.
    """

    key: str


@dataclass(frozen=True, slots=True)
class Page(Generic[Entry_co]):
    """One page of a listing.

    Attributes:
        entries: The entries in order. A page that is not the last may hold fewer than the limit, or be empty.
        next: The `start_after` of the following page; None after the last page.
    """

    entries: tuple[Entry_co, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class IfAbsent:
    """Write only where nothing is stored under the key."""

    def __str__(self) -> str:
        return "if absent"


@dataclass(frozen=True, slots=True)
class IfMatch:
    """Write over, or delete, only the version that has this etag.

    Attributes:
        etag: As in `FileInfo.etag`.
    """

    etag: str

    def __str__(self) -> str:
        return f"if etag is {self.etag}"


Condition = IfAbsent | IfMatch
"""The condition of a write, which the store checks atomically."""


@dataclass(frozen=True, slots=True)
class DeletionEffects:
    """The effect of deletions on the space of a store, by the settings of its operator.

    Attributes:
        keeps_versions: A deletion frees no space: the store keeps the content as a former version.
        locks_versions: For a time, nothing removes the former versions.
    """

    keeps_versions: bool = False
    locks_versions: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The capabilities of a driver and of the server behind it. The use of a lacking one raises `Unsupported`.

    Attributes:
        conditional_put: `put` takes conditions, and exactly one of many writers at once wins.
        conditional_commit: `Writer.commit` takes conditions too.
        conditional_delete: `delete` takes `IfMatch`.
        dated_deletion: `delete` and `delete_many` take `until`.
        conditional_copy: In `compose`, the store copies a source by itself, on the condition that it is the version
            of `Source.etag`. The driver doesn't see these bytes, and doesn't hash them.
        signed_urls: `url_for` works.
        ordered_listing: `list` and `list_all` give the byte order of keys. Without it they have an order of the
            server's own, and `start_after` takes only `Page.next`.
        bulk_delete: `delete_many` takes one request for many objects; without it, one request for each.
        connections: The most requests under way at once that are of use.
        part_size: Bytes that a writer gathers before it sends them; its memory is a small multiple of it.
        time_resolution: The finest difference that `FileInfo.modified` can show.
        metadata_timeout: The longest time of an operation on metadata, over all tries. All operations of one
            request share it, see `metadata_deadline`.
    """

    conditional_put: bool = True
    conditional_commit: bool = True
    conditional_delete: bool = False
    dated_deletion: bool = False
    conditional_copy: bool = False
    signed_urls: bool = False
    ordered_listing: bool = True
    bulk_delete: bool = True
    connections: int = 64
    part_size: int = 1 << 20
    time_resolution: timedelta = timedelta(microseconds=1)
    metadata_timeout: timedelta = METADATA_TIMEOUT
