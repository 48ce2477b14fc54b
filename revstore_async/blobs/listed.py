"""The entries of listings of blobs: those of the whole store, and those of one repository."""

from dataclasses import dataclass
from datetime import datetime

from ..formats.digest import Digest


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """A blob in a listing of the whole store.

    Attributes:
        digest: Its digest.
        size: Its size in bytes.
        modified: When it was last written, by the store's clock.
    """

    digest: Digest
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """A layer in a listing.

    Attributes:
        digest: Its digest.
        linked: When its link was last written, by the store's clock.
    """

    digest: Digest
    linked: datetime
