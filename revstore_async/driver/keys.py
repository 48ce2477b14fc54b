"""The grammar of keys. No other module checks keys."""

import re
from typing import Final

from ..errors import InvalidKey

KEY_LIMIT: Final = 900
"""Bytes of a key; S3 takes 1,024, which leaves room for a bucket prefix."""

PART_LIMIT: Final = 255
"""Bytes of one part of a key; file systems take as many for a name."""

# All of the grammar but the length of the key. `check_key` looks at other texts once more, to tell the reason.
_PART = rf"(?!\.\.?(?:/|\Z))[A-Za-z0-9._-]{{1,{PART_LIMIT}}}"
_KEY = re.compile(rf"{_PART}(?:/{_PART})*")
_PARTS = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")


def check_key(key: str) -> str:
    """Return the key, if it is one.

    A key is one or more parts joined by `/`. A part is 1 to 255 of the ASCII letters and digits, `.`, `_` and
    `-`, but not `.` or `..`. The whole has at most 900 characters and neither begins nor ends with `/`. The
    alphabet is that of Docker Distribution's drivers, so that every store can hold every key as it is.

    Raises:
        InvalidKey: The text is outside of this grammar.
    """
    if len(key) <= KEY_LIMIT and _KEY.fullmatch(key):
        return key
    if len(key) > KEY_LIMIT:
        raise InvalidKey(key, f"it has {len(key)} characters, over the limit of {KEY_LIMIT}")
    if not _PARTS.fullmatch(key):
        raise InvalidKey(key, "it is not parts of ASCII letters, digits, '.', '_' and '-', joined by '/'")
    for part in key.split("/"):
        if part in {".", ".."}:
            raise InvalidKey(key, f"the part {part!r} has a meaning of its own in stores")
        if len(part) > PART_LIMIT:
            raise InvalidKey(key, f"a part has {len(part)} characters, over the limit of {PART_LIMIT}")
    return key


def is_key(name: str) -> bool:
    """Whether a name is a key; see `check_key` for the grammar."""
    return len(name) <= KEY_LIMIT and _KEY.fullmatch(name) is not None


def check_prefix(prefix: str) -> str:
    """Return the prefix, if it is a key or empty (the whole store).

    Raises:
        InvalidKey: The prefix is neither.
    """
    return check_key(prefix) if prefix else prefix
