"""The model of the soak: the values that a tag may have, by the answers to the clients.

A write has its effect between its begin and its answer. A write without an answer has its effect within
`LANDS_WITHIN`, or never.
"""

import math
from dataclasses import dataclass, field

from revstore_async import Digest

from .images import Document

LANDS_WITHIN = 30.0
"""Seconds after which a write with a lost answer has no effect any more."""

REMEMBERED = 60.0
"""Seconds that a read takes at most."""


@dataclass(eq=False, slots=True)
class Write:
    """A write of a tag.

    Attributes:
        value: The digest that the tag points at after it; None if the tag is gone then.
        start: The time of its begin.
        end: The time after which it has no effect any more.
        known: Whether the client knows that it had its effect.
    """

    value: Digest | None
    start: float
    end: float = math.inf
    known: bool = False


@dataclass(slots=True)
class Tag:
    """A tag, as the clients know it.

    Attributes:
        expires: Seconds after a write after which a retention rule lets the tag expire.
    """

    expires: float = math.inf
    writes: list[Write] = field(default_factory=lambda: [Write(None, -math.inf, -math.inf, known=True)])

    def begin(self, value: Digest | None, now: float) -> Write:
        """Note that a client begins a write."""
        write = Write(value, now)
        self.writes.append(write)
        return write

    def acknowledge(self, write: Write, now: float) -> None:
        """Note that the write had its effect; forget the writes that no read of the last minute can have found."""
        write.end, write.known = now, True
        over = self._over(now - REMEMBERED)
        self.writes = [each for each in self.writes if each.end >= over]

    def lose(self, write: Write, now: float) -> None:
        """Note that the answer to the write was lost."""
        write.end = now + LANDS_WITHIN

    def refuse(self, write: Write) -> None:
        """Note that the write had no effect."""
        self.writes.remove(write)

    def candidates(self, start: float, end: float) -> list[Write]:
        """Return the writes of which a read between two times may have found the value."""
        over = self._over(start)
        return [each for each in self.writes if each.start <= end and each.end >= over]

    def _over(self, time: float) -> float:
        """Return the begin of the last write that ended for certain before a time; it overwrote older ones."""
        return max((each.start for each in self.writes if each.known and each.end < time), default=-math.inf)


class Model:
    """All tags, the manifests that clients deleted by digest, and the artifacts that were pushed.

    Attributes:
        tags: The tags by repository and name.
        artifacts: The artifacts by digest, each with its subject.
        signatures: The signatures of manifests that stay, by digest.
    """

    def __init__(self) -> None:
        self.artifacts: dict[Digest, tuple[Document, Document]] = {}
        self.signatures: dict[Digest, set[str]] = {}
        self.tags: dict[tuple[str, str], Tag] = {}
        self._deleted: dict[tuple[str, Digest], float] = {}

    def tag(self, repository: str, name: str, *, expires: float = math.inf) -> Tag:
        """Return a tag; `expires` counts for a new one."""
        return self.tags.setdefault((repository, name), Tag(expires))

    def values(self, repository: str, name: str, start: float, end: float) -> set[Digest | None]:
        """Return the values that a read of a tag between two times may have found."""
        tag = self.tag(repository, name)
        found: set[Digest | None] = set()
        for write in tag.candidates(start, end):
            found.add(write.value)
            if write.value is not None and (
                end > write.start + tag.expires or self.was_deleted(repository, write.value, write.start)
            ):
                found.add(None)
        return found

    def begin_deletion(self, repository: str, digest: Digest) -> None:
        """Note that a client begins to delete a manifest by its digest. The tags that point at it go with it."""
        self._deleted[repository, digest] = math.inf

    def end_deletion(self, repository: str, digest: Digest, end: float) -> None:
        """Note the time after which the deletion has no effect any more."""
        self._deleted[repository, digest] = end

    def was_deleted(self, repository: str, digest: Digest, since: float) -> bool:
        """Return whether a client may have deleted the manifest by its digest since a time."""
        return self._deleted.get((repository, digest), -math.inf) >= since
