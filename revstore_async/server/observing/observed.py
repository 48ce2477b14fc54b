"""Watches requests and answers from outside of the application: the shared part of logs, metrics and spans."""

import re
import secrets
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from ..exchange import Exchange, exchange_of

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")


class Observed(ABC):
    """An ASGI application around another; it observes each HTTP exchange, and passes on all other scopes.

    Args:
        app: The application within.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app: Final = app

    @abstractmethod
    def observing(self, exchange: Exchange) -> AbstractContextManager[None]:
        """Return a context manager: its block begins with the request, and ends with the application's work."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application within."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = exchange_of(scope, receive, send)
        with self.observing(exchange):
            await self._app(scope, exchange.receive, exchange.send)


def header(scope: Scope, name: bytes) -> str:
    """Return a header of the request; empty if it is absent."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return ""


def request_id(scope: Scope) -> str:
    """Return the ID of a request; all its logs name this ID.

    It is the client's `X-Request-ID` if that is a plain one, else a random one.
    """
    known: str | None = scope.get("revstore.request_id")
    if known is None:
        given = header(scope, b"x-request-id")
        known = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope["revstore.request_id"] = known
    return known
