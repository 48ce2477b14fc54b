"""One object in one request, with its condition.

Each write that has a condition carries a mark of its own as metadata. When an answer was lost, the object is
read back: it has the mark, or it does not. Neither its content nor its etag could tell: another writer may have
written the same bytes.
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
        Unsupported: The server takes none.
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
    """Send it, and return when it was sent and when the answer came."""
    sent = client.now()
    result = await obstore.put_async(
        store, key, content, mode=mode, attributes=client.attributes(mark), use_multipart=False
    )
    return result, sent, client.now()


async def written(
    client: Client, key: str, size: int, result: "PutResult", sent: float, answered: float
) -> FileInfo:
    """Return the object as it is after a write; ask the store where its clock is not known well enough.

    Args:
        client: The way to the server.
        key: What was written.
        size: Its bytes.
        result: obstore's answer.
        sent: When the write was begun.
        answered: When the answer came.
    """
    etag = bare(result["e_tag"] or "")
    modified = client.clock.time_of(sent, answered)
    if modified is None:
        info = await is_there(client, key)
        if info is None or info.etag != etag:
            # It was written over, or deleted, at once: nobody will ever be told the time of this version.
            return FileInfo(key, size, datetime.now(UTC).replace(microsecond=0), etag)
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
    if not _ETAG.fullmatch(condition.etag):  # to a server `*` would mean any
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
        AccessDenied: It was denied, and will be.
        ConditionFailed: It lost, and nothing of it was ever there.
        Unavailable: It lost, but an earlier try of it may have been there.
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
        # Perhaps ours was there for a moment. To say that nothing was written could be wrong.
        raise Unavailable(key, "an answer was lost, and another write is there now") from lost
    if error.code in {FAILED, MISSING}:  # a missing key is a 404 on some servers
        raise ConditionFailed(key, str(condition)) from error
    raise of_refused(error, key) from error


async def found(client: Client, key: str, mark: str) -> FileInfo | None:
    """Read back the object, and return it if this write stored it."""
    try:
        info, told = await attributes(client, key)
    except KeyNotFound:
        return None
    return info if told.get(MARK) == mark else None
