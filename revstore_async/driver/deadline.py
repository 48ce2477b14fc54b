"""How long metadata may take: one budget of time for all that one request asks of a storage.

A request reads and writes several small objects, one after another, and each may be tried again. With a limit
for each try alone, a storage that hangs would hold the request for minutes. Therefore all of them share one
budget. It is spent only while an operation is under way: the time in which a client sends its layer does not
count.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Final

METADATA_TIMEOUT: Final = timedelta(seconds=15)
"""How long the metadata of one request may take, where the store's options say nothing else."""

SLOWEST: Final = 64 << 10
"""Bytes a second that a storage must take or give; an operation has a second more for each of them."""


@dataclass(slots=True, eq=False)
class _Budget:
    """The time that several operations share, in seconds. Those that overlap spend it once.

    Attributes:
        limit: The seconds at the beginning.
        left: Seconds that are left, as of `since`.
        since: When the operations under way began to spend it.
        under_way: How many operations are under way.
    """

    limit: float
    left: float
    since: float = 0.0
    under_way: int = 0


_SHARED: ContextVar[_Budget | None] = ContextVar("revstore_metadata_budget", default=None)
_DUE: ContextVar[float | None] = ContextVar("revstore_metadata_due", default=None)


class metadata_deadline:  # noqa: N801 (it is used as a function is)
    """A block that limits the time of its operations on metadata together, those of its child tasks included.

    The operations are `get`, `put`, `stat`, `delete` and the listings of a driver; the one during which the time
    runs out raises `Unavailable`. A page of a listing, or a batch of a deletion, that came does not count, nor do
    the bytes of a large `put`. A block within another one shares the time of the outer one.

        with metadata_deadline(driver.capabilities.metadata_timeout):
            ...

    Args:
        limit: The time; `Capabilities.metadata_timeout` is what the store's operator wants.
    """

    __slots__ = ("_limit", "_token")

    def __init__(self, limit: timedelta) -> None:
        self._limit = limit.total_seconds()
        self._token: Token[_Budget | None] | None = None

    def __enter__(self) -> None:
        if _SHARED.get() is None:
            self._token = _SHARED.set(_Budget(self._limit, self._limit))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _SHARED.reset(self._token)
            self._token = None


due: Final[Callable[[], float | None]] = _DUE.get
"""Returns the time of the loop at which the operation under way must end; outside of one, None."""


@dataclass(slots=True, eq=False)
class metadata_operation:  # noqa: N801 (as above)
    """One operation, for drivers: within the block `due` tells when it must end.

    Attributes:
        limit: The time for it where no `metadata_deadline` is around it.
        size: Bytes of content that it sends; they have time of their own, at the rate of `SLOWEST`.
        bulk: Whether it is a page or batch of many, whose time does not count where it succeeds.
    """

    limit: timedelta
    size: int = field(default=0, kw_only=True)
    bulk: bool = field(default=False, kw_only=True)
    _budget: _Budget | None = field(default=None, init=False)
    _begun: float = field(init=False)
    _token: Token[float | None] = field(init=False)

    def __enter__(self) -> None:
        if _DUE.get() is not None:
            return  # it is a part of another operation
        self._begun = now = asyncio.get_running_loop().time()
        budget = _SHARED.get()
        if budget is None:
            seconds = self.limit.total_seconds()
            budget = _Budget(seconds, seconds)
        self._budget = budget
        if not budget.under_way:
            budget.since = now
        budget.under_way += 1
        self._token = _DUE.set(budget.since + budget.left + self.size / SLOWEST)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        budget, self._budget = self._budget, None
        if budget is None:
            return
        _DUE.reset(self._token)
        now = asyncio.get_running_loop().time()
        took = now - self._begun
        spared = took if self.bulk and kind is None else min(took, self.size / SLOWEST)
        budget.under_way -= 1
        if budget.under_way:
            budget.since = min(now, budget.since + spared)
        else:
            spent = max(0.0, now - budget.since - spared)
            budget.left = min(budget.limit, max(0.0, budget.left - spent))


def forget_deadline() -> None:
    """Leave the deadlines of the present context, for work that several requests wait for."""
    _SHARED.set(None)
    _DUE.set(None)
