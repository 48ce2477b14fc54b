"""Lengths of time as people write them: `30s`, `90m`, `12h`, `7d`."""

import re
from datetime import timedelta
from typing import Final

# The digits are few enough that every number becomes a time, and Python reads it at once.
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhd])")
UNITS: Final = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
"""The units with their seconds, the largest first."""


def read_duration(text: str) -> timedelta:
    """Read a length of time: a number and one of `s`, `m`, `h`, `d`.

    Raises:
        ValueError: The text is of another form.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return timedelta(seconds=int(found[1]) * UNITS[found[2]])
