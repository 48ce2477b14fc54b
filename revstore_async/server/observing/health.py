"""The health of the process and of its storage, for programs that start, stop and balance servers."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ...driver import Driver, metadata_deadline
from ...errors import RevstoreError, StorageFull
from .store_probe import StoreProbe

_LOG = logging.getLogger("revstore_async.server")

_ALIVE: Final = "/healthz"
_PATHS: Final = frozenset({_ALIVE, "/readyz"})


class Health:
    """An ASGI application around another; it answers two more paths, without access control.

    `/healthz` says that the process answers; it costs 0 storage requests. `/readyz` says whether the storage
    works too (200 or 503): one listing of one entry, and now and then one small write. All callers share a
    result for the times `shared` and `shared_write`.

    Args:
        app: The application within.
        driver: The storage.
        writes: Whether the storage must take writes; False for a registry that is read only.
        timeout: Time after which the storage counts as not answering.
        shared: How long the result of one listing is shared.
        shared_write: How long the result of one write is shared.
        clock: Tells the time in seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        driver: Driver,
        *,
        writes: bool = True,
        timeout: timedelta = timedelta(seconds=3),
        shared: timedelta = timedelta(seconds=1),
        shared_write: timedelta = timedelta(seconds=10),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app: Final = app
        probe = StoreProbe(driver)
        self._checks: Final = [_Check(probe.read, "the storage does not answer", timeout, shared)]
        if writes:
            self._checks.append(_Check(probe.write, "the storage takes no writes", timeout, shared_write))
        self._clock: Final = clock
        self._lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the two paths; pass all others to the application within."""
        if (
            scope["type"] == "http"
            and (path := scope["path"].removeprefix(scope.get("root_path", ""))) in _PATHS
            and scope["method"] in {"GET", "HEAD"}
        ):
            await (await self._answer(path))(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, path: str) -> Response:
        if path == _ALIVE:
            return _told(200, "alive")
        wrong = await self.wrong()
        return _told(503, wrong) if wrong else _told(200, "ready")

    async def ready(self) -> bool:
        """Say whether the storage works. Up to three requests; 0 with a shared result."""
        return not await self.wrong()

    async def wrong(self) -> str:
        """Return the storage's fault in a few words; empty text if it works. It costs as much as `ready`."""
        async with self._lock:  # a call that waits here takes the result of the one before
            for check in self._checks:
                if wrong := await check.result(self._clock):
                    return wrong
            return ""


class _Check:
    """One operation that the storage must do, and the result of its last check."""

    def __init__(
        self, attempt: Callable[[], Awaitable[None]], otherwise: str, limit: timedelta, shared: timedelta
    ) -> None:
        self._attempt: Final = attempt
        self._otherwise: Final = otherwise
        self._limit: Final = limit
        self._shared: Final = shared.total_seconds()
        self._wrong = ""
        self._asked = float("-inf")

    async def result(self, clock: Callable[[], float]) -> str:
        """Return the fault; empty text if there is none."""
        if clock() - self._asked >= self._shared:
            self._wrong = await self._ask()
            self._asked = clock()
        return self._wrong

    async def _ask(self) -> str:
        try:
            async with asyncio.timeout(self._limit.total_seconds()):
                with metadata_deadline(self._limit):
                    await self._attempt()
        except (RevstoreError, TimeoutError) as error:
            _LOG.warning("not ready, %s: %r", self._otherwise, error)
            return "the storage is full" if isinstance(error, StorageFull) else self._otherwise
        return ""


def _told(status: int, said: str) -> Response:
    content = json.dumps({"status": said}).encode()
    return Response(content, status, {"Cache-Control": "no-store"}, media_type="application/json")
