"""A blob on its way out: read from the storage only as fast as the client takes it."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..concurrency import alongside
from ..driver import Reader
from ..errors import AnswerTimeout, Unavailable

PIECE: Final = 1 << 19
"""Bytes that are read from the storage and handed to the server at once; two such pieces exist at a time."""


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
        patience: How long the client may take nothing.
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
        self._patience = patience.total_seconds()
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send it. A client that leaves ends it, quietly.

        Raises:
            AnswerTimeout: The client takes no more.
            RevstoreError: The storage broke off, or the content is damaged; the server closes the connection.
        """
        async with self._closing:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            if not await self._all_but_the_last(receive, send):
                return
        await self._send(send, last=True)  # the storage is done with by now, however slow the client

    async def _all_but_the_last(self, receive: Receive, send: Send) -> bool:
        async with alongside(self._pour(send)) as pouring, alongside(_left(receive)) as left:
            await asyncio.wait((pouring, left), return_when=asyncio.FIRST_COMPLETED)
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
        try:
            async with asyncio.timeout(self._patience):
                await send({"type": "http.response.body", "body": self._piece, "more_body": not last})
        except TimeoutError as error:
            raise AnswerTimeout(self._sent, self._patience) from error
        self._sent += len(self._piece)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
