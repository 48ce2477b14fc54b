"""The checks of `Driver.compose`: of its arguments, of the sources' versions, and of the digest."""

import hashlib
from collections.abc import Sequence
from typing import Final, Protocol

from ..concurrency import in_thread
from ..errors import ConditionFailed, InvalidArgument
from .keys import check_key
from .values import FileInfo, Source

_INLINE: Final = 1 << 17  # bytes up to which hashing is cheaper in the event loop than in a thread


class Versioned(Protocol):
    """An object of one version, or a part of it.

    Attributes:
        key: The object's key.
        etag: The version's etag; None for any version.
    """

    @property
    def key(self) -> str: ...  # noqa: D102

    @property
    def etag(self) -> str | None: ...  # noqa: D102


def check_sources(sources: Sequence[Source], target: str, digest: str | None = None) -> None:
    """Check the arguments of `Driver.compose`.

    Raises:
        InvalidKey: A source or the target is no key.
        InvalidArgument: There is no source, the target is one, or the digest is of no known algorithm.
    """
    check_key(target)
    if not sources:
        raise InvalidArgument("sources", sources, "there is nothing to join")
    if target in [check_key(source.key) for source in sources]:
        raise InvalidArgument("target", target, "it is one of the sources")
    if digest is not None and digest.partition(":")[0] not in hashlib.algorithms_available:
        raise InvalidArgument("digest", digest, "its algorithm is not known")


def other_version(source: Versioned, target: str) -> ConditionFailed:
    """Return the error of a source that is another version than its etag says."""
    return ConditionFailed(target, f"if the etag of {source.key!r} is {source.etag}")


def check_version(source: Versioned, found: FileInfo, target: str) -> None:
    """Compare a source with the stored object.

    Raises:
        ConditionFailed: The source is another version.
    """
    if source.etag not in {None, found.etag}:
        raise other_version(source, target)


class Comparing:
    """Compares content with a digest while it is copied. Without a digest it does nothing."""

    def __init__(self, digest: str | None) -> None:
        self._digest = digest
        self._hasher = None if digest is None else hashlib.new(digest.partition(":")[0])

    @property
    def needed(self) -> bool:
        """Whether there is a digest to compare with."""
        return self._hasher is not None

    async def update(self, piece: bytes) -> None:
        """Take more bytes. A thread hashes a large piece."""
        if self._hasher is not None:
            if len(piece) <= _INLINE:
                self._hasher.update(piece)
            else:
                await in_thread(self._hasher.update, piece)

    def update_in_thread(self, piece: bytes) -> None:
        """Take more bytes, for a caller in a thread."""
        if self._hasher is not None:
            self._hasher.update(piece)

    def check(self, target: str) -> None:
        """Compare the content with the digest.

        Raises:
            ConditionFailed: The content has another digest.
        """
        if self._hasher is not None:
            algorithm = str(self._digest).partition(":")[0]
            actual = f"{algorithm}:{self._hasher.hexdigest()}"
            if actual != self._digest:
                raise ConditionFailed(target, f"if the digest is {self._digest}, not {actual},")
