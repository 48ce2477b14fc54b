"""The access log: one line of JSON for each request, on the logger `revstore_async.access`.

Neither queries nor headers stand in it, so no credentials do, nor what signs a URL. Control characters and all
beyond ASCII are escaped: a line is a line, whatever clients send.
"""

import json
import logging
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from .exchange import Exchange, Observed, header

LOGGER: Final = logging.getLogger("revstore_async.access")
"""Its lines have the level INFO."""

PATH_LIMIT: Final = 1024
"""Characters of a path that are told."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")


class AccessLog:
    """An ASGI application around another, whose requests are logged as they end.

    A line tells: `time` (its end, UTC), `request_id` (the client's `X-Request-ID` if it is a plain one, else made),
    `client` (its address), `method`, `route`, `path`, `repository`, `principal`, `status`, `received` and `sent`
    (bytes of the bodies), `complete` (false where the client left before the end), `seconds`.

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
        scope = exchange.scope
        given = header(scope, b"x-request-id")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope["revstore.request_id"] = request_id
        try:
            yield
        finally:
            if LOGGER.isEnabledFor(logging.INFO):
                LOGGER.info("%s", _line(exchange, request_id))


def _line(exchange: Exchange, request_id: str) -> str:
    scope = exchange.scope
    client = scope.get("client")
    line = json.dumps(
        {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "request_id": request_id,
            "client": client[0] if client else "",
            "method": scope["method"],
            "route": exchange.route,
            "path": scope["path"][:PATH_LIMIT],
            "repository": scope.get("revstore.repository", ""),
            "principal": scope.get("revstore.principal", ""),
            "status": exchange.status,
            "received": exchange.received,
            "sent": exchange.sent,
            "complete": exchange.complete,
            "seconds": round(exchange.seconds, 6),
        }
    )
    return line.replace("\x7f", "\\u007f")  # the one control character that JSON leaves as it is
