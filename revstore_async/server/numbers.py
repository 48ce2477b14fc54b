"""Reads the numbers in a client's request, at a bounded cost."""

from typing import Final

DIGITS: Final = 18
"""The most digits of a number: more than any store holds bytes, and quick to read."""


def read_number(text: str) -> int | None:
    """Return a whole number, from 0 on; None if the text is not such a number, or has more than `DIGITS` digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS else None
