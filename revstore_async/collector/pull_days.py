"""The days on which pull times were kept."""

from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta


def days_of(now: datetime, within: timedelta) -> list[date]:
    """Return the days of a time before now. The first is one before its beginning, the last is that of now."""
    first = (now - within).date() - timedelta(days=1)
    return [first + timedelta(days=number) for number in range((now.date() - first).days + 1)]


def unkept_day(kept: AbstractSet[date], now: datetime, within: timedelta) -> date | None:
    """Return a day of a time before now on which no process kept pull times; None if each day has its mark.

    The mark of today may be still to come. The mark of the day before the first says that the first day is whole.
    """
    return next((day for day in days_of(now, within)[:-1] if day not in kept), None)
