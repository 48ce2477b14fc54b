"""Reading: one object whole, its size, time and etag, and streams."""

from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Final

import obstore

from revstore_async.driver import File, FileInfo, Reader
from revstore_async.errors import KeyNotFound, ObjectTooLarge, Unavailable

from ..buckets.reading import DELETED, REPLACED, NoRange, Source, Stream, VersionGone, resuming
from ..buckets.refusals import Refused
from .client import Client, quoted
from .errors import FAILED, MISSING, NO_RANGE, of_refused, translated
from .stores import Store

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, ObjectMeta

_CHUNK: Final = (
    256 << 10
)  # bytes that obstore's threads pass on at once; each passing takes time of the event loop
_PIECE: Final = 1 << 20  # the most bytes of an iteration's piece


async def stat(client: Client, key: str) -> FileInfo:
    """Return the store's metadata of an object.

    Raises:
        KeyNotFound: There is none.
    """
    return client.info_of(key, await head(client, key))


async def head(client: Client, key: str) -> "ObjectMeta":
    """Return an object's size, time and etag as obstore tells them.

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
    """Return an object's size, time and etag, and its attributes, which a plain HEAD of obstore leaves out.

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
        ObjectTooLarge: The object is larger than the limit.
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


def open_reader(
    client: Client, key: str, offset: int, length: int | None
) -> AbstractAsyncContextManager[Reader]:
    """Open a reader; see the contract."""
    options = client.options
    look, opens = partial(stat, client, key), partial(_opened, client, key)
    return resuming(Source(key, look, opens, options.retries, options.idle_timeout, _PIECE), offset, length)


async def _opened(client: Client, key: str, first: int, before: int | None, etag: str | None) -> Stream:
    try:
        return await _Stream.open(client, key, first, before, etag)
    except Refused as refused:
        if etag is None:
            raise (NoRange() if refused.code == NO_RANGE else of_refused(refused, key)) from refused
        gone = {MISSING: DELETED, FAILED: REPLACED}
        raise VersionGone(gone.get(refused.code, refused.code)) from refused


class _Stream:
    """One answer, with the slot that it holds; see `buckets.reading.Stream`."""

    info: FileInfo

    def __init__(self, client: Client, info: FileInfo, result: "GetResult") -> None:
        self.info = info
        self._client = client
        # A cancelled step may lose bytes; then the reader opens another stream.
        self._pieces = aiter(result.stream(min_chunk_size=_CHUNK))
        self._left = memoryview(b"")

    @classmethod
    async def open(
        cls, client: Client, key: str, first: int, before: int | None, etag: str | None
    ) -> "_Stream":
        """Ask for bytes; with an etag, for bytes of that version only.

        Raises:
            Refused: There is no object, no such range, or another version.
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

        _ = client.store  # it raises DriverClosed
        await client.slots.take_for_reader(key)
        try:
            result = await client.once(key, send)
            return cls(client, client.info_of(key, result.meta), result)
        except BaseException:
            client.slots.release_reader()
            raise

    async def read(self, size: int) -> bytes:
        """Return the next bytes; an empty result ends the answer."""
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
        """Give the slot back. The stream closes its connection, unless the answer was read to its end."""
        del self._pieces
        self._client.slots.release_reader()


async def is_there(client: Client, key: str) -> FileInfo | None:
    """Return the store's metadata of an object; None if it is missing."""
    try:
        return await stat(client, key)
    except KeyNotFound:
        return None
