"""How the options of drivers of object storage are read: each as a text of a URL or as a value of a program.

Each parser gives the value, or raises ValueError that says what would have been one.
"""

import math
import re
from collections.abc import Callable
from dataclasses import field
from typing import Any, Final
from urllib.parse import urlsplit

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30

SMALLEST_PART: Final = 5 * MIB
"""Bytes that S3 wants of every part but the last."""

LARGEST_PART: Final = 5 * GIB
"""Bytes that a part, or an object copied in one request, may have on S3."""

_SIZE = re.compile(r"([0-9]{1,15})(KiB|MiB|GiB|)")
_UNITS = {"": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB}

Parse = Callable[[object], Any]


def text(value: object) -> str:
    """Read a text that can be printed."""
    found = str(value)
    if not found or not found.isprintable():
        raise ValueError("not a text")
    return found


def flag(value: object) -> bool:
    """Read true or false."""
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if str(value).lower() not in known:
        raise ValueError("not true or false")
    return known[str(value).lower()]


def number(least: int, most: int) -> Parse:
    """Return a parser of whole numbers from one to another."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not str(value).isdecimal() or not least <= int(str(value)) <= most:
            raise ValueError(f"not a number from {least} to {most}")
        return int(str(value))

    return parse


def part_bytes(value: object) -> int:
    """Read the bytes of a part, such as `16MiB`."""
    found = _SIZE.fullmatch(str(value))
    size = int(found[1]) * _UNITS[found[2]] if found else 0
    if not SMALLEST_PART <= size <= LARGEST_PART:
        raise ValueError("not a size from 5MiB to 5GiB")
    return size


def seconds(value: object) -> float:
    """Read seconds, up to an hour."""
    found = math.nan
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        found = float(value)
    if not 0 < found <= 3600:
        raise ValueError("not a number of seconds up to 3600")
    return found


def choice(*offered: str) -> Parse:
    """Return a parser of one of several texts."""

    def parse(value: object) -> str:
        if value not in offered:
            raise ValueError(f"not one of {', '.join(offered)}")
        return str(value)

    return parse


def endpoint(value: object) -> str:
    """Read the URL of a server: a scheme, a host and a port."""
    parts = urlsplit(text(value))
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("not an http or https URL")
    if parts.username or parts.password or parts.query or parts.fragment or parts.path not in {"", "/"}:
        raise ValueError("not just a scheme, a host and a port")
    return str(value).rstrip("/")


def verify(value: object) -> bool | str:
    """Read whether TLS is verified, or the file of the certificates by which it is."""
    try:
        return flag(value)
    except ValueError:
        return text(value)


def option(parse: Parse, default: object, says: str, *where: str) -> Any:  # noqa: ANN401 (as dataclasses.field has it)
    """Return the field of an option.

    Args:
        parse: Reads it.
        default: What it is where nothing is said.
        says: What it is, for the documents.
        where: What else its driver must know of it: variables, or schemes.
    """
    return field(default=default, metadata={"parse": parse, "says": says, "where": where})


def secret(says: str, *where: str) -> Any:  # noqa: ANN401 (as above)
    """Return the field of an option that no URL, message or repr shows."""
    return field(
        default=None, repr=False, metadata={"parse": text, "says": says, "where": where, "secret": True}
    )
