"""Content as it arrives from somebody: bytes, or pieces from a source that may break off or say a wrong length."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from .errors import SizeMismatch


class Body:
    """Content on its way in, read once.

    A source that fails ends the content early: `broken` says so, and whoever reads decides what becomes of the
    bytes before. The cancellation of a reader that waits for the source counts as that, too.

    Attributes:
        size: Bytes that came so far.
        ended: Whether all came that will come.
        broken: The error of the source, or the cancellation, if it broke off.
    """

    def __init__(self, content: bytes | AsyncIterable[bytes], length: int | None = None) -> None:
        """Take content.

        Args:
            content: The bytes, or an asynchronous iterable of them of any length.
            length: Its size in bytes, where the sender announced it.

        Raises:
            SizeMismatch: These bytes are not so many.
        """
        self.size = 0
        self.ended = False
        self.broken: BaseException | None = None
        self._length = length
        if isinstance(content, bytes | bytearray | memoryview):
            if length not in {None, len(content)}:
                raise SizeMismatch(length or 0, len(content))
            self._pieces: AsyncIterator[bytes] = _one(bytes(content))
        else:
            self._pieces = aiter(content)

    async def head(self, size: int, *, beside: "asyncio.Task[Any] | None" = None) -> bytes:
        """Return the first bytes: all where they are at most so many, else some more than so many.

        Args:
            size: Bytes that are gathered at least, if there are as many and one.
            beside: A question whose answer may make the content pointless; its failure is raised at once.

        Raises:
            SizeMismatch: There are more bytes than announced, or fewer and the source did not break off.
        """
        gathered: list[bytes] = []
        while self.size <= size:
            if beside is not None and beside.done():
                beside.result()
            piece = await self._next()
            if piece is None:
                break
            gathered.append(piece)
        return gathered[0] if len(gathered) == 1 else b"".join(gathered)

    async def rest(self) -> AsyncIterator[bytes]:
        """Yield what comes after the head, piece by piece.

        Raises:
            SizeMismatch: As for `head`.
        """
        while (piece := await self._next()) is not None:
            yield piece

    async def whole(self, head: bytes) -> AsyncIterator[bytes]:
        """Yield the head and what comes after it; for whoever has no use for a part of the content.

        Raises:
            SizeMismatch: As for `head`.
            BaseException: What broke the content off, if anything did.
        """
        yield head
        async for piece in self.rest():
            yield piece
        self.check()

    def check(self) -> None:
        """Raise what broke the content off, if anything did."""
        if self.broken is not None:
            raise self.broken

    async def _next(self) -> bytes | None:
        """Return the next piece, none empty; None at the end."""
        while not self.ended:
            try:
                piece = await anext(self._pieces)
            except StopAsyncIteration:
                self.ended = True
                if self._length is not None and self.size < self._length:
                    raise SizeMismatch(self._length, self.size) from None
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 (kept, for `check` to raise)
                self.ended, self.broken = True, error
            else:
                self.size += len(piece)
                if self._length is not None and self.size > self._length:
                    raise SizeMismatch(self._length, self.size)
                if piece:
                    return piece
        return None


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content
