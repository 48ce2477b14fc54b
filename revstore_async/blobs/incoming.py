"""Content as it arrives from a caller: bytes, or pieces of a source, which may fail or end too early."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import NoneType
from typing import Any, Self

from ..arguments import as_bytes, check_type
from ..concurrency import alongside
from ..errors import SizeMismatch
from ..threads import gather_piece
from .content import Content, FilePieces, pieces_of
from .memory_budget import MemoryBudget, Share


class IncomingContent:
    """Content on its way in, which is read once. `IncomingContent.of` opens it.

    A source that fails ends the content early: `check` raises its error, and the caller decides about the bytes
    that came before. The cancellation of a reader that waits for the source counts as such a failure, and so
    does memory that is not free in time.

    Attributes:
        length: The announced size in bytes; None without an announcement.
        size: Bytes that came so far.
        ended: Whether the source has no more bytes.
    """

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        length: int | None,
        memory: MemoryBudget,
        share: Share,
        *,
        held: bool,
    ) -> None:
        self.size: int = 0
        self.ended: bool = False
        self.length = length
        self._broken: BaseException | None = None
        self._kept: deque[bytes | bytearray] = deque()  # gathered, and given back
        self._kept_size = 0
        self._held = held  # by the caller, so the budget does not count it
        self._memory = memory
        self._share = share
        self._pieces = pieces

    @classmethod
    @contextmanager
    def of(cls, content: Content, length: int | None, memory: MemoryBudget) -> Iterator[Self]:
        """Open content for reading; the end of the block gives its memory back.

        Args:
            content: The content, in any form of `Content`.
            length: Its size in bytes, if the sender announced it.
            memory: The budget that its memory comes from. Bytes that the caller holds already count as zero.

        Raises:
            SizeMismatch: The content is bytes, and `length` is another number.
            WrongType: The content is in another form, or the length is no number.
        """
        if length is not None and type(length) is not int:
            check_type("length", length, int, NoneType)
        held = isinstance(content, bytes | bytearray | memoryview)
        if isinstance(content, bytes | bytearray | memoryview):
            content = bytes(content)
            if length not in {None, len(content)}:
                raise SizeMismatch(length or 0, len(content))
            pieces = _one(content)
        else:
            pieces = pieces_of(content)
        try:
            with memory.share() as share:
                yield cls(pieces, length, memory, share, held=held)
        finally:
            if isinstance(pieces, FilePieces):
                pieces.close()

    @property
    def holds_memory(self) -> bool:
        """Whether it holds memory of the budget, for which other calls may wait."""
        return self._share.used > 0 or self._share.promised > 0

    async def small(self, size: int, *, beside: alongside[Any] | None = None) -> bytes | None:
        """Return all the bytes, if there are at most `size`; None if there are more, or memory ran out.

        After None, `piece` returns the bytes, and the caller may call this again with a larger size.

        Args:
            size: The most bytes to gather.
            beside: A request whose failure makes the content pointless; its error is raised at once.

        Raises:
            SizeMismatch: There are more bytes than announced, or fewer and the source did not break off.
        """
        while self._kept_size <= size and not self._share.short:
            piece = await self._next()
            if piece is None:
                gathered, self._kept, self._kept_size = self._kept, deque(), 0
                return bytes(gathered[0]) if len(gathered) == 1 else b"".join(gathered)
            gather_piece(self._kept, piece)
            self._kept_size += len(piece)
            if beside is not None and beside.done():
                beside.result()
        return None

    async def piece(self) -> bytes | None:
        """Return the next piece, or None at the end; a piece is never empty.

        No reference to the piece is left here.

        Raises:
            SizeMismatch: As for `small`.
        """
        if not self._kept:
            return await self._next()
        piece = bytes(self._kept.popleft())
        self._kept_size -= len(piece)
        return piece

    def put_back(self, piece: bytes) -> None:
        """Put a piece back; the next call of `piece` returns it again."""
        self._kept.appendleft(piece)
        self._kept_size += len(piece)

    async def more(self) -> bool:
        """Say whether there is another piece.

        Raises:
            SizeMismatch: As for `small`.
        """
        if not self._kept and (piece := await self._next()) is not None:
            self.put_back(piece)
        return bool(self._kept)

    async def whole(self) -> AsyncIterator[bytes]:
        """Yield all the remaining pieces; for callers that can't use a part of the content.

        Raises:
            SizeMismatch: As for `small`.
            BaseException: The error that ended the content early, if there was one.
        """
        while (piece := await self.piece()) is not None:
            yield piece
        self.check()

    def check(self) -> None:
        """Raise the error that ended the content early, if there was one."""
        broken, self._broken = self._broken, None
        if broken is not None:
            try:
                raise broken
            finally:
                del broken  # its traceback holds this frame

    # ---- memory

    def written(self, gathered: int) -> bool:
        """Note that a writer took the returned pieces; return whether it must store them now.

        Args:
            gathered: Bytes that the writer still has in memory.
        """
        if self._held:
            return False
        self._memory.keep(self._share, self._kept_size + gathered)
        return self._share.short and not self._kept

    def promise_now(self, size: int) -> bool:
        """Take all the memory for a writer that can't store the content in pieces; return whether it was free.

        Args:
            size: Bytes that the writer gathers.
        """
        return self._held or self._memory.promise_now(self._share, size)

    async def promise(self, size: int) -> None:
        """Take the memory as `promise_now` does, but wait until it is free.

        Raises:
            UploadMemoryFull: The memory was not free in time.
        """
        if not self._held:
            await self._memory.promise(self._share, size if self.length is None else min(size, self.length))

    async def _next(self) -> bytes | None:
        while not self.ended:
            try:
                if not self._held:
                    await self._memory.room(self._share)
                piece = await anext(self._pieces)
            except StopAsyncIteration:
                self.ended = True
                if self.length is not None and self.size < self.length:
                    raise SizeMismatch(self.length, self.size) from None
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 (kept, for `check` to raise)
                self.ended = True
                # Without this frame: it holds this content, which holds the error.
                self._broken = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
            else:
                piece = piece if type(piece) is bytes else as_bytes("content", piece)
                self.size += len(piece)
                if self.length is not None and self.size > self.length:
                    raise SizeMismatch(self.length, self.size)
                if piece:
                    if not self._held:
                        self._memory.arrived(self._share, len(piece))
                    return piece
        return None


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content
