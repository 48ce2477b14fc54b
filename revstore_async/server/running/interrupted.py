"""Requests that end before their answer: the client takes nothing, or the server ends."""

import asyncio
import logging
import socket
import struct
from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from ...errors import AnswerTimeout
from .. import error_answers
from ..exchange import exchange_of
from ..observing.observed import request_id

_LOG = logging.getLogger("revstore_async.server")


class DropsStalled:
    """An ASGI application around all others, right inside of uvicorn: it disconnects a given-up client at once.

    By itself uvicorn logs a traceback, and closes the connection only when the client has taken all sent bytes,
    which never happens. If the server is not uvicorn, or another application stands between, this class changes
    nothing.

    Args:
        app: The application within.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer through the application within; drop the connection of a client that is given up."""
        try:
            await self._app(scope, receive, send)
        except AnswerTimeout as error:
            # `send` is a method of uvicorn's object for a request; ASGI has no message for this.
            request: Any = getattr(send, "__self__", None)
            if not hasattr(request, "transport") or not hasattr(request, "disconnected"):
                raise
            _LOG.warning(
                "a client was given up in request %s: %s: %r", request_id(scope), error, scope.get("path", "")
            )
            request.disconnected = True  # otherwise uvicorn misses the end of the answer
            _drop(request.transport)


def _drop(transport: asyncio.WriteTransport) -> None:
    """Close a connection at once, and make the kernel drop its bytes for the client."""
    connection = transport.get_extra_info("socket")
    with suppress(OSError):  # the socket may be closed by now
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class AnswersCancelled:
    """An ASGI application around another, for a server that is uvicorn: it answers a cancelled request with 503.

    Without it, uvicorn would log each request that it cancels at its shutdown as a failure, with a traceback.
    This class takes a cancellation for the end of the task, so it does not suit a program that cancels tasks
    itself.

    Args:
        app: The application within.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer through the application within, or 503 if it is cancelled before its answer begins."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = exchange_of(scope, receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:  # the task is uvicorn's, and ends at this place
            _LOG.warning("request %s was cut off at the end: %r", request_id(scope), scope.get("path", ""))
            if not exchange.begun:
                said: list[dict[str, object]] = [
                    {"code": "UNAVAILABLE", "message": "the server ends, try again later"}
                ]
                headers = {"Retry-After": "1", "Connection": "close"}
                await error_answers.refuse(503, said, headers)(scope, receive, send)
