"""Watches requests and answers from outside of the application: the shared part of logs, metrics and spans."""

import re
import secrets
import time
from contextlib import AbstractContextManager
from typing import Final, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Exchange:
    """A request and its answer, up to now.

    Attributes:
        scope: The request's scope.
        status: The answer's status; 500 if the application failed before its answer began.
        received: Bytes of the request's body that came in.
        sent: Bytes of the answer's body that went out; always 0 for HEAD.
        complete: Whether the whole answer went out; False for a client that left before.
    """

    __slots__ = ("_receive", "_send", "_start", "complete", "received", "scope", "sent", "status")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope: Final = scope
        self.status = 500
        self.received = 0
        self.sent = 0
        self.complete = False
        self._receive = receive
        self._send = send
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """The time since the request began."""
        return time.perf_counter() - self._start

    @property
    def route(self) -> str:
        """The form of the path, such as `/v2/<name>/tags/list`; empty if no route has this path."""
        route: str = self.scope.get("revstore.route", "")
        return route

    @property
    def method(self) -> str:
        """The method, for labels: an unknown method is `other`, so that there are few values."""
        method: str = self.scope["method"]
        return method if method in _METHODS else "other"

    async def receive(self) -> Message:
        """Pass on a message from the client."""
        message = await self._receive()
        if message["type"] == "http.request":
            self.received += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        """Pass on a message to the client."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)
        if message["type"] == "http.response.body":
            if self.scope["method"] != "HEAD":
                self.sent += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)


class Observer(Protocol):
    """An observer of exchanges."""

    def observing(self, exchange: Exchange) -> AbstractContextManager[None]:
        """Return a context manager: its block begins with the request, and ends with the application's work."""


class Observed:
    """An ASGI application around another; it observes each HTTP exchange, and passes on all other scopes.

    Args:
        app: The application within.
        observer: The observer.
    """

    def __init__(self, app: ASGIApp, observer: Observer) -> None:
        self._app: Final = app
        self._observer: Final = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application within."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send)
        with self._observer.observing(exchange):
            await self._app(scope, exchange.receive, exchange.send)


def header(scope: Scope, name: bytes) -> str:
    """Return a header of the request; empty if it is absent."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


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
