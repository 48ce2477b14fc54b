"""The record of a suspended write: it lies beside the keys, and another process goes on from it.

    <prefix>/,writers/<id>/record     JSON: the upload, the parts' etags, the tail's name, who is at work
    <prefix>/,writers/<id>/<tail>     the bytes that fill no part yet

The record changes by compare-and-swap only, so that one writer at a time is at work. Its `holder` is that
writer; any other writer waits, unless the record has not been renewed for longer than `LEASE`: then the holder
was killed. One that was not, only slow, is found out by the etags: the upload is completed from the parts that
its writer sent, or not at all.
"""

import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Final, Self

from revstore_async.driver import Condition, IfAbsent, IfMatch
from revstore_async.errors import ConditionFailed, KeyNotFound, Unavailable, WriterBusy, WriterNotFound

from ..buckets.key_order import SIDE
from .client import Client
from .deleting import delete_many
from .putting import put
from .reading import get, get_dated

LEASE: Final = timedelta(seconds=60)
"""For how long a writer that does not renew its record is taken to be at work."""

RENEWAL: Final = LEASE / 3
"""How old a record may get under a writer that writes."""

RECORD: Final = "record"


@dataclass(frozen=True, slots=True)
class Record:
    """The content of the record.

    Attributes:
        key: The key that is written.
        offset: The bytes that were accepted.
        part_size: Bytes of each part.
        upload: The multipart upload; empty where no part was sent.
        mark: The upload's mark.
        etags: Those of the parts, in order.
        tail: The name of the object that holds the bytes after the last part; empty for none.
        holder: The writer at work; empty if there is no such writer.
    """

    key: str
    offset: int
    part_size: int
    upload: str
    mark: str
    etags: tuple[str, ...]
    tail: str
    holder: str

    def encode(self) -> bytes:
        """Return it as it is stored."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Read it.

        Raises:
            ValueError: It is none.
        """
        try:
            said = json.loads(content)
            return cls(**{**said, "etags": tuple(said["etags"])})
        except (TypeError, KeyError) as error:
            raise ValueError("not a record of a writer") from error


@dataclass(frozen=True, slots=True)
class Held:
    """A record under which this process is at work.

    Attributes:
        id: The name of the unfinished write.
        etag: That of the record's last version; empty before it is first written.
        record: What it says.
    """

    id: str
    etag: str
    record: Record


def record_of(writer: str) -> str:
    """Return the key, outside of the grammar of keys, of a record."""
    return f"{SIDE}{writer}/{RECORD}"


def tail_of(writer: str, tail: str) -> str:
    """Return the key, outside of the grammar of keys, of a tail."""
    return f"{SIDE}{writer}/{tail}"


async def hold(client: Client, key: str, writer: str, offset: int) -> Held:
    """Take hold of a suspended write.

    Raises:
        WriterNotFound: It is gone, or has gone on since the state with this offset.
        WriterBusy: Another writer is at work on it.
    """
    record, etag = await _free(client, key, writer, offset)
    holder = secrets.token_hex(8)
    held = Held(writer, etag, replace(record, holder=holder))
    try:
        return await save(client, held)
    except ConditionFailed as error:
        raise WriterBusy(key) from error
    except BaseException:
        await let_go(client, held)
        raise


async def _free(client: Client, key: str, writer: str, offset: int) -> tuple[Record, str]:
    record, etag, age = await read(client, key, writer)
    if record.key != key or record.offset != offset:
        raise WriterNotFound(key)
    if record.holder and age <= LEASE:
        raise WriterBusy(key)
    return record, etag


async def read(client: Client, key: str, writer: str) -> tuple[Record, str, timedelta]:
    """Return a record, its etag, and its age by the store's clock.

    Raises:
        WriterNotFound: There is none.
    """
    try:
        file, now = await get_dated(client, record_of(writer))
        return Record.decode(file.content), file.info.etag, now - file.info.modified
    except (KeyNotFound, ValueError) as error:
        raise WriterNotFound(key) from error


async def save(client: Client, held: Held) -> Held:
    """Write the record anew, over the version that was last seen.

    Raises:
        ConditionFailed: Another writer has written it.
    """
    condition: Condition = IfMatch(held.etag) if held.etag else IfAbsent()
    info = await put(client, record_of(held.id), held.record.encode(), condition)
    return replace(held, etag=info.etag)


async def let_go(client: Client, held: Held) -> None:
    """Give up the hold, if it was got: a call that was broken off does not know."""
    key = held.record.key
    try:
        record, etag, _ = await read(client, key, held.id)
        if record.holder == held.record.holder:
            await save(client, Held(held.id, etag, replace(record, holder="")))
    except (WriterNotFound, ConditionFailed, Unavailable):
        return  # there is nothing to give up, or it ends with the lease


async def read_tail(client: Client, held: Held) -> bytes:
    """Return the bytes after the last part.

    Raises:
        WriterNotFound: They are gone.
    """
    if not held.record.tail:
        return b""
    try:
        return (await get(client, tail_of(held.id, held.record.tail))).content
    except KeyNotFound as error:
        raise WriterNotFound(held.record.key) from error


async def forget(client: Client, writer: str, tails: Iterable[str]) -> None:
    """Remove the record and tails of an unfinished write."""
    await delete_many(client, [record_of(writer), *(tail_of(writer, tail) for tail in tails)])
