"""A request's body on its way in: taken from the client only as fast as it is asked for."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from starlette.types import Receive

from ...errors import BodyTimeout, BodyTooLarge, ClientGone
from .deadlines import within

LEAST_RATE: Final = 1 << 12
"""Bytes a second that a client must send on average, while it is waited for: a byte now and then is no body.

It is a quarter of what a bad line brings, and holds memory that others wait for as long as it sends.
"""


class RequestBody(AsyncIterator[bytes]):
    """The pieces of a body, none empty, as they arrive.

    It is no generator: whoever stops asking leaves nothing behind that has to be closed.

    The client's time is what it is waited for, never what its bytes wait here. It has the patience to begin with;
    each piece brings it the time that it takes at `LEAST_RATE`, up to the patience again. So a client may stand
    still for that long, and whoever sends faster never runs out of time.

    Args:
        receive: Where they come from.
        patience: How long the client may leave it standing still.
        limit: Bytes that are taken at most; None for any number.

    Attributes:
        taken: Bytes that arrived.
    """

    def __init__(self, receive: Receive, patience: timedelta, limit: int | None = None) -> None:
        self.taken = 0
        self._receive = receive
        self._patience = self._left = patience.total_seconds()
        self._limit = limit
        self._ended = False

    async def __anext__(self) -> bytes:
        """Return the next piece.

        Raises:
            BodyTooLarge: There are more bytes than the limit.
            BodyTimeout: The client left it standing still, or sends too slowly.
            ClientGone: The client left before its end.
        """
        while not self._ended:
            if piece := await self._next():
                return piece
        raise StopAsyncIteration

    async def _next(self) -> bytes:
        clock = asyncio.get_running_loop().time
        begun = clock()
        message = await within(self._left, self._receive(), self._late)
        if message["type"] == "http.disconnect":
            raise ClientGone(self.taken)
        piece: bytes = message.get("body", b"")
        self._left = min(self._patience, self._left - (clock() - begun) + len(piece) / LEAST_RATE)
        self._ended = not message.get("more_body", False)
        self.taken += len(piece)
        if self._limit is not None and self.taken > self._limit:
            raise BodyTooLarge(self.taken, self._limit)
        return piece

    def _late(self) -> BodyTimeout:
        return BodyTimeout(self.taken, self._patience)
