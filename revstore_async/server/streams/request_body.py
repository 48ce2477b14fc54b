"""A request's body on its way in: the server takes it only as fast as its reader asks for it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from starlette.types import Receive

from ...errors import BodyTimeout, BodyTooLarge, ClientGone
from .deadlines import within

LEAST_RATE: Final = 1 << 12
"""Bytes a second that a client must send on average while the server waits for it.

A byte now and then is not a body. A bad line brings four times as many. A client holds memory that others wait
for, as long as it sends.
"""


class RequestBody(AsyncIterator[bytes]):
    """The pieces of a body, as they arrive; each has at least one byte.

    It is not a generator: a reader that stops early has nothing to close.

    A client's time runs only while the server waits for the client, never while its bytes wait here. It begins
    with `timeout`; each piece adds its own time at `LEAST_RATE`, up to `timeout` again. A client may stand
    still for that long, and a faster client never runs out of time.

    Args:
        receive: The source of the pieces.
        timeout: How long the client may leave the body standing still.
        limit: Bytes of the body at most; None for any number.

    Attributes:
        taken: Bytes that arrived.
    """

    def __init__(self, receive: Receive, timeout: timedelta, limit: int | None = None) -> None:
        self.taken: int = 0
        self._receive = receive
        self._timeout = self._left = timeout.total_seconds()
        self._limit = limit
        self._ended = False

    async def __anext__(self) -> bytes:
        """Return the next piece.

        Raises:
            BodyTooLarge: The body has more bytes than the limit.
            BodyTimeout: The client left the body standing still, or sends too slowly.
            ClientGone: The client left before the end of the body.
        """
        clock = asyncio.get_running_loop().time
        while not self._ended:
            begun = clock()
            message = await within(self._left, self._receive(), self._late)
            if message["type"] == "http.disconnect":
                raise ClientGone(self.taken)
            piece: bytes = message.get("body", b"")
            self._left = min(self._timeout, self._left - (clock() - begun) + len(piece) / LEAST_RATE)
            self._ended = not message.get("more_body", False)
            self.taken += len(piece)
            if self._limit is not None and self.taken > self._limit:
                raise BodyTooLarge(self.taken, self._limit)
            if piece:
                return piece
        raise StopAsyncIteration

    def _late(self) -> BodyTimeout:
        return BodyTimeout(self.taken, self._timeout)
