"""Times as S3 writes them."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from botocore.utils import parse_timestamp as parse_any

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}


def parse_time(value: object) -> datetime:
    """Read a time of a listing or a header, aware, in UTC.

    botocore asks dateutil to guess the format, which is two thirds of the cost of a listing.
    """
    text = str(value)
    try:
        if text.endswith("Z"):
            return datetime.fromisoformat(text)
        if text.endswith(" GMT"):
            return parse_http_date(text)
    except (ValueError, KeyError):
        pass
    found: datetime = parse_any(text)
    return found.astimezone(UTC)


@lru_cache(maxsize=1024)  # all answers of one second have the same date, and hot objects the same times
def parse_http_date(text: str) -> datetime:
    """Read `Tue, 24 Nov 2026 00:25:29 GMT`."""
    _, day, month, year, time, _ = text.split(" ")
    hours, minutes, seconds = time.split(":")
    return datetime(int(year), _MONTHS[month], int(day), int(hours), int(minutes), int(seconds), tzinfo=UTC)
