"""Patterns of repository names and tags, as retention files write them.

A text between slashes (`/^v[0-9]+/`) is a regular expression, which is searched in the name. Any other text is a
glob, which matches the whole name: `*` is any text without a slash, `**` any text, `?` one character other than a
slash, `[a-z]` and `[!a-z]` one character of a set. `team/**` matches all repositories below `team`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_GLOB = re.compile(r"\*\*|\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern.

    Attributes:
        text: The pattern as it was written.
    """

    text: str
    _expression: re.Pattern[str]

    @classmethod
    def read(cls, text: str) -> "Pattern":
        """Read a pattern.

        Raises:
            ValueError: It is empty, or no regular expression.
        """
        if not text:
            raise ValueError("it is empty")
        try:
            return cls(text, _regular(text) or re.compile(rf"\A(?:{_translated(text)})\Z"))
        except re.error as error:
            raise ValueError(f"it is no regular expression: {error}") from error

    def matches(self, name: str) -> bool:
        """Say whether the pattern matches a name."""
        return self._expression.search(name) is not None


def is_any(patterns: Sequence[Pattern], name: str) -> bool:
    """Say whether one of the patterns matches a name."""
    return any(pattern.matches(name) for pattern in patterns)


def _regular(text: str) -> re.Pattern[str] | None:
    if len(text) < 2 or not (text.startswith("/") and text.endswith("/")):
        return None
    return re.compile(text[1:-1])


def _translated(glob: str) -> str:
    return "".join(_part(found[0]) for found in _GLOB.finditer(glob))


def _part(part: str) -> str:
    match part:
        case "**":
            return ".*"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
    if len(part) > 1:  # a set
        negated = part.startswith("[!")
        characters = (
            part[2 if negated else 1 : -1].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
        )
        return f"[{'^/' if negated else ''}{characters}]"
    return re.escape(part)
