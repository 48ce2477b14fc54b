"""Answers on their way out: as fast as the client takes them. A blob is read at the same speed."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...concurrency import alongside
from ...driver import Reader
from ...errors import Unavailable
from ..exchange import PIECE


class Streamed(Response):
    """An answer that reads its body while it sends it. It closes the reader in every case.

    It reads `PIECE` bytes at once; two such pieces exist at a time.

    If the storage breaks off midway, or the content proves damaged, the answer can only break off too, before
    the announced length. The handler therefore reads the first piece itself: it can still tell errors by their
    status.

    Args:
        reader: The source of the bytes.
        first: The bytes that are read already.
        length: The number of all bytes; more than the first ones.
        status: The HTTP status.
        headers: The headers without the length.
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
        closing: AsyncExitStack,
    ) -> None:
        self.status_code = status
        self.background: BackgroundTask | None = None
        self.init_headers({**headers, "Content-Length": str(length)})
        self._reader = reader
        self._piece = first
        self._length = length
        self._sent = 0
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI's)
        """Send the answer. A client that leaves ends it, without an error.

        Raises:
            AnswerTimeout: The client takes nothing, or too little.
            RevstoreError: The storage broke off, or the content is damaged; the server closes the connection.
        """
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
