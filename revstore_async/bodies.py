"""Content as it arrives from somebody: bytes, or pieces from a source that may break off or say a wrong length."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from .errors import InvalidArgument, SizeMismatch

MEMORY: Final = 1 << 30
"""Bytes that are gathered of all content on its way in, where no other number is given."""


class Budget:
    """Bytes of memory that calls share. Who wants more than is left waits, in the order of asking.

    A call takes once what it may need at most, before it begins: calls that each hold some and wait for more
    would wait for one another.

    Args:
        size: All there are.

    Raises:
        InvalidArgument: There are none.

    Attributes:
        size: All there are.
        taken: Those that calls hold.
    """

    def __init__(self, size: int = MEMORY) -> None:
        if size < 1:
            raise InvalidArgument("memory", size, "nobody could send anything")
        self.size: Final = size
        self.taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Hold so many bytes for the block; all there are where it is more."""
        size = min(size, self.size)
        if size:
            await self._take(size)
        try:
            yield
        finally:
            self.taken -= size
            self._wake()

    async def _take(self, size: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.taken -= size  # it had its turn, and has no use for it
            self._wake()
            raise

    def _wake(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done():  # else its caller was cancelled while it waited
                if self.taken + size > self.size:
                    return
                self.taken += size
                turn.set_result(None)
            self._waiting.popleft()


class Body:
    """Content on its way in, read once.

    A source that fails ends the content early: `broken` says so, and whoever reads decides what becomes of the
    bytes before. The cancellation of a reader that waits for the source counts as that, too.

    Attributes:
        length: The size that was announced; None where none was.
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
        self.length = length
        self._kept: deque[bytes] = deque()  # gathered, and given back
        self._held = isinstance(content, bytes | bytearray | memoryview)
        if isinstance(content, bytes | bytearray | memoryview):
            if length not in {None, len(content)}:
                raise SizeMismatch(length or 0, len(content))
            self._pieces: AsyncIterator[bytes] = _one(bytes(content))
        else:
            self._pieces = aiter(content)

    def memory(self, size: int) -> int:
        """Return the bytes that it may hold at most while so many are gathered of it; see `Budget`.

        None of bytes that somebody else holds anyway.
        """
        if self._held:
            return 0
        return size if self.length is None else min(size, self.length)

    async def small(self, size: int, *, beside: "asyncio.Task[Any] | None" = None) -> bytes | None:
        """Return all the bytes where they are at most so many; None where there are more, which `piece` returns.

        Args:
            size: Bytes that are gathered.
            beside: A question whose answer may make the content pointless; its failure is raised at once.

        Raises:
            SizeMismatch: There are more bytes than announced, or fewer and the source did not break off.
        """
        gathered: list[bytes] = []
        while (piece := await self.piece()) is not None:
            gathered.append(piece)
            if self.size > size:
                self._kept.extend(gathered)
                return None
            if beside is not None and beside.done():
                beside.result()
        return gathered[0] if len(gathered) == 1 else b"".join(gathered)

    async def piece(self) -> bytes | None:
        """Return the next piece, none empty; None at the end. Nothing is held here of what was returned.

        Raises:
            SizeMismatch: As for `small`.
        """
        return self._kept.popleft() if self._kept else await self._next()

    def put_back(self, piece: bytes) -> None:
        """Have `piece` return a piece once more."""
        self._kept.appendleft(piece)

    async def whole(self) -> AsyncIterator[bytes]:
        """Yield all that is still to come; for whoever has no use for a part of the content.

        Raises:
            SizeMismatch: As for `small`.
            BaseException: What broke the content off, if anything did.
        """
        while (piece := await self.piece()) is not None:
            yield piece
        self.check()

    def check(self) -> None:
        """Raise what broke the content off, if anything did."""
        if self.broken is not None:
            raise self.broken

    async def _next(self) -> bytes | None:
        while not self.ended:
            try:
                piece = await anext(self._pieces)
            except StopAsyncIteration:
                self.ended = True
                if self.length is not None and self.size < self.length:
                    raise SizeMismatch(self.length, self.size) from None
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 (kept, for `check` to raise)
                self.ended, self.broken = True, error
            else:
                self.size += len(piece)
                if self.length is not None and self.size > self.length:
                    raise SizeMismatch(self.length, self.size)
                if piece:
                    return piece
        return None


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content
