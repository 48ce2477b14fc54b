"""Bounds the requests per second of work in the background, so that clients do not feel it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from math import inf
from typing import Final

from ..errors import InvalidArgument
from .contract import Driver
from .intercepting import InterceptingDriver, Operation
from .keys import check_key
from .values import Capabilities

_BULK: Final = 1000  # keys of one request of S3


class RateLimitDriver(InterceptingDriver):
    """A driver that begins its requests one after another, at most so many in a second.

    A request that waits is not begun, so its own limit of time does not run. As many requests are under way at once
    as begin in a second. `delete_many` counts as one request for each 1,000 keys, or as one for each key where the
    store takes one key at a time.
    """

    def __init__(self, inner: Driver, requests_per_second: float) -> None:
        """Wrap a driver.

        Args:
            inner: The driver.
            requests_per_second: The most requests that begin in a second.

        Raises:
            InvalidArgument: The number is below 1, or it is not finite.
        """
        if not 1 <= requests_per_second < inf:
            raise InvalidArgument("requests_per_second", requests_per_second, "it is no number from 1 on")
        super().__init__(inner)
        self._rate = requests_per_second
        self._next = 0.0  # when the next request may begin, by the loop's clock

    @property
    def capabilities(self) -> Capabilities:
        within = self.inner.capabilities
        return replace(within, connections=min(within.connections, int(self._rate)))

    @asynccontextmanager
    async def intercept(self, operation: Operation) -> AsyncIterator[None]:
        if operation.is_request:
            await self._turn(1)
        yield

    async def delete_many(self, keys: Iterable[str], *, until: datetime | None = None) -> None:
        several, bulk = [check_key(key) for key in keys], self.inner.capabilities.bulk_delete
        together = _BULK if bulk else int(self._rate)
        for first in range(0, len(several), together):
            some = several[first : first + together]
            await self._turn(1 if bulk else len(some))
            await self.inner.delete_many(some, until=until)

    async def _turn(self, requests: int) -> None:
        """Wait until requests may begin."""
        now = asyncio.get_running_loop().time()
        begin = max(now, self._next)
        self._next = begin + requests / self._rate
        if begin > now:
            await asyncio.sleep(begin - now)
