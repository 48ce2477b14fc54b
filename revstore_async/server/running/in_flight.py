"""Back-pressure and shutdown: bounds the requests under way at once, and waits for the last of them."""

import asyncio
import logging
import math
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...errors import InvalidArgument, ServerBusy
from .. import error_answers

_LOG = logging.getLogger("revstore_async.server")

LIMIT: Final = 1000
"""Requests under way at once, by default."""

_OF_SCOPE: Final = "revstore.in_flight"


class InFlight:
    """An ASGI application around another, with a limit of requests under way; one more gets 503 at once.

    A request is under way until the end of its answer. Slow clients therefore count, until `RegistryApp` gives
    them up. A request does not count while its password waits for its check (`aside`): guesses take no room
    from others. The application within bounds the memory of one request, so this class bounds the whole. At the
    server's shutdown the application within is told only after the last request under way, or after
    `drain_timeout`. A registry therefore stays open for cancelled requests that clean up.

    Args:
        app: The application within.
        limit: Requests under way at once.
        retry_after: The `Retry-After` of a refusal.
        drain_timeout: How long the application waits for requests under way, after the server has cancelled them.
    """

    def __init__(
        self,
        app: ASGIApp,
        limit: int = LIMIT,
        *,
        retry_after: timedelta = timedelta(seconds=1),
        drain_timeout: timedelta = timedelta(seconds=10),
    ) -> None:
        if limit < 1:
            raise InvalidArgument("limit", limit, "at least one request must get through")
        self._app: Final = app
        self._limit: Final = limit
        self._retry_after: Final = str(max(1, math.ceil(retry_after.total_seconds())))
        self._drain_timeout: Final = drain_timeout.total_seconds()
        self._idle = asyncio.Event()
        self._idle.set()
        self._count = 0
        self._aside = 0

    @property
    def limit(self) -> int:
        """Requests under way at once, at most."""
        return self._limit

    @property
    def count(self) -> int:
        """Requests under way, without those that stepped aside."""
        return self._count - self._aside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer through the application within, or 503 if there are too many requests."""
        if scope["type"] == "lifespan":
            await self._app(scope, self._told_late(receive), send)
            return
        if scope["type"] == "http" and self._count - self._aside >= self._limit:
            said: list[dict[str, object]] = [{"code": "UNAVAILABLE", "message": str(ServerBusy())}]
            response = error_answers.refuse(503, said, {"Retry-After": self._retry_after})
            await response(scope, receive, send)
            return
        scope[_OF_SCOPE] = self
        self._count += 1
        self._idle.clear()
        try:
            await self._app(scope, receive, send)
        finally:
            self._count -= 1
            if not self._count:
                self._idle.set()

    @contextmanager
    def stepped_aside(self) -> Iterator[None]:
        """See `aside`."""
        self._aside += 1
        try:
            yield
        finally:
            self._aside -= 1
        if self.count > self._limit:
            raise ServerBusy

    async def drained(self) -> bool:
        """Wait until no request is under way, for `drain_timeout` at most; say whether all have ended."""
        try:
            async with asyncio.timeout(self._drain_timeout):
                await self._idle.wait()
        except TimeoutError:
            _LOG.error("%d requests are still under way at the end", self._count)
        return not self._count

    def _told_late(self, receive: Receive) -> Receive:
        async def late() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.drained()
            return message

        return late


@contextmanager
def aside(scope: MutableMapping[str, Any]) -> Iterator[None]:
    """Leave a request out of the count while it waits in the block; the block itself bounds such requests.

    The server's shutdown waits for it in any case. Without an `InFlight` around the application this does
    nothing.

    Raises:
        ServerBusy: At the end of the block, other requests have taken all the room.
    """
    limited: InFlight | None = scope.get(_OF_SCOPE)
    if limited is None:
        yield
        return
    with limited.stepped_aside():
        yield
