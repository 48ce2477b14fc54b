"""Reading: one object whole, what is known of it, and streams."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import obstore

from revstore_async.driver import File, FileInfo, Reader
from revstore_async.errors import KeyNotFound, ObjectTooLarge, Unavailable

from ..arguments import check_range
from ..resuming import ResumingReader, Stream, VersionGone
from ..turns import Tries
from .client import Client, quoted
from .errors import FAILED, MISSING, NO_RANGE, Refused, of_refused, translated
from .stores import Store

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, ObjectMeta

_CHUNK: Final = 256 << 10  # bytes that come from obstore's threads at once; each time costs the loop a turn


async def stat(client: Client, key: str) -> FileInfo:
    """Return what the store knows of an object.

    Raises:
        KeyNotFound: There is none.
    """
    return client.info_of(key, await head(client, key))


async def head(client: Client, key: str) -> "ObjectMeta":
    """Return what obstore tells of an object.

    Raises:
        KeyNotFound: There is none.
    """

    async def send(store: Store) -> "ObjectMeta":
        return await obstore.head_async(store, key)

    try:
        return await client.ask(key, send)
    except Refused as refused:
        await client.check_bucket()
        raise of_refused(refused, key) from refused


async def attributes(client: Client, key: str) -> "tuple[FileInfo, dict[str, str]]":
    """Return what the store knows of an object, and its attributes, which a plain HEAD of obstore leaves out.

    Raises:
        KeyNotFound: There is none.
    """

    async def send(store: Store) -> "GetResult":
        return await obstore.get_async(store, key, options={"head": True})

    try:
        result = await client.ask(key, send)
    except Refused as refused:
        await client.check_bucket()
        raise of_refused(refused, key) from refused
    return client.info_of(key, result.meta), dict(result.attributes)


async def get(client: Client, key: str, limit: int | None) -> File:
    """Return an object, whole.

    Raises:
        KeyNotFound: There is none.
        ObjectTooLarge: It is over the limit.
    """

    async def send(store: Store) -> File:
        result = await obstore.get_async(store, key)
        info = client.info_of(key, result.meta)
        if limit is not None and info.size > limit:
            raise ObjectTooLarge(key, info.size, limit)
        content = (await result.bytes_async()).to_bytes()
        if len(content) != info.size:
            raise Unavailable(key, f"{len(content)} of {info.size} bytes came")
        return File(info, content)

    try:
        return await client.ask(key, send)
    except Refused as refused:
        raise of_refused(refused, key) from refused


@asynccontextmanager
async def open_reader(client: Client, key: str, offset: int, length: int | None) -> AsyncIterator[Reader]:
    """Open a reader; see the contract."""
    check_range(key, 0, length, 0)
    reader = await _opened(client, key, offset, length)
    try:
        yield reader
    finally:
        reader.stop()


async def _opened(client: Client, key: str, offset: int, length: int | None) -> ResumingReader:
    tries = Tries(client.options.retries)
    while True:
        if offset < 0 or length == 0:  # what no range can say
            info = await stat(client, key)
            return _reader(client, info, offset, check_range(key, offset, length, info.size), None)
        try:
            stream = await _Stream.open(client, key, offset, None if length is None else offset + length)
        except Refused as refused:
            if refused.code != NO_RANGE:
                raise of_refused(refused, key) from refused
            info = await stat(client, key)
            if (end := check_range(key, offset, length, info.size)) == offset:
                return _reader(client, info, offset, end, None)
            # It has grown since: ask again.
            await tries.again(Unavailable(key, "it is written again and again"))
        except Unavailable as error:
            await tries.again(error)
        else:
            end = check_range(key, offset, length, stream.info.size)
            return _reader(client, stream.info, offset, end, stream)


def _reader(client: Client, info: FileInfo, at: int, end: int, stream: "_Stream | None") -> ResumingReader:
    async def opens(first: int, before: int) -> Stream:
        try:
            return await _Stream.open(client, info.key, first, before, info.etag)
        except Refused as refused:
            gone = {MISSING: "it was deleted while it was read", FAILED: "another version is there now"}
            raise VersionGone(gone.get(refused.code, refused.code)) from refused

    options = client.options
    return ResumingReader(
        info, at, end, stream, opens=opens, retries=options.retries, idle=options.idle_timeout
    )


class _Stream:
    """One answer on its way, with the place it holds; see `resuming.Stream`."""

    info: FileInfo

    def __init__(self, client: Client, info: FileInfo, result: "GetResult") -> None:
        self.info = info
        self._client = client
        # A stream whose step was cancelled may have lost bytes: its reader opens another one then.
        self._pieces = aiter(result.stream(min_chunk_size=_CHUNK))
        self._left = memoryview(b"")

    @classmethod
    async def open(
        cls, client: Client, key: str, first: int, before: int | None, etag: str | None = None
    ) -> "_Stream":
        """Ask for bytes; of the version that has the etag, if one is given.

        Raises:
            Refused: There are none: no object, no such range, another version.
        """
        asked: GetOptions = {}
        if before is not None:
            asked["range"] = (first, before)
        elif first > 0:
            asked["range"] = {"offset": first}
        if etag is not None:
            asked["if_match"] = quoted(etag)

        async def send(store: Store) -> "GetResult":
            return await obstore.get_async(store, key, options=asked)

        _ = client.store  # is it open at all?
        await client.places.take_for_reader()
        try:
            result = await client.once(key, send)
            return cls(client, client.info_of(key, result.meta), result)
        except BaseException:
            client.places.give_back()
            raise

    async def read(self, size: int) -> bytes:
        """Return the next bytes; none where the answer ends."""
        if not self._left:
            options = self._client.options
            with translated(self.info.key, options.shown, options.scheme):
                came = await anext(self._pieces, b"")
            if len(came) <= size:
                return came
            self._left = memoryview(came)
        piece, self._left = self._left[:size], self._left[size:]
        return bytes(piece)

    def close(self) -> None:
        """Give connection and place back; an unread answer costs the connection, which goes with the stream."""
        del self._pieces
        self._client.places.give_back()


async def is_there(client: Client, key: str) -> FileInfo | None:
    """Return what the store knows of an object; None where there is none."""
    try:
        return await stat(client, key)
    except KeyNotFound:
        return None
