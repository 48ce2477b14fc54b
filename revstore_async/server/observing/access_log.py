"""The access log: one line of JSON for each request, on the logger `revstore_async.access`.

The log holds no query, and of the headers only `User-Agent`, so no credentials and no signed URLs. It escapes
control characters and all characters beyond ASCII: clients can't break a line.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from ..exchange import Exchange
from .observed import Observed, header, request_id

LOGGER: Final = logging.getLogger("revstore_async.access")
"""Its lines have the level INFO."""

PATH_LIMIT: Final = 1024
"""Characters of a path in a line, at most."""

AGENT_LIMIT: Final = 256
"""Characters of a `User-Agent` in a line, at most."""

USER_LIMIT: Final = 64
"""Characters of `tried` in a line, at most."""


class AccessLog(Observed):
    """An ASGI application around another; it logs each request at its end.

    These members of a line tell of the request: `time` (its end, UTC), `request_id` (the client's
    `X-Request-ID` if that is a plain one, else a random one), `method`, `route`, `path`, `repository`. These
    tell of the client: `client` (its address), `agent` (its `User-Agent`), `principal`, `tried` (the user of
    refused credentials). These tell of the outcome: `status`, `error` (its first error code), `received` and
    `sent` (bytes of the bodies), `complete` (false if the client left before the end), `seconds`.

    The logger `revstore_async.server` names failures by the same `request_id`.

    Args:
        app: The application within.
    """

    @contextmanager
    def observing(self, exchange: Exchange) -> Iterator[None]:
        """Log the exchange at its end, whether it succeeds or fails."""
        try:
            yield
        finally:
            if LOGGER.isEnabledFor(logging.INFO):
                LOGGER.info("%s", _line(exchange))


def _line(exchange: Exchange) -> str:
    scope = exchange.scope
    client = scope.get("client")
    line = json.dumps(
        {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "request_id": request_id(scope),
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
    return line.replace("\x7f", "\\u007f")  # the one control character that JSON does not escape
