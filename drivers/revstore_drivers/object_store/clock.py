"""The time of a write by the store's clock: the answer to a write tells it, but obstore does not pass it on.

Now and then the driver looks at an object that it just wrote, and learns the difference between the store's clock
and this process's. It computes the times of all other writes from that difference. Such a time differs by one
second at most from the time that the store tells, which is in whole seconds.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

_GOOD: Final = (
    300.0  # seconds for which a difference holds; two clocks drift by hundredths of a second meanwhile
)
_SHARP: Final = 0.4  # seconds; a longer write tells its own time too vaguely


class StoreClock:
    """The store's clock, as far as the driver knows it.

    `sent` and `answered` are times of this process, in seconds of `revstore_async.driver.clocks.boottime`.
    """

    def __init__(self) -> None:
        self._ahead: float | None = None
        self._learnt = 0.0

    def learn(self, modified: datetime, sent: float, answered: float) -> None:
        """Learn the difference from a write whose time the store told, in whole seconds."""
        if answered - sent > _SHARP:
            return
        self._ahead = modified.timestamp() + 0.5 - (sent + answered) / 2
        self._learnt = answered

    def time_of(self, sent: float, answered: float) -> datetime | None:
        """Return the time of a write, or None if the difference is not known well enough."""
        if self._ahead is None or answered - sent > _SHARP or answered - self._learnt > _GOOD:
            return None
        told = datetime.fromtimestamp(0, UTC) + timedelta(seconds=self._ahead + (sent + answered) / 2)
        return told.replace(microsecond=0)
