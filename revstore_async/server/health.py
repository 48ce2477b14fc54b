"""Whether the process lives, and whether its storage answers: for whoever starts, stops and balances servers."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..driver import Driver
from ..errors import RevstoreError

_LOG = logging.getLogger("revstore_async.server")


class Health:
    """An ASGI application around another, which answers two paths more, to everybody.

    `/healthz` says that the process answers; it asks the storage nothing. `/readyz` says whether the storage
    answers too (200 or 503): one listing of one entry, whose result all callers share for a while.

    Args:
        app: The application within.
        driver: The storage.
        timeout: After which the storage counts as not answering.
        shared: How long one result is shared.
        clock: Tells the time in seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        driver: Driver,
        *,
        timeout: timedelta = timedelta(seconds=3),
        shared: timedelta = timedelta(seconds=1),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app: Final = app
        self._driver: Final = driver
        self._timeout: Final = timeout.total_seconds()
        self._shared: Final = shared.total_seconds()
        self._clock: Final = clock
        self._lock = asyncio.Lock()
        self._ready = False
        self._asked = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the two paths, or as the application within."""
        response = await self._answer(scope) if scope["type"] == "http" else None
        if response is None:
            await self._app(scope, receive, send)
        else:
            await response(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response | None:
        if scope["method"] not in {"GET", "HEAD"}:
            return None
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path == "/healthz":
            return _told(200, "alive")
        if path == "/readyz":
            return _told(200, "ready") if await self.ready() else _told(503, "the storage does not answer")
        return None

    async def ready(self) -> bool:
        """Say whether the storage answers. One request, or none where another's answer is young enough."""
        async with self._lock:  # who waits here takes the answer of the one before
            if self._clock() - self._asked >= self._shared:
                self._ready = await self._ask()
                self._asked = self._clock()
            return self._ready

    async def _ask(self) -> bool:
        try:
            async with asyncio.timeout(self._timeout):
                await self._driver.list(limit=1)
        except (RevstoreError, TimeoutError) as error:
            _LOG.warning("not ready, the storage does not answer: %r", error)
            return False
        return True


def _told(status: int, said: str) -> Response:
    content = json.dumps({"status": said}).encode()
    return Response(content, status, {"Cache-Control": "no-store"}, media_type="application/json")
