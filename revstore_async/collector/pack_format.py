"""The form of a pack: facts about versions of objects, which never change, one a line, compressed.

A line is a JSON array: of a manifest `[digest, size, [reference, ...], subject]`, of a version of a link
`[version, digest]`. A reference that stood in the pack before is a number, the place of its first mention. The
subject is its place among the references of the line, or null.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ..formats.digest import Digest
from .references import References

FACTS: Final = 10_000
"""The most facts of one pack."""

REFERENCES: Final = 100_000
"""The references after which a pack takes no further fact."""

PACK_LIMIT: Final = 32 << 20
"""The most bytes of a pack, compressed or not: 100,000 references, and those of one manifest of any size more."""

_PIECE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class ManifestFact:
    """The references of a manifest.

    Attributes:
        digest: The manifest.
        references: Its references.
    """

    digest: Digest
    references: References


@dataclass(frozen=True, slots=True)
class LinkFact:
    """The content of a version of a link.

    Attributes:
        version: The version, see `version_of_link`.
        target: The digest in the link.
    """

    version: str
    target: Digest


Fact = ManifestFact | LinkFact


def version_of_link(key: str, etag: str) -> str:
    """Return a name of a version of a link, which no version with other content has.

    Args:
        key: The key of the link.
        etag: Its ETag.
    """
    return hashlib.sha256(f"{key}\n{etag}".encode()).hexdigest()


class PackWriter:
    """Gathers facts to a pack.

    Attributes:
        facts: The number of facts.
    """

    def __init__(self) -> None:
        self.facts: int = 0
        self._references = 0
        self._known: dict[Digest, int] = {}
        self._compressed = zlib.compressobj()
        self._pieces: list[bytes] = []

    @property
    def is_full(self) -> bool:
        """Whether the pack takes no further fact."""
        return self.facts >= FACTS or self._references >= REFERENCES

    def add(self, fact: Fact) -> None:
        """Add a fact."""
        line: tuple[object, ...]
        match fact:
            case LinkFact(version, target):
                line = (version, target)
            case ManifestFact(digest, References(digests, subject, size)):
                found = sorted(digests)
                place = None if subject is None else found.index(subject)
                self._references += len(found)
                line = (digest, size, [self._shortened(each) for each in found], place)
        text = json.dumps(line, separators=(",", ":")) + "\n"
        self._pieces.append(self._compressed.compress(text.encode()))
        self.facts += 1

    def _shortened(self, digest: Digest) -> str | int:
        place = self._known.get(digest)
        if place is None:
            self._known[digest] = len(self._known)
            return digest
        return place

    def finish(self) -> bytes:
        """Return the content of the pack."""
        return b"".join([*self._pieces, self._compressed.flush()])


def read_pack(content: bytes) -> Iterator[Fact]:
    """Yield the facts of a pack. The memory that it takes is bounded.

    Raises:
        ValueError: The content is no pack.
    """
    known: list[Digest] = []
    try:
        for line in _lines(content):
            yield _read_fact(json.loads(line), known)
    except (TypeError, LookupError, RecursionError, zlib.error) as error:
        raise ValueError(f"it is no pack: {error}") from error


def _lines(content: bytes) -> Iterator[bytes]:
    decompressor, begun, size = zlib.decompressobj(), b"", 0
    while not decompressor.eof:
        piece = decompressor.decompress(content, _PIECE)
        content = decompressor.unconsumed_tail
        size += len(piece)
        if size > PACK_LIMIT or not (piece or decompressor.eof):
            raise ValueError("it is too long, or it ends too soon")
        *lines, begun = (begun + piece).split(b"\n")
        yield from lines
    if begun:
        raise ValueError("its last line does not end")


def _read_fact(line: Any, known: list[Digest]) -> Fact:  # noqa: ANN401 (any JSON)
    if len(line) == 2:
        return LinkFact(str(line[0]), Digest(line[1]))
    name, size, found, place = line
    digests: list[Digest] = []
    for each in found:
        if not isinstance(each, int):
            known.append(Digest(each))
        digests.append(known[each if isinstance(each, int) else -1])
    subject = None if place is None else digests[place]
    return ManifestFact(Digest(name), References(frozenset(digests), subject, int(size)))
