"""Answers on their way out: only as fast as the client takes them, and a blob is read only so fast."""

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from ...concurrency import alongside
from ...driver import Reader
from ...errors import AnswerTimeout, Unavailable
from .deadlines import within

PIECE: Final = 1 << 19
"""Bytes that are read from the storage and handed to the server at once; two such pieces exist at a time."""

LARGE: Final = 1 << 16
"""Bytes that uvicorn, as others, holds for one client before it has an application wait."""

_PATIENT: Final = "revstore.patient"  # of a scope


def patient(scope: Scope, send: Send, patience: timedelta) -> Send:
    """Return what an answer is sent with, so that the client is waited for to its end, and not for ever.

    uvicorn waits for a client before it takes a message, never after: of an answer in one message it would hold
    whatever the client does not take, while the request counts as done. So large content is followed by an empty
    last message, which uvicorn takes when most of the content is gone; what is larger than a piece goes out in
    several. An answer without large content, or to HEAD, goes out as it is.

    Where `send` does that already, it is returned. What is sent with it raises `AnswerTimeout` where the client
    does not make room for the next message in time.

    Args:
        scope: Of the request.
        send: Of the server.
        patience: How long the client may take for that.
    """
    if _PATIENT in scope:
        return send
    scope[_PATIENT] = True
    return _Patient(scope, send, patience)


class _Patient:
    """A `send` around another; `patient` says what it does."""

    __slots__ = ("_bare", "_patience", "_send", "_sent")

    def __init__(self, scope: Scope, send: Send, patience: timedelta) -> None:
        self._send = send
        self._bare = scope["method"] == "HEAD"
        self._patience = patience.total_seconds()
        self._sent = 0

    def __call__(self, message: Message) -> Awaitable[None]:
        if len(message.get("body", b"")) <= LARGE or self._bare:
            return within(self._patience, self._send(message), self._late)
        return self._large(message)

    async def _large(self, message: Message) -> None:
        body = message["body"]
        for begin in range(0, len(body), PIECE):
            piece = body[begin : begin + PIECE]
            sending = self._send({**message, "body": piece, "more_body": True})
            await within(self._patience, sending, self._late)
            self._sent += len(piece)
        if not message.get("more_body", False):
            await within(self._patience, self._send({**message, "body": b""}), self._late)

    def _late(self) -> AnswerTimeout:
        return AnswerTimeout(self._sent, self._patience)


class Streamed(Response):
    """An answer whose body is read while it is sent. It closes the reader, whatever happens.

    Where the storage breaks off midway, or the content proves damaged, all that is left is to break off too: the
    announced length is not reached. So whoever makes it reads the first piece, and can still tell errors by a
    status.

    Args:
        reader: Where the bytes come from.
        first: Those that are read already.
        length: How many there are, all told; more than the first ones.
        status: The HTTP status.
        headers: The headers but the length.
        patience: How long the client may take to make room for a piece.
        closing: What is closed after them.
    """

    def __init__(
        self,
        reader: Reader,
        first: bytes,
        length: int,
        *,
        status: int,
        headers: Mapping[str, str],
        patience: timedelta,
        closing: AsyncExitStack,
    ) -> None:
        self.status_code = status
        self.background = None
        self.init_headers({**headers, "Content-Length": str(length)})
        self._reader = reader
        self._piece = first
        self._length = length
        self._sent = 0
        self._patience = patience
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. A client that leaves ends it, quietly.

        Raises:
            AnswerTimeout: The client takes no more, or too little.
            RevstoreError: The storage broke off, or the content is damaged; the server closes the connection.
        """
        send = patient(scope, send, self._patience)
        async with self._closing:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            if not await self._all_but_the_last(receive, send):
                return
        await self._send(send, last=True)  # the storage is done with by now, however slow the client

    async def _all_but_the_last(self, receive: Receive, send: Send) -> bool:
        async with alongside(self._pour(send)) as pouring, alongside(_left(receive)) as left:
            await asyncio.wait((pouring.task, left.task), return_when=asyncio.FIRST_COMPLETED)
            if not pouring.done():
                return False
            pouring.result()
            return True

    async def _pour(self, send: Send) -> None:
        while (rest := self._length - self._sent - len(self._piece)) > 0:
            await self._send(send)
            self._piece = await self._reader.read(min(PIECE, rest))
            if not self._piece:
                raise Unavailable(self._reader.info.key, f"its last {rest} bytes did not come")

    async def _send(self, send: Send, *, last: bool = False) -> None:
        await send({"type": "http.response.body", "body": self._piece, "more_body": not last})
        self._sent += len(self._piece)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
