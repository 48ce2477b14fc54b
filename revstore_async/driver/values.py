"""The small values that go in and out of a driver."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from .deadline import METADATA_TIMEOUT

Entry_co = TypeVar("Entry_co", covariant=True)


@dataclass(frozen=True, slots=True)
class FileInfo:
    """An object as the store lists it: key, size, time and etag, without its content.

    Attributes:
        key: Its key.
        size: Its size in bytes.
        modified: When it was last written, by the store's clock; aware, in UTC. What a write returns may differ
            by one `Capabilities.time_resolution` from what every read tells.
        etag: An opaque text; it differs whenever the content differs. The same content may have the same again.
    """

    key: str
    size: int
    modified: datetime
    etag: str


@dataclass(frozen=True, slots=True)
class File:
    """One object, whole.

    Attributes:
        info: What the store knows of it; of the same version as the content.
        content: All its bytes.
    """

    info: FileInfo
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Source:
    """An object; `Driver.compose` takes its content.

    Attributes:
        key: Its key.
        size: Its size in bytes, which a driver may rely on: the caller knows it, and the object is never changed.
        etag: The version that is meant, as `FileInfo.etag` gave it; None for any.
    """

    key: str
    size: int
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Folder:
    """A direct child of a listed prefix that has keys below it.

    Attributes:
        key: The prefix they share, without the closing `/`.
    """

    key: str


@dataclass(frozen=True, slots=True)
class Page(Generic[Entry_co]):
    """One page of a listing.

    Attributes:
        entries: In order; a page may hold fewer than were asked for, even none, and not be the last.
        next: What to pass as `start_after` for the page that follows; None after the last one.
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
        etag: As `FileInfo.etag` gave it.
    """

    etag: str

    def __str__(self) -> str:
        return f"if etag is {self.etag}"


Condition = IfAbsent | IfMatch


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The capabilities of a driver and of the server behind it. A lacking one raises `Unsupported`.

    Attributes:
        conditional_put: `put` takes conditions, and exactly one of many writers at once wins.
        conditional_commit: `Writer.commit` takes them too.
        conditional_delete: `delete` takes `IfMatch`.
        conditional_copy: In `compose`, the store copies a source by itself, on the condition that it is the version
            of `Source.etag`. The driver doesn't see these bytes, and doesn't hash them.
        signed_urls: `url_for` works.
        ordered_listing: `list` and `list_all` give the byte order of keys. Without it they are in an order of
            the server's own, in which `start_after` takes only what `Page.next` gave.
        bulk_delete: `delete_many` takes one request for many objects; without it, one for each.
        connections: Requests that may usefully be under way at once.
        part_size: Bytes that a writer gathers before it sends them; its memory is a small multiple of it.
        time_resolution: The finest difference that `FileInfo.modified` can show.
        metadata_timeout: How long an operation on metadata takes at most, over all tries; what one request asks
            shares it, see `metadata_deadline`.
    """

    conditional_put: bool = True
    conditional_commit: bool = True
    conditional_delete: bool = False
    conditional_copy: bool = False
    signed_urls: bool = False
    ordered_listing: bool = True
    bulk_delete: bool = True
    connections: int = 64
    part_size: int = 1 << 20
    time_resolution: timedelta = timedelta(microseconds=1)
    metadata_timeout: timedelta = METADATA_TIMEOUT
