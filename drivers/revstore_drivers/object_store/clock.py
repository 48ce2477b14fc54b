"""When a write was made, by the store's clock: the answer to a write says so, but obstore keeps it for itself.

The driver now and then looks at an object that it just wrote, and learns the difference between the store's
clock and this process's. It tells every other write's time from that. It is off by less than a second, the
resolution of the store's times.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

_GOOD: Final = 300.0  # seconds; two clocks drift by hundredths of one meanwhile
_SHARP: Final = 0.4  # seconds that a write may take whose time is told from when it was sent and answered


class StoreClock:
    """The store's clock, as far as it is known. Times on this side are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._ahead: float | None = None
        self._learnt = 0.0

    def learn(self, modified: datetime, sent: float, answered: float) -> None:
        """Learn from a write of which the store tells a time, in whole seconds."""
        if answered - sent > _SHARP:
            return
        self._ahead = modified.timestamp() + 0.5 - (sent + answered) / 2
        self._learnt = answered

    def time_of(self, sent: float, answered: float) -> datetime | None:
        """Return the time of a write; None until the difference is known to within a second."""
        if self._ahead is None or answered - sent > _SHARP or answered - self._learnt > _GOOD:
            return None
        told = datetime.fromtimestamp(0, UTC) + timedelta(seconds=self._ahead + (sent + answered) / 2)
        return told.replace(microsecond=0)
