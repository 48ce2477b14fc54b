"""Ranges of bytes: the `Range` of a read (RFC 9110, section 14), and the `Content-Range` of an upload's chunk.

A chunk's form is the OCI distribution spec's own, `0-99`; RFC 9110's, `bytes 0-99/*`, is taken too.
"""

import re
from dataclasses import dataclass
from typing import Final

from ...errors import InvalidHeader
from ..numbers import DIGITS

_ONE = re.compile(r"([0-9]*)-([0-9]*)")
_CHUNK = re.compile(r"(?:bytes )?([0-9]+)-([0-9]+)(?:/(?:[0-9]+|\*))?")


@dataclass(frozen=True, slots=True)
class Span:
    """A range from a byte on.

    Attributes:
        begin: The first byte.
        end: The byte after the last one; None for a range to the end.
    """

    begin: int
    end: int | None

    @property
    def from_the_first(self) -> bool:
        """Whether it begins with the first byte of any content that is short enough."""
        return self.begin == 0

    def within(self, size: int) -> tuple[int, int] | None:
        """Return begin and end in content of this size, or None if the range holds no byte of it."""
        end = size if self.end is None else min(self.end, size)
        return (self.begin, end) if self.begin < end else None


@dataclass(frozen=True, slots=True)
class Tail:
    """A number of last bytes."""

    count: int

    @property
    def from_the_first(self) -> bool:
        """Whether it begins with the first byte of any content that is short enough."""
        return self.count > 0

    def within(self, size: int) -> tuple[int, int] | None:
        """Return begin and end in content of this size, or None if the range holds no byte of it."""
        begin = max(0, size - self.count)
        return (begin, size) if begin < size else None


ByteRange = Span | Tail

_LONGEST: Final = 16384
"""Characters of a `Range` that the server parses; a longer one asks for many ranges."""

NOTHING: Final = Tail(0)
"""The reading of a malformed range: no content satisfies it (RFC 9110, 15.5.17, allows the refusal)."""


def parse_range(header: str) -> ByteRange | None:
    """Return the range that a `Range` header asks for; None if the content is served whole.

    The content is served whole for another unit (RFC 9110 has servers ignore it). It is served whole for
    several ranges too: a server may ignore them, and the clients of registries don't send them.
    """
    unit, _, ranges = header.partition("=")
    if unit.strip().lower() != "bytes" or len(header) > _LONGEST:
        return None
    found = [_one(text) for each in ranges.split(",") if (text := each.strip())]
    if not found or NOTHING in found:
        return NOTHING
    return found[0] if len(found) == 1 else None


def _one(text: str) -> ByteRange:
    match = _ONE.fullmatch(text)
    if match is None or text == "-":
        return NOTHING
    first, last = match.groups()
    if not first:
        return Tail(_number(last))
    begin, end = _number(first), _number(last) + 1 if last else None
    return NOTHING if end is not None and end <= begin else Span(begin, end)


def parse_chunk(header: str) -> tuple[int, int]:
    """Return offset and length, in bytes, of the chunk that a `Content-Range` header describes.

    Raises:
        InvalidHeader: The header has another form, or its range ends before it begins.
    """
    match = _CHUNK.fullmatch(header.strip())
    if match is None:
        raise InvalidHeader("Content-Range", header, "it is not <first byte>-<last byte>")
    first, last = (_number(digits) for digits in match.groups())
    if last < first:
        raise InvalidHeader("Content-Range", header, "it ends before it begins")
    return first, last - first + 1


def _number(digits: str) -> int:
    """Return a number of bytes; a number with more digits than any store holds is beyond any content."""
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= DIGITS else 10**DIGITS
