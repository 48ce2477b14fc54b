"""A request's body on its way in: taken from the client only as fast as it is asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from starlette.types import Receive

from ..errors import BodyTimeout, BodyTooLarge, ClientGone
from .patience import within

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
        self._turn: asyncio.Timeout | None = None

    async def __anext__(self) -> bytes:
        """Return the next piece.

        Raises:
            BodyTooLarge: There are more bytes than the limit.
            BodyTimeout: The client left it standing still, or sends too slowly.
            ClientGone: The client left before its end.
        """
        if self._turn is not None:
            self._turn.reschedule(None)
            self._turn = None
        while not self._ended:
            if piece := await self._next():
                return piece
        raise StopAsyncIteration

    @asynccontextmanager
    async def in_turn(self) -> AsyncIterator[asyncio.Timeout]:
        """Have the block ask for the first piece within the patience, or end it there: it waits for room.

        Bodies share a registry's memory (`bodies.Budget`), and one is asked for when there is room for it. Whether
        the block was ended, `expired` of what it is given says; then nothing of the body was taken.
        """
        turn = asyncio.timeout(self._patience)
        try:
            async with turn:
                self._turn = turn
                yield turn
        except TimeoutError:
            if not turn.expired():
                raise
        finally:
            self._turn = None

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
