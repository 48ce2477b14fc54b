"""The access log: one line of JSON for each request, on the logger `revstore_async.access`.

It holds no query, and of the headers only `User-Agent`, so no credentials and no signed URLs. Control characters
and all characters beyond ASCII are escaped: a line is a line, whatever clients send.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from .observed import Exchange, Observed, header, request_id

LOGGER: Final = logging.getLogger("revstore_async.access")
"""Its lines have the level INFO."""

PATH_LIMIT: Final = 1024
"""Characters of a path that are told."""

AGENT_LIMIT: Final = 256
"""Characters of a `User-Agent` that are told."""

USER_LIMIT: Final = 64
"""Characters of the name of a user who was tried that are told."""


class AccessLog:
    """An ASGI application around another, whose requests are logged as they end.

    A line tells: `time` (its end, UTC), `request_id` (the client's `X-Request-ID` if it is a plain one, else made),
    `client` (its address), `agent` (its `User-Agent`), `method`, `route`, `path`, `repository`, `principal`,
    `tried` (the user whose credentials were refused), `status`, `error` (the first code that the client was told),
    `received` and `sent` (bytes of the bodies), `complete` (false where the client left before the end), `seconds`.

    The logger `revstore_async.server` names what fails by the same `request_id`.

    Args:
        app: The application within.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app: Final = Observed(app, self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application within."""
        await self._app(scope, receive, send)

    @contextmanager
    def observing(self, exchange: Exchange) -> Iterator[None]:
        """Log the exchange when it has ended, however it did."""
        known = request_id(exchange.scope)
        try:
            yield
        finally:
            if LOGGER.isEnabledFor(logging.INFO):
                LOGGER.info("%s", _line(exchange, known))


def _line(exchange: Exchange, known: str) -> str:
    scope = exchange.scope
    client = scope.get("client")
    line = json.dumps(
        {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "request_id": known,
            "client": client[0] if client else "",
            "agent": header(scope, b"user-agent")[:AGENT_LIMIT],
            "method": scope["method"],
            "route": exchange.route,
            "path": scope["path"][:PATH_LIMIT],
            "repository": scope.get("revstore.repository", ""),
            "principal": scope.get("revstore.principal", ""),
            "tried": scope.get("revstore.tried", "")[:USER_LIMIT],
            "status": exchange.status,
            "error": scope.get("revstore.error", ""),
            "received": exchange.received,
            "sent": exchange.sent,
            "complete": exchange.complete,
            "seconds": round(exchange.seconds, 6),
        }
    )
    return line.replace("\x7f", "\\u007f")  # the one control character that JSON leaves as it is
