"""The values of revisions: one that was read, one in a listing, one that is put."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from ..errors import Damaged, ObjectTooLarge
from ..formats.digest import Digest
from ..formats.lenient_manifests import StoredKind
from ..signatures import Signature
from .kept_types import KeptType


class Signatures(Enum):
    """The signatures that a read of a manifest returns."""

    ALL = "all"
    """All that are stored. The first damaged one is an error."""

    SERVED = "served"
    """Those that the served document holds: all of Docker schema 1, 0 of any other manifest.

    The listing of signatures goes along with the request for the payload, unless an earlier read of the manifest
    has shown that it is not schema 1. A damaged signature is left out, unless no other is left.
    """

    UNSIGNED = "unsigned"
    """As `SERVED`, for a caller that does not expect schema 1: the listing goes along only if it is known to be.

    A manifest that is schema 1 all the same costs 1 round trip more.
    """


@dataclass(frozen=True, slots=True)
class Revision:
    """A manifest as it is stored.

    Attributes:
        digest: The digest of the payload.
        payload: Its bytes, unsigned.
        kind: The facts about the payload that never change.
        signatures: The signatures that the caller asked for, in the order of a merged document.
        unreadable: The errors of stored signatures that it leaves out.
    """

    digest: Digest
    payload: bytes = field(repr=False)
    kind: StoredKind = field(repr=False)
    signatures: tuple[Signature, ...] = ()
    unreadable: tuple[Damaged | ObjectTooLarge, ...] = ()


@dataclass(frozen=True, slots=True)
class RevisionInfo:
    """A revision in a listing.

    Attributes:
        digest: Its digest.
        linked: When its link was last written, by the store's clock.
    """

    digest: Digest
    linked: datetime


@dataclass(frozen=True, slots=True)
class RevisionWrite:
    """A revision on its way in: its content is stored, and its links are to be written.

    Attributes:
        digest: The digest of the payload.
        signatures: The digests of the signatures to link.
        subject: The manifest that it is about, if any; it becomes one of that manifest's referrers.
        kept: The media type to keep beside its link, if any.
        found: Whether a signature or media type of it was there before.
    """

    digest: Digest
    signatures: tuple[Digest, ...] = ()
    subject: Digest | None = None
    kept: KeptType | None = None
    found: bool = False
