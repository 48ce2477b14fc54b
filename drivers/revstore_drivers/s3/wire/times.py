"""Times as S3 writes them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from botocore.utils import parse_timestamp as parse_any

_LONGEST: Final = 64  # characters of a time in any form; what is longer is none, and not looked at

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}


def parse_time(value: object) -> datetime:
    """Read a time of a listing or a header, aware, in UTC.

    botocore asks dateutil to guess the format, which is two thirds of the cost of a listing.

    Raises:
        ValueError: It is no time.
    """
    text = str(value)
    if len(text) > _LONGEST:
        raise ValueError(f"it is no time: {text[:_LONGEST]!r}...")
    try:
        if text.endswith("Z"):
            return datetime.fromisoformat(text)
        if text.endswith(" GMT"):
            return parse_http_date(text)
    except (ValueError, KeyError):
        pass
    try:
        found: datetime = parse_any(text)
        return found.astimezone(UTC)
    except (RuntimeError, OverflowError) as error:  # a number of seconds that no calendar holds
        raise ValueError(f"it is no time: {text!r}") from error


@lru_cache(maxsize=1024)  # all answers of one second have the same date, and hot objects the same times
def parse_http_date(text: str) -> datetime:
    """Read `Tue, 24 Nov 2026 00:25:29 GMT`."""
    _, day, month, year, time, _ = text.split(" ")
    hours, minutes, seconds = time.split(":")
    return datetime(int(year), _MONTHS[month], int(day), int(hours), int(minutes), int(seconds), tzinfo=UTC)


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """Return the time at which an answer was made, by the server's clock; None if its headers don't tell."""
    try:
        return parse_http_date(headers.get("date", ""))
    except (ValueError, KeyError):
        return None
