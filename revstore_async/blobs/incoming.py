"""Content as it arrives from a caller: bytes, or pieces from a source that may break off or say a wrong length."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Self

from ..concurrency import Beside
from ..errors import SizeMismatch
from ..threads import gather_piece
from .memory_budget import MemoryBudget, Share


class Body:
    """Content on its way in, read once. `Body.of` opens it.

    A source that fails ends the content early: `check` tells, and the caller decides what becomes of the bytes
    before. The cancellation of a reader that waits for the source counts as that, too; so does memory that is not
    there in time.

    Attributes:
        length: The size that was announced; None where none was.
        size: Bytes that came so far.
        ended: Whether all came that will come.
    """

    def __init__(
        self,
        content: bytes | AsyncIterable[bytes],
        length: int | None,
        memory: MemoryBudget,
        share: Share,
    ) -> None:
        self.size = 0
        self.ended = False
        self.length = length
        self._broken: BaseException | None = None
        self._kept: deque[bytes | bytearray] = deque()  # gathered, and given back
        self._kept_size = 0
        self._held = isinstance(
            content, bytes | bytearray | memoryview
        )  # by the caller, so no memory of ours
        self._memory = memory
        self._share = share
        if isinstance(content, bytes | bytearray | memoryview):
            if length not in {None, len(content)}:
                raise SizeMismatch(length or 0, len(content))
            self._pieces: AsyncIterator[bytes] = _one(bytes(content))
        else:
            self._pieces = aiter(content)

    @classmethod
    @contextmanager
    def of(
        cls, content: bytes | AsyncIterable[bytes], length: int | None, memory: MemoryBudget
    ) -> Iterator[Self]:
        """Take content; its memory is held until the block ends.

        Args:
            content: The bytes, or an asynchronous iterable of them of any length.
            length: Its size in bytes, where the sender announced it.
            memory: Where its memory comes from. Bytes that the caller holds anyway take none.

        Raises:
            SizeMismatch: These bytes are not so many.
        """
        with memory.share() as share:
            yield cls(content, length, memory, share)

    async def small(self, size: int, *, beside: Beside[Any] | None = None) -> bytes | None:
        """Return all the bytes where they are at most so many.

        None where there are more, or memory ran out; `piece` returns them then. It may be called again with more.

        Args:
            size: Bytes that are gathered.
            beside: A question whose answer may make the content pointless; its failure is raised at once.

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
        """Return the next piece, none empty; None at the end. Nothing is held here of what was returned.

        Raises:
            SizeMismatch: As for `small`.
        """
        if not self._kept:
            return await self._next()
        piece = bytes(self._kept.popleft())
        self._kept_size -= len(piece)
        return piece

    def put_back(self, piece: bytes) -> None:
        """Have `piece` return a piece once more."""
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
        """Yield all that is still to come; for callers that have no use for a part of the content.

        Raises:
            SizeMismatch: As for `small`.
            BaseException: What broke the content off, if anything did.
        """
        while (piece := await self.piece()) is not None:
            yield piece
        self.check()

    def check(self) -> None:
        """Raise what broke the content off, if anything did."""
        broken, self._broken = self._broken, None
        if broken is not None:
            try:
                raise broken
            finally:
                del broken  # its traceback holds this frame

    # ---- memory

    def written(self, gathered: int) -> bool:
        """Take note that a writer took the pieces that were returned; say whether the writer is to store them now.

        Args:
            gathered: Bytes that the writer still has in memory.
        """
        if self._held:
            return False
        self._memory.keep(self._share, self._kept_size + gathered)
        return self._share.short and not self._kept

    def promise_now(self, size: int) -> bool:
        """Take all the memory of a writer that can store no piece of the content; say whether it is there.

        Args:
            size: Bytes that the writer gathers.
        """
        return self._held or self._memory.promise_now(self._share, size)

    async def promise(self, size: int) -> None:
        """Take the memory as `promise_now` does; wait for it.

        Raises:
            UploadMemoryFull: It was not there in time.
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
                # Without this frame: it holds the body, which holds the error.
                self._broken = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
            else:
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
