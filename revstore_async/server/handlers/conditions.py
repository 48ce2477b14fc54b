"""The conditions of a request: `If-Match` and `If-None-Match`. Source: RFC 9110, sections 8.8.3 and 13.

The server ignores dates (`If-Modified-Since`, `If-Unmodified-Since`): all content of a registry has an entity
tag, which counts more.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers

from ...errors import InvalidHeader, PreconditionFailed

_LONGEST: Final = 8192
"""Characters of a condition: some 80 digests."""

_ENTITY_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_BARE = re.compile(
    r"(W/)?([\x21\x23-\x29\x2b\x2d-\x7e\x80-\xff]+)"
)  # of one without quotes: no comma, no asterisk


@dataclass(frozen=True, slots=True)
class EntityTags:
    """The entity tags that a condition names.

    Attributes:
        text: The header as it came.
        strong: The strong entity tags, without their quotes.
        weak: The weak ones.
        any: Whether it is `*`, which matches all existing content.
    """

    text: str
    strong: frozenset[str] = frozenset()
    weak: frozenset[str] = frozenset()
    any: bool = False


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of one request. Entity tags are compared without their quotes.

    Attributes:
        match: `If-Match`; None if the request has no such header.
        none_match: `If-None-Match`; the same.
    """

    match: EntityTags | None = None
    none_match: EntityTags | None = None

    @classmethod
    def of(cls, headers: Headers, *, reading: bool = False) -> "Conditions":
        """Read the conditions of a request.

        Args:
            headers: The request's headers.
            reading: Whether the request only reads. Some clients send the digest in `If-None-Match` without
                quotes, and a read accepts it: a mistake costs one answer. In a change a mistake would cost
                another client's push.

        Raises:
            InvalidHeader: A condition is neither `*` nor a list of entity tags in quotes.
        """
        if "if-match" not in headers and "if-none-match" not in headers:
            return NONE
        return cls(_read(headers, "If-Match"), _read(headers, "If-None-Match", bare=reading))

    def __bool__(self) -> bool:
        return self.match is not None or self.none_match is not None

    def __str__(self) -> str:
        named = {"If-Match": self.match, "If-None-Match": self.none_match}
        return ", ".join(f"{name}: {tags.text}" for name, tags in named.items() if tags is not None)

    def check_match(self, etag: str | None) -> None:
        """Check `If-Match` against the current entity tag, by the strong comparison.

        Args:
            etag: The current entity tag; None if there is no content.

        Raises:
            PreconditionFailed: The condition does not hold.
        """
        wanted = self.match
        if wanted is None or (etag is not None and (wanted.any or etag in wanted.strong)):
            return
        raise PreconditionFailed(f"If-Match: {wanted.text}", etag or "absent")

    def unchanged(self, etag: str) -> bool:
        """Say whether the client has this already (304), by `If-None-Match` and the weak comparison."""
        known = self.none_match
        return known is not None and (known.any or etag in known.strong or etag in known.weak)

    def check(self, etag: str | None) -> None:
        """Check all conditions of a request that changes something. Arguments are those of `check_match`.

        Raises:
            PreconditionFailed: One of the conditions does not hold.
        """
        self.check_match(etag)
        if etag is not None and self.none_match is not None and self.unchanged(etag):
            raise PreconditionFailed(f"If-None-Match: {self.none_match.text}", etag)

    def cut(self, cut: Callable[[str], str]) -> "Conditions":
        """Return the same conditions on a part of each entity tag; the function `cut` returns the part."""

        def part(tags: EntityTags | None) -> EntityTags | None:
            if tags is None:
                return None
            return EntityTags(
                tags.text, frozenset(map(cut, tags.strong)), frozenset(map(cut, tags.weak)), tags.any
            )

        return Conditions(part(self.match), part(self.none_match))


NONE: Final = Conditions()
"""A request without conditions."""


def _read(headers: Headers, name: str, *, bare: bool = False) -> EntityTags | None:
    values = headers.getlist(name)
    if not values:
        return None
    text = ", ".join(values)
    if len(text) > _LONGEST:
        raise InvalidHeader(name, f"{text[:100]}...", f"it has more than {_LONGEST} characters")
    if text.strip(" \t") == "*":
        return EntityTags(text, any=True)
    strong, weak = set[str](), set[str]()
    place, comma = 0, True  # a comma may stand inside of an entity tag, so the list is not split at them
    while place < len(text):
        if text[place] in " \t,":
            comma = comma or text[place] == ","
            place += 1
            continue
        found = _ENTITY_TAG.match(text, place) if comma else None
        if found is None and comma and bare:
            found = _BARE.match(text, place)
        if found is None:
            raise InvalidHeader(name, text, "it is neither '*' nor a list of entity tags in double quotes")
        (weak if found[1] else strong).add(found[2])
        place, comma = found.end(), False
    if not strong and not weak:
        raise InvalidHeader(name, text, "it names no entity tag")
    return EntityTags(text, frozenset(strong), frozenset(weak))
