"""A reader that outlives its connections, for drivers of object storage."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol

from revstore_async.driver import FileInfo, Reader
from revstore_async.errors import Unavailable

from .arguments import check_read
from .turns import Tries

_PIECE: Final = 1 << 20  # bytes that an iteration takes at most: what comes at once need not be parted


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
    """What is read is not there any more. It never leaves the driver.

    Attributes:
        reason: What is there instead.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Open = Callable[[int, int], Awaitable[Stream]]
"""Opens a stream of the version that is read, from one byte to before another; or raises `VersionGone`."""


class ResumingReader(Reader):
    """Reads one version over as many connections as it takes.

    A connection that breaks is followed by another, from the first byte that is missing, of the same version:
    a mixture of two is never given. So is one that was given back because nobody read for a while: a slow
    client keeps no connection from others, and no lock on the object, under which MinIO holds up its writers.
    """

    def __init__(
        self,
        info: FileInfo,
        at: int,
        end: int,
        stream: Stream | None,
        *,
        opens: Open,
        retries: int,
        idle: float,
    ) -> None:
        """Go on from a stream.

        Args:
            info: The version that is read.
            at: The first byte to read.
            end: The byte before which to end.
            stream: Gives the bytes from there on; None to open one when it is read.
            opens: Opens the streams that follow.
            retries: Tries after the first, for each read.
            idle: Seconds after which a reader that nobody reads gives its connection back.
        """
        self.info = info
        self._at = at
        self._end = end
        self._stream = stream
        self._opens = opens
        self._retries = retries
        self._idle = idle
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        if at >= end:
            self._let_go()
        self._rest()

    async def read(self, size: int = 1 << 16, /) -> bytes:
        check_read(size)
        if self._at >= self._end:
            return b""
        self._wake()
        tries = Tries(self._retries)
        while True:
            try:
                piece = await self._piece(min(size, self._end - self._at))
                break
            except VersionGone as gone:
                raise Unavailable(self.info.key, gone.reason) from gone
            except Unavailable as error:
                self._let_go()
                await tries.again(error)
            except BaseException:
                self._let_go()
                raise
        self._at += len(piece)
        if self._at >= self._end:
            self._let_go()
        else:
            self._rest()
        return piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.read(_PIECE):
            yield piece

    async def _piece(self, size: int) -> bytes:
        key = self.info.key
        if self._closed:
            raise VersionGone("its reader is closed")
        if self._stream is None:
            self._stream = await self._opens(self._at, self._end)
            if self._stream.info.etag != self.info.etag:  # a server that ignores the condition
                self._let_go()
                raise VersionGone("another version is there now")
        piece = await self._stream.read(size)
        if not piece:
            raise Unavailable(key, f"the answer ended at byte {self._at} of {self._end}")
        return piece

    def stop(self) -> None:
        """Close it."""
        self._closed = True
        self._wake()
        self._let_go()

    def _let_go(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _rest(self) -> None:
        if self._stream is not None:
            self._timer = asyncio.get_running_loop().call_later(self._idle, self._let_go)

    def _wake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
