"""Answers on their way out: as fast as the client takes them. A blob is read at the same speed."""

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
"""Bytes that uvicorn, like other servers, holds for one client before it makes an application wait."""

_PATIENT: Final = "revstore.patient"  # of a scope


def patient(scope: Scope, send: Send, patience: timedelta) -> Send:
    """Return a `send` that waits for the client to the end of the answer, and not for ever.

    uvicorn waits for a client before it takes a message, never after it. If an answer came in one message,
    uvicorn would hold the rest of it, while the request counts as done. An empty last message therefore follows
    large content: uvicorn takes it when most of the content is gone. Content that is larger than a piece goes
    out in several messages. An answer without large content, or to HEAD, goes out as it is.

    If `send` does that already, the function returns it. The new `send` raises `AnswerTimeout` if the client
    does not make room for the next message in time.

    Args:
        scope: The request's scope.
        send: The server's `send`.
        patience: How long the client may take to make room.
    """
    if _PATIENT in scope:
        return send
    scope[_PATIENT] = True
    return _Patient(scope, send, patience)


class _Patient:
    """A `send` around another, for `patient`."""

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
    """An answer that reads its body while it sends it. It closes the reader in every case.

    If the storage breaks off midway, or the content proves damaged, the answer can only break off too, before
    the announced length. The handler therefore reads the first piece itself: it can still tell errors by their
    status.

    Args:
        reader: The source of the bytes.
        first: The bytes that are read already.
        length: The number of all bytes; more than the first ones.
        status: The HTTP status.
        headers: The headers without the length.
        patience: How long the client may take to make room for a piece.
        closing: Is closed after the last read.
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
        """Send the answer. A client that leaves ends it, without an error.

        Raises:
            AnswerTimeout: The client takes nothing, or too little.
            RevstoreError: The storage broke off, or the content is damaged; the server closes the connection.
        """
        send = patient(scope, send, self._patience)
        async with self._closing:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            if not await self._all_but_the_last(receive, send):
                return
        await self._send(send, last=True)  # the storage is done by now, even if the client is slow

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
