"""Damage that a process knows without reading content: from sizes, and from earlier reads.

A stat tells the size of an object. If the right size is known, an object of another size is certainly damaged.
An empty object is damaged as well, unless its digest is that of no bytes. A read finds other damage, and the
process remembers the object that it read; a new write makes a new object. The memory is bounded, and no request
is made.
"""

from dataclasses import dataclass
from functools import cache

from ..driver import FileInfo
from ..errors import BlobDamaged, BlobSizeDamaged, Damaged
from ..formats.digest import HEX_LENGTHS, Digest
from ..formats.lenient_manifests import StoredKind
from ..formats.names import RepositoryName
from .cache import Caches


@dataclass(frozen=True, slots=True)
class _Size:
    """The size of content that was hashed."""

    size: int


@dataclass(frozen=True, slots=True)
class _Finding:
    """An object that is damaged: its content was read and has another digest."""

    info: FileInfo
    actual: Digest


@dataclass(frozen=True, slots=True)
class _Doubt:
    """An object that differs in size from the announcement of a manifest."""

    info: FileInfo


class Soundness:
    """Remembers sizes of content and damaged objects of one store.

    Args:
        caches: The caches that keep these facts.
    """

    def __init__(self, caches: Caches) -> None:
        self._caches = caches

    # ---- for every caller

    def hashed(self, digest: Digest, size: int) -> None:
        """Remember the size of content that was hashed and has the digest."""
        self._caches.soundness.keep(digest, _Size(size))

    def size(self, digest: Digest) -> int | None:
        """Return the size in bytes that content must have; None if it is not known."""
        if digest in _of_no_bytes():
            return 0
        if (hashed := self._caches.soundness.find(_Size, digest)) is not None:
            return hashed.size
        if (kind := self._caches.facts.find(StoredKind, digest)) is not None:
            return kind.size
        kept = self._caches.content.find(bytes, digest)
        return None if kept is None else len(kept)

    def shown(self, digest: Digest, size: int) -> Damaged | None:
        """Return the damage that the size of a stored object shows by itself, if any."""
        known = self.size(digest)
        if known is not None:
            return None if size == known else BlobSizeDamaged(digest, "", known, size)
        if size == 0 and digest.tarsum is None:
            return BlobDamaged(digest, Digest.of(b"", digest.algorithm))
        return None

    # ---- for callers that rely on content

    def found(self, digest: Digest, info: FileInfo, actual: Digest) -> None:
        """Remember that a read of an object found another digest, the actual one."""
        self._caches.soundness.keep(digest, _Finding(info, actual))

    def read_well(self, digest: Digest, size: int) -> None:
        """Remember that content was read whole and is right; forget the damage that an earlier read found."""
        self.hashed(digest, size)
        self._caches.soundness.forget(_Finding, digest)

    def damage(self, digest: Digest, info: FileInfo) -> Damaged | None:
        """Return the damage of a stored object that its size shows, or that a read of it has found, if any."""
        shown = self.shown(digest, info.size)
        if shown is not None:
            return shown
        finding = self._caches.soundness.find(_Finding, digest)
        if finding is None or finding.info != info:
            return None
        return BlobDamaged(digest, finding.actual)

    # ---- for one repository

    def doubt(self, name: RepositoryName, digest: Digest, info: FileInfo) -> None:
        """Remember that a manifest announces another size of an object, unless the right size is known.

        Either the object is damaged or the manifest is wrong, and no request tells which. Until an upload
        writes the object again, the doubt counts, but only for callers with the right to push to this
        repository.
        """
        if self.size(digest) is None:
            self._caches.soundness.keep(f"{name}@{digest}", _Doubt(info))

    def doubted(self, name: RepositoryName, digest: Digest, info: FileInfo) -> bool:
        """Say whether an object is the one that was doubted in a repository."""
        doubt = self._caches.soundness.find(_Doubt, f"{name}@{digest}")
        return doubt is not None and doubt.info == info and self.size(digest) is None


@cache
def _of_no_bytes() -> frozenset[Digest]:
    return frozenset(Digest.of(b"", algorithm) for algorithm in HEX_LENGTHS)
