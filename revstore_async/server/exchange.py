"""A request and its answer: the one object that all messages between the client and the server's layers pass."""

import asyncio
import time
from collections import deque
from typing import Final

from starlette.types import Message, Receive, Scope, Send

from ..errors import AnswerTimeout
from .streams.deadlines import within

PIECE: Final = 1 << 19
"""Bytes of a message to the client at most; a larger body goes out in several messages."""

LARGE: Final = 1 << 16
"""Bytes that uvicorn, like other servers, holds for one client before it makes an application wait."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Exchange:
    """A request and its answer, up to now.

    The layers of a server share one exchange (`exchange_of`). A message therefore passes one wrapper, however many
    layers watch it.

    `receive` keeps the messages that `left` takes, and gives them to the next reader.

    `send` waits for the client to the end of the answer, and for `send_timeout` at most. uvicorn waits for a
    client before it takes a message, never after it. If an answer came in one message, uvicorn would hold the
    rest of it, while the request counts as done. An empty last message therefore follows large content: uvicorn
    takes it when most of the content is gone. Content that is larger than `PIECE` goes out in several messages.
    An answer without large content, or to HEAD, goes out as it is.

    Args:
        scope: The request's scope.
        receive: The server's `receive`.
        send: The server's `send`.

    Attributes:
        scope: The request's scope.
        status: The answer's status; 500 if the application failed before its answer began.
        begun: Whether the answer has begun.
        received: Bytes of the request's body that came in.
        sent: Bytes of the answer's body that went out; always 0 for HEAD.
        complete: Whether the whole answer went out; False for a client that left before.
        send_timeout: Seconds that the client may take to make room for a message; None for any time. With None,
            `send` also leaves large content as it is.
    """

    __slots__ = (
        "_bare",
        "_kept",
        "_receive",
        "_send",
        "_start",
        "begun",
        "complete",
        "received",
        "scope",
        "send_timeout",
        "sent",
        "status",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope: Final = scope
        self.status: int = 500
        self.begun: bool = False
        self.received: int = 0
        self.sent: int = 0
        self.complete: bool = False
        self.send_timeout: float | None = None
        self._bare: Final = scope["method"] == "HEAD"
        self._kept: deque[Message] | None = None  # few requests need it
        self._receive: Final = receive
        self._send: Final = send
        self._start: Final = time.perf_counter()

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
        """Return the next message from the client."""
        if self._kept:
            return self._kept.popleft()
        message = await self._receive()
        self.received += len(message.get("body", b""))
        return message

    async def left(self) -> None:
        """Return when the client has left.

        It takes at most the first piece of a body, which the server has in memory anyway. If the body goes on, it
        then waits for ever.
        """
        kept = self._kept = self._kept or deque()
        while not kept or not kept[-1].get("more_body", False):
            message = await self._receive()
            self.received += len(message.get("body", b""))
            kept.append(message)
            if message["type"] == "http.disconnect":
                return
        await asyncio.Event().wait()

    async def send(self, message: Message) -> None:
        """Pass on a message to the client.

        Raises:
            AnswerTimeout: The client did not make room in time.
        """
        body: bytes = message.get("body", b"")
        timeout = self.send_timeout
        if timeout is not None and len(body) > LARGE and not self._bare:
            await self._send_in_pieces(message, body)
            return
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
            self.begun = True
        sending = self._send(message)
        await (sending if timeout is None else within(timeout, sending, self._late))
        if kind == "http.response.body":
            self.complete = not message.get("more_body", False)
            if not self._bare:
                self.sent += len(body)

    async def _send_in_pieces(self, message: Message, body: bytes) -> None:
        timeout = self.send_timeout or 0.0
        for begin in range(0, len(body), PIECE):
            piece = body[begin : begin + PIECE]
            sending = self._send({**message, "body": piece, "more_body": True})
            await within(timeout, sending, self._late)
            self.sent += len(piece)
        if not message.get("more_body", False):
            await within(timeout, self._send({**message, "body": b""}), self._late)
            self.complete = True

    def _late(self) -> AnswerTimeout:
        return AnswerTimeout(self.sent, self.send_timeout or 0.0)


def exchange_of(scope: Scope, receive: Receive, send: Send) -> Exchange:
    """Return the exchange that owns `receive` and `send`; a new exchange around them if they belong to none."""
    shared: object = getattr(send, "__self__", None)
    if isinstance(shared, Exchange) and shared.scope is scope:
        receiver: object = getattr(receive, "__self__", None)
        if receiver is shared:
            return shared
    return Exchange(scope, receive, send)
