"""Reads a whole object, its metadata, or a stream that outlives its connections."""

import asyncio
from contextlib import AbstractAsyncContextManager
from functools import partial
from io import BytesIO
from typing import Any

from aiobotocore.response import StreamingBody

from revstore_async.driver import File, FileInfo, Reader
from revstore_async.driver.deadline import SLOWEST
from revstore_async.errors import ObjectTooLarge, Unavailable, Unsupported

from ..buckets.reading import DELETED, REPLACED, NoRange, Source, Stream, VersionGone, resuming
from ..buckets.refusals import Refused
from ..buckets.retries import Tries, no_answer, seconds_for_try
from .client import Client
from .errors import DRIVER, SDK_ERRORS, of_failure, of_missing
from .wire.answers import Answer, Download
from .wire.times import date_of


async def stat(client: Client, key: str) -> FileInfo:
    """Return the store's metadata of an object.

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
        return await client.ask("head_object", key, Key=client.begin + key)
    except Refused as refused:
        await client.check_bucket()
        raise of_missing(refused, key) from refused


async def get(client: Client, key: str, limit: int | None = None) -> File:
    """Return an object, whole.

    Raises:
        KeyNotFound: There is none.
        ObjectTooLarge: It is over the limit.
    """
    tries: Tries | None = None
    while True:
        try:
            await client.slots.take(key)
            try:
                return await _get(client, key, limit)
            finally:
                client.slots.release()
        except Refused as refused:
            raise of_missing(refused, key) from refused
        except Unavailable as error:
            tries = tries or Tries(client.options.retries)
            await tries.again(error)


async def _get(client: Client, key: str, limit: int | None) -> File:
    answer = await client.once("get_object", key, Key=client.begin + key)
    info, content = client.info_of(key, answer), answer["Body"]
    if limit is not None and info.size > limit:
        if not isinstance(content, bytes):
            content.close()
        raise ObjectTooLarge(key, info.size, limit)
    if not isinstance(content, bytes):
        content = await _whole(client, key, content, info.size)
    if len(content) != info.size:
        raise Unavailable(key, f"{len(content)} of {info.size} bytes came")
    return File(info, content, date_of(answer["ResponseMetadata"]["HTTPHeaders"]))


async def _whole(client: Client, key: str, body: StreamingBody | Download, size: int) -> bytes:
    seconds = seconds_for_try(key, client.options.read_timeout + size / SLOWEST)
    try:
        async with asyncio.timeout(seconds):
            try:
                content: bytes = await body.read()
            except SDK_ERRORS as error:
                raise of_failure(error, key, client.options.shown) from error
            return content
    except TimeoutError as error:
        raise no_answer(key, seconds, error) from error
    finally:
        body.close()  # of one that was read to its end, the connection is in the pool already


def open_reader(
    client: Client, key: str, offset: int, length: int | None
) -> AbstractAsyncContextManager[Reader]:
    """Open a reader; see the contract."""
    options = client.options
    look, opens = partial(stat, client, key), partial(_opened, client, key)
    return resuming(Source(key, look, opens, options.retries, options.idle_timeout), offset, length)


async def _opened(client: Client, key: str, first: int, before: int | None, etag: str | None) -> Stream:
    try:
        return await _Stream.open(client, key, first, before, etag)
    except Refused as refused:
        if etag is None:
            raise (NoRange() if refused.code == "InvalidRange" else of_missing(refused, key)) from refused
        raise VersionGone(DELETED if refused.code == "NoSuchKey" else REPLACED) from refused


class _Stream:
    """One answer on its way, with the slot that it holds; see `resuming.Stream`."""

    info: FileInfo

    def __init__(self, client: Client, key: str, body: StreamingBody | Download | bytes) -> None:
        self._client = client
        self._key = key
        self._body = BytesIO(body) if isinstance(body, bytes) else body

    @classmethod
    async def open(
        cls, client: Client, key: str, first: int, before: int | None, etag: str | None
    ) -> "_Stream":
        """Ask for bytes; of the version that has the etag, if one is given.

        Raises:
            Refused: There are none: no object, no such range, another version.
        """
        parameters: dict[str, Any] = {"Key": client.begin + key}
        if first > 0 or before is not None:
            parameters["Range"] = f"bytes={first}-{'' if before is None else before - 1}"
        if etag is not None:
            parameters["IfMatch"] = f'"{etag}"'
        await client.slots.take_for_reader(key)
        try:
            answer = await client.once("get_object", key, **parameters)
        except BaseException:
            client.slots.release_reader()
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
        if isinstance(self._body, BytesIO):
            return self._body.read(size)
        try:
            piece: bytes = await self._body.read(size)
        except SDK_ERRORS as error:
            raise of_failure(error, self._key, self._client.options.shown) from error
        return piece

    def close(self) -> None:
        """Give connection and slot back; an unread answer costs the connection."""
        self._body.close()
        self._client.slots.release_reader()


def _whole_size(answer: Answer, first: int) -> int:
    if (told := answer.get("ContentRange")) is None:
        if first > 0:
            # Some servers answer a range with the whole: never are those bytes taken for these.
            raise Unsupported(DRIVER, "ranges: the server answered one with the whole object")
        return int(answer["ContentLength"])
    begin, _, size = str(told).removeprefix("bytes ").partition("/")
    if begin.partition("-")[0] != str(first) or not size.isdecimal():
        raise Unsupported(DRIVER, f"ranges: the server answered one from {first} on with {told!r}")
    return int(size)
