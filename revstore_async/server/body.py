"""A request's body on its way in: taken from the client only as fast as it is asked for."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from starlette.types import Receive

from ..errors import BodyTimeout, BodyTooLarge, ClientGone


class RequestBody(AsyncIterator[bytes]):
    """The pieces of a body, none empty, as they arrive.

    It is no generator: whoever stops asking leaves nothing behind that has to be closed.

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
        self._patience = patience.total_seconds()
        self._limit = limit
        self._ended = False

    async def __anext__(self) -> bytes:
        """Return the next piece.

        Raises:
            BodyTooLarge: There are more bytes than the limit.
            BodyTimeout: The client left it standing still.
            ClientGone: The client left before its end.
        """
        while not self._ended:
            if piece := await self._next():
                return piece
        raise StopAsyncIteration

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(self._patience):
                message = await self._receive()
        except TimeoutError as error:
            raise BodyTimeout(self.taken, self._patience) from error
        if message["type"] == "http.disconnect":
            raise ClientGone(self.taken)
        piece: bytes = message.get("body", b"")
        self._ended = not message.get("more_body", False)
        self.taken += len(piece)
        if self._limit is not None and self.taken > self._limit:
            raise BodyTooLarge(self.taken, self._limit)
        return piece
