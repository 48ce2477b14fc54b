"""Runs hashing and parsing in threads when they would block the event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, MutableSequence
from contextlib import asynccontextmanager
from typing import Final, Protocol, Self, TypeVar

from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

from .concurrency import in_thread, look_at, wait_despite_cancellation
from .formats.digest import Digest, new_hasher

R = TypeVar("R")

HASH_INLINE: Final = 1 << 17
"""Bytes up to which hashing in the event loop is cheaper than in a thread."""

HASH_TOGETHER: Final = 1 << 19
"""Bytes of a stream that go to a thread at once: fewer would cost more switches of threads."""

_TINY: Final = 1 << 10  # bytes of a piece that is not worth an object of its own
_TOGETHER: Final = 1 << 16

READ_INLINE: Final = 1 << 12
"""Bytes of a document up to which the event loop reads and writes it: below a millisecond with a signature."""

LARGE: Final = 1 << 16
"""Bytes of a document above which few are read at once: parsed, it takes up to some 30 times its size."""

LARGE_AT_ONCE: Final = 2
"""Large documents that an event loop reads or writes at once. More are no faster: reading holds the interpreter."""

_LARGE: Final = RunVar[CapacityLimiter]("revstore_async.threads")


class Hasher(Protocol):
    """Computes a digest: hashlib's objects, and `ResumableDigest`."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take more bytes."""

    def hexdigest(self) -> str:
        """Return the digest of the bytes so far, as lower-case hexadecimal digits."""


async def in_thread_if_large(size: int, function: Callable[..., R], *args: object) -> R:
    """Call a function that reads or writes a document of this many bytes; in a thread when it is large.

    Documents of more than `LARGE` bytes take turns, `LARGE_AT_ONCE` at once, and never hold smaller ones up. A
    waiting document holds no thread.
    """
    if size <= READ_INLINE:
        return function(*args)
    return await in_thread(function, *args, limiter=None if size <= LARGE else _turns())


def _turns() -> CapacityLimiter:
    try:
        return _LARGE.get()
    except LookupError:
        turns = CapacityLimiter(LARGE_AT_ONCE)
        _LARGE.set(turns)
        return turns


async def update(hasher: Hasher, data: bytes | bytearray | memoryview) -> None:
    """Feed data to a hasher; in a thread when it is large."""
    if len(data) <= HASH_INLINE:
        hasher.update(data)
    else:
        await in_thread(hasher.update, data)


async def digest_of(content: bytes | bytearray | memoryview, algorithm: str = "sha256") -> Digest:
    """Return the digest of content; computed in a thread when it is large.

    Raises:
        InvalidDigest: The engine can't compute the algorithm.
    """
    hasher = new_hasher(algorithm)
    await update(hasher, content)
    return Digest(f"{algorithm}:{hasher.hexdigest()}")


def gather_piece(pieces: MutableSequence[bytes | bytearray], piece: bytes) -> None:
    """Add a piece to the gathered ones; small pieces are joined, as each takes more memory than its bytes."""
    if len(piece) >= _TINY:
        pieces.append(piece)
    elif pieces and isinstance(pieces[-1], bytearray) and len(pieces[-1]) < _TOGETHER:
        pieces[-1] += piece
    else:
        pieces.append(bytearray(piece))


class StreamHasher:
    """Hashes a stream in threads while its next bytes come: in order, one batch at a time.

    It holds two batches at most, and the piece that filled them.
    """

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher
        self._gathered: list[bytes | bytearray] = []
        self._size = 0
        self._under_way: asyncio.Future[None] | None = None

    @classmethod
    @asynccontextmanager
    async def beside(cls, hasher: Hasher) -> AsyncIterator[Self]:
        """Hash in the block, which owns the hasher; at its end no hashing is under way."""
        hashing = cls(hasher)
        try:
            yield hashing
        finally:
            await hashing.stop()

    async def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take more bytes. If they fill a batch, wait for the batch before."""
        gather_piece(self._gathered, bytes(data))  # no copy, of bytes
        self._size += len(data)
        if self._size >= HASH_TOGETHER:
            await self._begin()

    async def hexdigest(self) -> str:
        """Return the digest of the bytes so far, as lower-case hexadecimal digits."""
        await self.flush()
        return self._hasher.hexdigest()

    async def flush(self) -> None:
        """Wait until the hasher has taken all the bytes so far."""
        if self._size > HASH_INLINE:
            await self._begin()
        await self._wait()
        self._hash(self._taken())

    async def stop(self) -> None:
        """Drop the gathered bytes, and wait until no hashing is under way. It may be called more than once."""
        self._taken()
        under_way, self._under_way = self._under_way, None
        if under_way is None:
            return
        interrupted = await wait_despite_cancellation([under_way])  # it takes a millisecond
        look_at(under_way)
        try:
            if interrupted is not None:
                raise interrupted
        finally:
            del interrupted  # its traceback holds this frame

    async def _begin(self) -> None:
        await self._wait()
        loop = asyncio.get_running_loop()
        self._under_way = loop.run_in_executor(None, self._hash, self._taken())

    async def _wait(self) -> None:
        if self._under_way is not None:
            await asyncio.wait([self._under_way])  # cancelled, it goes on
            self._under_way.result()
            self._under_way = None

    def _taken(self) -> list[bytes | bytearray]:
        gathered, self._gathered, self._size = self._gathered, [], 0
        return gathered

    def _hash(self, batch: list[bytes | bytearray]) -> None:
        for data in batch:
            self._hasher.update(data)
