"""Back-pressure, and the end: how many requests are under way at once, and waiting for the last of them."""

import asyncio
import logging
import math
from datetime import timedelta
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import InvalidArgument
from . import answers

_LOG = logging.getLogger("revstore_async.server")

LIMIT: Final = 1000
"""Requests under way at once, where no other number is given."""


class InFlight:
    """An ASGI application around another, with a limit of requests under way: one more is answered 503 at once.

    A request is under way until its answer went out to its end, so slow clients count, until `RegistryApp` gives
    them up. What one of them takes of memory is bounded by the application within; so this bounds the whole. When
    the server shuts down, the application within is told only when no request is under way any more, or after a
    time: a registry is not closed under requests that are cancelled and clean up.

    Args:
        app: The application within.
        limit: Requests under way at once.
        retry_after: How long a client is told to wait.
        patience: How long requests under way are waited for, after the server has cancelled them.
    """

    def __init__(
        self,
        app: ASGIApp,
        limit: int = LIMIT,
        *,
        retry_after: timedelta = timedelta(seconds=1),
        patience: timedelta = timedelta(seconds=10),
    ) -> None:
        if limit < 1:
            raise InvalidArgument("limit", limit, "at least one request must get through")
        self._app: Final = app
        self._limit: Final = limit
        self._retry_after: Final = str(max(1, math.ceil(retry_after.total_seconds())))
        self._patience: Final = patience.total_seconds()
        self._idle = asyncio.Event()
        self._idle.set()
        self._count = 0

    @property
    def limit(self) -> int:
        """Requests under way at once, at most."""
        return self._limit

    @property
    def count(self) -> int:
        """Requests under way."""
        return self._count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application within, unless there are too many requests."""
        if scope["type"] == "lifespan":
            await self._app(scope, self._told_late(receive), send)
            return
        if scope["type"] == "http" and self._count >= self._limit:
            response = answers.refuse(
                503,
                [{"code": "UNAVAILABLE", "message": "too many requests are under way, try again later"}],
                {"Retry-After": self._retry_after},
            )
            await response(scope, receive, send)
            return
        self._count += 1
        self._idle.clear()
        try:
            await self._app(scope, receive, send)
        finally:
            self._count -= 1
            if not self._count:
                self._idle.set()

    async def drained(self) -> bool:
        """Wait until no request is under way, for the time of `patience` at most; say whether that is so."""
        try:
            async with asyncio.timeout(self._patience):
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
