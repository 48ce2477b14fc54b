"""Reading: one object whole, what is known of it, and streams that outlive their connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from aiobotocore.response import StreamingBody

from revstore_async.driver import File, FileInfo, Reader
from revstore_async.errors import ObjectTooLarge, Unavailable, Unsupported

from ..arguments import check_range, check_read
from ..turns import Tries
from .answers import Answer, Download
from .client import Client, time_of
from .errors import DRIVER, Refused, of_missing, translated


async def stat(client: Client, key: str) -> FileInfo:
    """Return what the store knows of an object.

    Raises:
        KeyNotFound: There is none.
    """
    return client.info_of(key, await head(client, key))


async def head(client: Client, key: str) -> Answer:
    """Return the answer to a HEAD.

    Raises:
        KeyNotFound: There is no such object.
    """
    try:
        return await client.ask("head_object", key, Key=client.name_of(key))
    except Refused as refused:
        await client.check_bucket()
        raise of_missing(refused, key) from refused


async def get(client: Client, key: str, limit: int | None = None) -> File:
    """Return an object, whole.

    Raises:
        KeyNotFound: There is none.
        ObjectTooLarge: It is over the limit.
    """
    return (await get_dated(client, key, limit))[0]


async def get_dated(client: Client, key: str, limit: int | None = None) -> tuple[File, datetime]:
    """Return an object, whole, and when the store answered, by its clock."""
    tries = Tries(client.options.retries)
    while True:
        try:
            async with client.places.one():
                return await _get(client, key, limit)
        except Refused as refused:
            raise of_missing(refused, key) from refused
        except Unavailable as error:
            await tries.again(error)


async def _get(client: Client, key: str, limit: int | None) -> tuple[File, datetime]:
    answer = await client.once("get_object", key, Key=client.name_of(key))
    body = answer["Body"]
    try:
        info = client.info_of(key, answer)
        if limit is not None and info.size > limit:
            raise ObjectTooLarge(key, info.size, limit)
        with translated(key, client.options.shown):
            content: bytes = await body.read()
    finally:
        body.close()  # of one that was read to its end, the connection is in the pool already
    if len(content) != info.size:
        raise Unavailable(key, f"{len(content)} of {info.size} bytes came")
    return File(info, content), time_of(answer)


@asynccontextmanager
async def open_reader(client: Client, key: str, offset: int, length: int | None) -> AsyncIterator[Reader]:
    """Open a reader; see the contract."""
    check_range(key, 0, length, 0)
    reader = await _opened(client, key, offset, length)
    try:
        yield reader
    finally:
        reader.stop()


async def _opened(client: Client, key: str, offset: int, length: int | None) -> "S3Reader":
    last = None if length is None else offset + length - 1
    tries = Tries(client.options.retries)
    while True:
        if offset < 0 or length == 0:  # what no range can say
            info = await stat(client, key)
            return S3Reader(client, info, offset, check_range(key, offset, length, info.size), None)
        try:
            stream = await _Stream.open(client, key, offset, last, None)
        except Refused as refused:
            if refused.code != "InvalidRange":
                raise of_missing(refused, key) from refused
            info = await stat(client, key)
            if (end := check_range(key, offset, length, info.size)) == offset:
                return S3Reader(client, info, offset, end, None)
            # It has grown since: ask again.
            await tries.again(Unavailable(key, "it is written again and again"))
        except Unavailable as error:
            await tries.again(error)
        else:
            end = check_range(key, offset, length, stream.info.size)
            return S3Reader(client, stream.info, offset, end, stream)


class _Stream:
    """One answer on its way, with the place it holds.

    Attributes:
        info: What the store knows of the version that is read.
    """

    info: FileInfo

    def __init__(self, client: Client, key: str, body: StreamingBody | Download) -> None:
        self._client = client
        self._key = key
        self._body = body

    @classmethod
    async def open(
        cls, client: Client, key: str, first: int, last: int | None, etag: str | None
    ) -> "_Stream":
        """Ask for bytes; of the version that has the etag, if one is given.

        Raises:
            Refused: There are none: no object, no such range, another version.
        """
        parameters: dict[str, Any] = {"Key": client.name_of(key)}
        if first > 0 or last is not None:
            parameters["Range"] = f"bytes={first}-{'' if last is None else last}"
        if etag is not None:
            parameters["IfMatch"] = f'"{etag}"'
        await client.places.take_for_reader()
        try:
            answer = await client.once("get_object", key, **parameters)
        except BaseException:
            client.places.give_back()
            raise
        stream = cls(client, key, answer["Body"])
        try:
            stream.info = client.info_of(key, answer, _whole_size(answer, first))
        except BaseException:
            stream.close()
            raise
        return stream

    async def read(self, size: int) -> bytes:
        """Return the next bytes; none where the answer ends."""
        with translated(self._key, self._client.options.shown):
            piece: bytes = await self._body.read(size)
        return piece

    def close(self) -> None:
        """Give connection and place back; an unread answer costs the connection."""
        self._body.close()
        self._client.places.give_back()


def _whole_size(answer: Answer, first: int) -> int:
    if (told := answer.get("ContentRange")) is None:
        if first > 0:
            # Some servers answer a range with the whole: never are those bytes taken for these.
            raise Unsupported(DRIVER, "ranges: the server answered one with the whole object")
        return int(answer["ContentLength"])
    begin, _, size = str(told).removeprefix("bytes ").partition("/")
    if int(begin.partition("-")[0]) != first:
        raise Unsupported(DRIVER, f"ranges: the server answered one from {first} on with {told}")
    return int(size)


class S3Reader(Reader):
    """Reads one version over as many connections as it takes.

    A connection that breaks is followed by another, from the first byte that is missing, of the same version:
    a mixture of two is never given. So is one that was given back because nobody read for a while: a slow
    client keeps no connection from others, and no lock on the object, under which MinIO holds up its writers.
    """

    def __init__(self, client: Client, info: FileInfo, at: int, end: int, stream: _Stream | None) -> None:
        self.info = info
        self._client = client
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
        self._watch(client.options.idle_timeout)

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

    async def _next(self, size: int) -> bytes:
        tries: Tries | None = None
        while True:
            try:
                return await self._piece(size)
            except Refused as refused:
                gone = refused.code == "NoSuchKey"
                reason = "it was deleted while it was read" if gone else "another version is there now"
                raise Unavailable(self.info.key, reason) from refused
            except Unavailable as error:
                self._let_go()
                tries = tries or Tries(self._client.options.retries)
                await tries.again(error)
            except BaseException:
                self._let_go()
                raise

    async def _piece(self, size: int) -> bytes:
        key = self.info.key
        if self._closed:
            raise Unavailable(key, "its reader is closed")
        if self._stream is None:
            self._stream = await _Stream.open(self._client, key, self._at, self._end - 1, self.info.etag)
            if self._stream.info.etag != self.info.etag:  # a server that ignores the condition
                raise Unavailable(key, "another version is there now")
            self._watch(self._client.options.idle_timeout)
        piece = await self._stream.read(size)
        if not piece:
            raise Unavailable(key, f"the answer ended at byte {self._at} of {self._end}")
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
        """Look after so many seconds whether somebody reads; a timer for each piece would cost more than it."""
        if self._stream is not None:
            self._timer = asyncio.get_running_loop().call_later(wait, self._look)

    def _look(self) -> None:
        wait = self._client.options.idle_timeout
        left = wait if self._reading else self._rested + wait - self._clock()
        if left > 0:
            self._watch(left)
        else:
            self._let_go()
