"""Errors of uploads, and of content that is sent to them."""

from dataclasses import dataclass
from typing import ClassVar

from .base import Conflict, Damaged, InvalidInput, NotFound, Overloaded
from .content import RecordDamaged


@dataclass(eq=False)
class UploadUnknown(NotFound):
    """The repository has no such upload: never begun, finished, cancelled or purged."""

    repository: str
    id: str
    says: ClassVar[str] = "upload {id!r} is not known in {repository!r}"
    advice: ClassVar[str] = "start another"


@dataclass(eq=False)
class UploadOffsetMismatch(InvalidInput):
    """Content was sent for another offset than the upload's. The store kept no part of it.

    Attributes:
        offset: The offset that the content was sent for, in bytes.
        actual: The offset that the upload is at.
    """

    id: str
    offset: int
    actual: int
    says: ClassVar[str] = "upload {id!r} is at offset {actual}, not {offset}"
    advice: ClassVar[str] = "go on from there"


@dataclass(eq=False)
class UploadBusy(Conflict):
    """Another writer changed the upload meanwhile. The store kept nothing of this call."""

    id: str
    retryable: ClassVar[bool] = True
    says: ClassVar[str] = "another writer is at work on upload {id!r}"


@dataclass(eq=False)
class UploadClaimed(Conflict):
    """The upload takes no more bytes: a call that finishes it has named its digest. Nothing was kept.

    Attributes:
        digest: The digest. If that call ended early, another call can finish the upload with the same digest.
    """

    id: str
    digest: str
    says: ClassVar[str] = "upload {id!r} is being finished as {digest}, and takes no more"
    advice: ClassVar[str] = "finish it with that digest, or start another"


@dataclass(eq=False)
class UploadDamaged(Damaged):
    """The storage has changed the bytes of an upload. No blob was written or changed."""

    id: str
    says: ClassVar[str] = "what the storage kept of upload {id!r} is not what was sent"
    advice: ClassVar[str] = "start another"


@dataclass(eq=False)
class UploadMemoryFull(Overloaded):
    """Other calls held the memory that content on its way in shares, and this one waited too long.

    Attributes:
        size: The bytes that all calls of the registry share.
        seconds: How long the call waited.
    """

    size: int
    seconds: float
    says: ClassVar[str] = "others hold the {size} bytes of memory for uploads, for {seconds} seconds now"
    advice: ClassVar[str] = "try again later"


@dataclass(eq=False)
class RecordOfNewerEngine(RecordDamaged):
    """A newer engine wrote the state of an upload; this version can't read it, and leaves it alone."""

    advice: ClassVar[str] = "go on with it where it was begun"


@dataclass(eq=False)
class SizeMismatch(InvalidInput):
    """The content has another size than the caller announced. The store kept no part of it.

    Attributes:
        expected: The bytes that were announced.
        actual: The bytes that came; of content longer than announced, those up to the discovery.
    """

    expected: int
    actual: int
    says: ClassVar[str] = "content has {actual} bytes, not {expected}"
