"""The kinds of objects in a store, as values.

`Layout.key` writes the key of such a value, and `Layout.parse` reads one from a key.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag

SEQUENCE_LIMIT: Final = 10**12
"""One more than the highest number of a tag's change."""


@dataclass(frozen=True, slots=True)
class BlobData:
    """The content of a blob."""

    blob: Digest


@dataclass(frozen=True, slots=True)
class RevisionLink:
    """The link by which a repository has a manifest."""

    name: RepositoryName
    digest: Digest


@dataclass(frozen=True, slots=True)
class RevisionMediaType:
    """The media type that a manifest was pushed with, if the manifest does not state it."""

    name: RepositoryName
    digest: Digest


@dataclass(frozen=True, slots=True)
class SignatureLink:
    """The link from a manifest to one of its signatures."""

    name: RepositoryName
    revision: Digest
    digest: Digest


@dataclass(frozen=True, slots=True)
class ReferrerLink:
    """The link from a manifest to one that names it as its subject."""

    name: RepositoryName
    subject: Digest
    digest: Digest


@dataclass(frozen=True, slots=True)
class TagCurrent:
    """The link from a tag to its revision."""

    name: RepositoryName
    tag: Tag


@dataclass(frozen=True, slots=True)
class TagIndex:
    """The link from a tag to a revision that a writer once meant it to have."""

    name: RepositoryName
    tag: Tag
    digest: Digest


@dataclass(frozen=True, slots=True)
class TagCreated:
    """The record that a tag was about to be created.

    Attributes:
        sequence: The number of the change, from 0.
        successor: The revision that the tag gets.
        flat: Whether the number is one folder, as engines of before wrote it, without a claim.
    """

    name: RepositoryName
    tag: Tag
    sequence: int
    successor: Digest
    flat: bool = False


@dataclass(frozen=True, slots=True)
class TagReplaced:
    """The record that a tag was about to be moved from one revision to another.

    Attributes:
        sequence: The number of the change, from 0.
        since: When the tag got the revision that it leaves, by the store's clock.
        digest: The revision that it leaves.
        successor: The revision that it gets.
        flat: As in `TagCreated`.
    """

    name: RepositoryName
    tag: Tag
    sequence: int
    since: datetime
    digest: Digest
    successor: Digest
    flat: bool = False


@dataclass(frozen=True, slots=True)
class TagDeleted:
    """The record that a tag was about to be deleted.

    Attributes:
        sequence: The number of the change, from 0.
        since: When the tag got the revision that it leaves, by the store's clock.
        digest: The revision that it leaves.
        flat: As in `TagCreated`.
    """

    name: RepositoryName
    tag: Tag
    sequence: int
    since: datetime
    digest: Digest
    flat: bool = False


@dataclass(frozen=True, slots=True)
class TagClaim:
    """The claim of a number for one change of a tag: it is written only where there is none.

    It is listed before the records of its number.
    """

    name: RepositoryName
    tag: Tag
    sequence: int


@dataclass(frozen=True, slots=True)
class LayerLink:
    """The link by which a repository has a blob: a layer or a config."""

    name: RepositoryName
    digest: Digest


@dataclass(frozen=True, slots=True)
class UploadState:
    """The state of an upload under way; this engine's."""

    name: RepositoryName
    upload: str


@dataclass(frozen=True, slots=True)
class UploadSegment:
    """A piece of an upload under way; this engine's."""

    name: RepositoryName
    upload: str
    segment: str


@dataclass(frozen=True, slots=True)
class UploadData:
    """The bytes of an upload under way; Distribution's."""

    name: RepositoryName
    upload: str


@dataclass(frozen=True, slots=True)
class UploadStartedAt:
    """When an upload began."""

    name: RepositoryName
    upload: str


@dataclass(frozen=True, slots=True)
class UploadHashState:
    """The state of an upload's digest at an offset."""

    name: RepositoryName
    upload: str
    algorithm: str
    offset: int


@dataclass(frozen=True, slots=True)
class CollectorState:
    """The state of the collector, by which all processes on a store agree on a run."""


@dataclass(frozen=True, slots=True)
class RunObject:
    """A list of a run of the collector."""

    run: str
    list: str


@dataclass(frozen=True, slots=True)
class Rescue:
    """The object by which a writer keeps a condemned key.

    Attributes:
        run: The run that condemned it.
        hashed: The hash of the key, in hexadecimal digits.
    """

    run: str
    hashed: str


@dataclass(frozen=True, slots=True)
class CollectorClock:
    """A small object of the collector: a write of it tells the store's time."""


@dataclass(frozen=True, slots=True)
class ReferencePack:
    """References of manifests that the collector read, so that it does not read them again.

    Attributes:
        reader: The version of the reader that found them.
        digest: The digest of the object's content.
    """

    reader: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class ServerProbe:
    """A small object that servers write and delete, to see whether the storage takes writes."""


@dataclass(frozen=True, slots=True)
class PullsKept:
    """The mark that a process kept pull times on a day."""

    day: date


@dataclass(frozen=True, slots=True)
class Pulls:
    """The tags and manifests of a repository that clients pulled on a day, as one process saw them."""

    day: date
    name: RepositoryName
    writer: str


StoredObject = (
    BlobData
    | RevisionLink
    | RevisionMediaType
    | SignatureLink
    | ReferrerLink
    | TagCurrent
    | TagIndex
    | TagCreated
    | TagReplaced
    | TagDeleted
    | TagClaim
    | LayerLink
    | UploadState
    | UploadSegment
    | UploadData
    | UploadStartedAt
    | UploadHashState
    | PullsKept
    | Pulls
    | CollectorState
    | RunObject
    | Rescue
    | CollectorClock
    | ReferencePack
    | ServerProbe
)
"""Each kind of object that has a key."""
