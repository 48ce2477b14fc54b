"""A reader that outlives its connections, for drivers of object storage."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from revstore_async.driver import FileInfo, Reader
from revstore_async.errors import Unavailable

from ..arguments import check_range, check_read
from .retries import Tries

DELETED: Final = "it was deleted while it was read"
REPLACED: Final = "another version is there now"


class Stream(Protocol):
    """One answer on its way.

    Attributes:
        info: What the store knows of the version that it is of.
    """

    info: FileInfo

    async def read(self, size: int) -> bytes:
        """Return the next bytes, at most so many; none where the answer ends.

        Raises:
            Unavailable: It broke off.
        """

    def close(self) -> None:
        """Give the connection back."""


class VersionGone(Exception):
    """The object is not there any more. It never leaves the driver.

    Attributes:
        reason: What is there instead, such as `DELETED` or `REPLACED`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoRange(Exception):
    """The object has no byte at the first offset of the range. It never leaves the driver."""


@dataclass(frozen=True, slots=True)
class Source:
    """An object to read, and how.

    Attributes:
        key: Its key.
        stat: Asks what the store knows of it.
        open: Opens a stream from one byte to before another, None for the end; of any version, or of the one that
            has the etag. It raises `NoRange` and the driver's errors for the former, `VersionGone` for the latter.
        retries: Tries after the first, for each read.
        idle: Seconds after which an idle reader gives its connection back.
        piece: Bytes that an iteration takes at most.
    """

    key: str
    stat: Callable[[], Awaitable[FileInfo]]
    open: Callable[[int, int | None, str | None], Awaitable[Stream]]
    retries: int
    idle: float
    piece: int = 1 << 18


@asynccontextmanager
async def resuming(source: Source, offset: int, length: int | None) -> AsyncIterator[Reader]:
    """Open a reader; see the contract. One request, where the range is in the object and has a byte."""
    check_range(source.key, 0, length, 0)
    reader = await _opened(source, offset, length)
    try:
        yield reader
    finally:
        reader.stop()


async def _opened(source: Source, offset: int, length: int | None) -> "ResumingReader":
    key = source.key
    tries = Tries(source.retries)
    while True:
        if offset < 0 or length == 0:  # what no range can say
            info = await source.stat()
            return ResumingReader(source, info, offset, check_range(key, offset, length, info.size), None)
        try:
            stream = await source.open(offset, None if length is None else offset + length, None)
        except NoRange:
            info = await source.stat()
            if (end := check_range(key, offset, length, info.size)) == offset:
                return ResumingReader(source, info, offset, end, None)
            # It has grown since: ask again.
            await tries.again(Unavailable(key, "it is written again and again"))
        except Unavailable as error:
            await tries.again(error)
        else:
            end = check_range(key, offset, length, stream.info.size)
            return ResumingReader(source, stream.info, offset, end, stream)


class ResumingReader(Reader):
    """Reads one version over as many connections as it takes.

    A connection that breaks is followed by another, from the first byte that is missing, of the same version:
    a mixture of two is never given. The same holds for a connection that was given back after a while without a
    read: a slow client keeps no connection from others. It keeps no lock on the object either, under which
    MinIO holds up its writers.
    """

    def __init__(self, source: Source, info: FileInfo, at: int, end: int, stream: Stream | None) -> None:
        """Go on from a stream.

        Args:
            source: The object.
            info: The version that is read.
            at: The first byte to read.
            end: The byte before which to end.
            stream: Gives the bytes from there on; None to open one when it is read.
        """
        self.info = info
        self._source = source
        self._at = at
        self._end = end
        self._stream = stream
        self._clock = asyncio.get_running_loop().time
        self._reading = False
        self._rested = self._clock()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        if at >= end:
            self._let_go()
        self._watch(source.idle)

    async def read(self, size: int = 1 << 16, /) -> bytes:
        check_read(size)
        if self._at >= self._end:
            return b""
        self._reading = True
        try:
            piece = await self._next(min(size, self._end - self._at))
        finally:
            self._reading = False
            self._rested = self._clock()
        self._at += len(piece)
        if self._at >= self._end:
            self._let_go()
        return piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.read(self._source.piece):
            yield piece

    async def _next(self, size: int) -> bytes:
        tries: Tries | None = None
        while True:
            try:
                return await self._piece(size)
            except VersionGone as gone:
                self._let_go()
                raise Unavailable(self.info.key, gone.reason) from gone
            except Unavailable as error:
                self._let_go()
                tries = tries or Tries(self._source.retries)
                await tries.again(error)
            except BaseException:
                self._let_go()
                raise

    async def _piece(self, size: int) -> bytes:
        if self._closed:
            raise VersionGone("its reader is closed")
        if self._stream is None:
            self._stream = await self._source.open(self._at, self._end, self.info.etag)
            if self._stream.info.etag != self.info.etag:  # a server that ignores the condition
                raise VersionGone(REPLACED)
            self._watch(self._source.idle)
        piece = await self._stream.read(size)
        if not piece:
            raise Unavailable(self.info.key, f"the answer ended at byte {self._at} of {self._end}")
        return piece

    def stop(self) -> None:
        """Close it."""
        self._closed = True
        self._let_go()

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _watch(self, wait: float) -> None:
        """Look after so many seconds whether the caller reads; a timer for each piece costs more."""
        if self._stream is not None:
            self._timer = asyncio.get_running_loop().call_later(wait, self._look)

    def _look(self) -> None:
        wait = self._source.idle
        left = wait if self._reading else self._rested + wait - self._clock()
        if left > 0:
            self._watch(left)
        else:
            self._let_go()
