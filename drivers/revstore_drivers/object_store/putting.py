"""One object in one request, with its condition.

Each write with a condition carries a mark of its own as metadata. When the answer was lost, the driver reads the
object back and looks for the mark. Neither content nor etag could tell, since another writer may have written the
same bytes.
"""

import re
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import obstore

from revstore_async.driver import Condition, FileInfo, IfAbsent
from revstore_async.errors import AccessDenied, ConditionFailed, KeyNotFound, Unavailable, Unsupported

from ..buckets.refusals import Refused
from ..buckets.retries import Tries
from .client import MARK, Client, bare, quoted
from .config import GOOGLE
from .errors import CONFLICT, FAILED, MISSING, of_refused, was_never_sent
from .reading import attributes, head, is_there
from .stores import Store

if TYPE_CHECKING:
    from obstore import PutMode, PutResult

_ETAG = re.compile(r"[A-Za-z0-9+/=._-]+")


def new_mark() -> str:
    """Return a mark that no other write has."""
    return secrets.token_hex(16)


async def put(client: Client, key: str, content: bytes, condition: Condition | None = None) -> FileInfo:
    """Store content in one request, two on Google if it is `IfMatch`.

    Raises:
        ConditionFailed: The condition does not hold.
        Unsupported: The server takes no conditions.
    """
    if condition is not None:
        return await _put_once(client, key, content, condition)

    async def send(store: Store) -> "tuple[PutResult, float, float]":
        return await _send(client, store, key, content, "overwrite", "")

    try:
        return await written(client, key, len(content), *await client.ask(key, send, changes=True))
    except Refused as refused:
        raise Unavailable(key, refused.code) from refused


async def _send(
    client: Client, store: Store, key: str, content: bytes, mode: "PutMode", mark: str
) -> "tuple[PutResult, float, float]":
    """Send the content; return the answer and the times of sending and of the answer."""
    sent = client.now()
    result = await obstore.put_async(
        store, key, content, mode=mode, attributes=client.attributes(mark), use_multipart=False
    )
    return result, sent, client.now()


async def written(
    client: Client, key: str, size: int, result: "PutResult", sent: float, answered: float
) -> FileInfo:
    """Return the info of a written object; ask the store for it where its clock is not known well enough.

    Args:
        client: The way to the server.
        key: The object's key.
        size: The object's size.
        result: obstore's answer.
        sent: The time when the write began.
        answered: The time of the answer.
    """
    etag = bare(result["e_tag"] or "")
    modified = client.clock.time_of(sent, answered)
    if modified is None:
        info = await is_there(client, key)
        if info is None or info.etag != etag:
            # Another writer replaced or deleted the object at once, so no read will tell the time of this version.
            # It is no later than that of the next one.
            later = datetime.now(UTC).replace(microsecond=0) if info is None else info.modified
            return FileInfo(key, size, later, etag)
        client.clock.learn(info.modified, sent, answered)
        return info
    return FileInfo(key, size, modified, etag)


async def _put_once(client: Client, key: str, content: bytes, condition: Condition) -> FileInfo:
    """Send a conditional write until its outcome is known."""
    if not client.options.conditional_put:
        raise Unsupported(client.options.scheme, "conditional writes on this server")
    mode = await _mode(client, key, condition)
    mark = new_mark()
    tries = Tries(client.options.retries)
    lost: Unavailable | None = None  # an answer that never came: the write may have had its effect

    async def send(store: Store) -> "tuple[PutResult, float, float]":
        return await _send(client, store, key, content, mode, mark)

    try:
        while True:
            try:
                return await written(client, key, len(content), *await client.change(key, send))
            except (Refused, Unavailable, AccessDenied) as error:
                if isinstance(error, Unavailable) and not was_never_sent(error):
                    lost = error
                if lost is not None and (info := await found(client, key, mark)) is not None:
                    return info
                await tries.again(_after(client, key, condition, error, lost))
    finally:
        lost = None  # its traceback holds this frame


async def _mode(client: Client, key: str, condition: Condition) -> "PutMode":
    if isinstance(condition, IfAbsent):
        return "create"
    if not _ETAG.fullmatch(condition.etag):  # a server takes `*` for any version
        raise ConditionFailed(key, str(condition))
    if client.options.scheme != GOOGLE:
        return {"e_tag": quoted(condition.etag)}
    # Google takes a generation instead of an etag. This is no check-then-act: the look finds the generation that
    # has the etag, and the write is judged by the server, against that generation.
    try:
        meta = await head(client, key)
    except KeyNotFound as error:
        raise ConditionFailed(key, str(condition)) from error
    if bare(meta["e_tag"] or "") != condition.etag:
        raise ConditionFailed(key, str(condition))
    return {"e_tag": meta["e_tag"], "version": meta["version"]}


def _after(
    client: Client,
    key: str,
    condition: Condition,
    error: Refused | Unavailable | AccessDenied,
    lost: Unavailable | None,
) -> Unavailable | AccessDenied:
    """Return the error after which a write is tried again.

    Raises:
        AccessDenied: The store denied the write, and will deny it again.
        ConditionFailed: Another writer won, and the store never held this write.
        Unavailable: Another writer won, but the store may have held an earlier try of this write.
    """
    if isinstance(error, Unavailable):
        return error
    if isinstance(error, AccessDenied):
        if client.may_pass():
            return error
        try:
            raise error
        finally:
            del error  # its traceback holds this frame
    if error.code == CONFLICT:
        again = Unavailable(key, error.code)
        again.__cause__ = error
        return again
    if lost is not None:
        # The store may have held this write for a moment. ConditionFailed would say that it never did.
        raise Unavailable(key, "an answer was lost, and another write is there now") from lost
    if error.code in {FAILED, MISSING}:  # some servers answer 404 for a missing key
        raise ConditionFailed(key, str(condition)) from error
    raise of_refused(error, key) from error


async def found(client: Client, key: str, mark: str) -> FileInfo | None:
    """Read back the object, and return it if this write stored it."""
    try:
        info, told = await attributes(client, key)
    except KeyNotFound:
        return None
    return info if told.get(MARK) == mark else None
