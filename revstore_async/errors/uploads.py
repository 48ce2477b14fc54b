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
    """Content sent for another offset than the upload is at. Nothing of it was kept.

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
    """Another writer changed the upload meanwhile. Nothing of this call was kept."""

    id: str
    retryable: ClassVar[bool] = True
    says: ClassVar[str] = "another writer is at work on upload {id!r}"


@dataclass(eq=False)
class UploadClaimed(Conflict):
    """The upload takes no more bytes: a call that finishes it has named its digest. Nothing of this call was kept.

    Attributes:
        digest: The digest. If that call broke off, whoever finishes the upload with it goes on from there.
    """

    id: str
    digest: str
    says: ClassVar[str] = "upload {id!r} is being finished as {digest}, and takes no more"
    advice: ClassVar[str] = "finish it with that digest, or start another"


@dataclass(eq=False)
class UploadDamaged(Damaged):
    """The storage has changed what it kept of an upload. No blob was made of it, and none was changed."""

    id: str
    says: ClassVar[str] = "what the storage kept of upload {id!r} is not what was sent"
    advice: ClassVar[str] = "start another"


@dataclass(eq=False)
class UploadMemoryFull(Overloaded):
    """Other calls held the memory that content on its way in shares, for as long as this one waited.

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
    """The state of an upload in a form that this version of the engine does not know; it is left alone."""

    advice: ClassVar[str] = "go on with it where it was begun"


@dataclass(eq=False)
class SizeMismatch(InvalidInput):
    """Content of another size than the caller announced. Nothing of it was kept.

    Attributes:
        expected: The bytes that were announced.
        actual: The bytes that came; where there are more than announced, those before it was noticed.
    """

    expected: int
    actual: int
    says: ClassVar[str] = "content has {actual} bytes, not {expected}"
