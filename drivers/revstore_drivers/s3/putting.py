"""Puts one object in one request, and finds the object again where the answer to a conditional write was lost.

Each write that has a condition, and each multipart upload, carries a mark of its own as metadata. When an
answer was lost, or tells that the condition does not hold, the object is read back: it has the mark, or it does
not. Neither its content nor its etag could tell: another writer may have written the same bytes.
"""

import re
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from revstore_async.concurrency import settled
from revstore_async.driver import Condition, FileInfo, IfAbsent
from revstore_async.errors import (
    AccessDenied,
    ConditionFailed,
    KeyNotFound,
    RevstoreError,
    StorageFailure,
    Unavailable,
    Unsupported,
)

from ..buckets.refusals import Refused
from ..buckets.retries import GRACE, Tries
from .client import Client, time_of
from .errors import DRIVER, may_pass, was_never_sent
from .reading import head
from .wire.answers import Answer

MARK: Final = "revstore-write"
"""The name of the mark in an object's metadata."""

_LOST_TO_ITSELF: Final = {"PreconditionFailed", "NoSuchUpload"}  # what a write is told that was made already
_ETAG = re.compile(r"[A-Za-z0-9+/=._-]+")


new_mark: Final = partial(secrets.token_hex, 16)
"""Returns a mark that no other write has."""


def headers_of(key: str, condition: Condition | None) -> dict[str, Any]:
    """Return the parameters that say a condition.

    Raises:
        ConditionFailed: No version can have that etag; to a server `*` would mean any.
    """
    if condition is None:
        return {}
    if isinstance(condition, IfAbsent):
        return {"IfNoneMatch": "*"}
    if not _ETAG.fullmatch(condition.etag):
        raise ConditionFailed(key, str(condition))
    return {"IfMatch": f'"{condition.etag}"'}


async def put(client: Client, key: str, content: bytes, condition: Condition | None = None) -> FileInfo:
    """Store content in one request.

    Raises:
        ConditionFailed: The condition does not hold.
        Unsupported: The server takes none.
    """
    name = client.begin + key
    if condition is None:
        try:
            answer = await client.ask(
                "put_object", key, changes=True, Key=name, Body=content, **client.extras
            )
        except Refused as refused:
            raise Unavailable(key, refused.code) from refused
        return FileInfo(key, len(content), time_of(answer), answer["ETag"].strip('"'))
    if not client.conditional_put:
        raise Unsupported(DRIVER, "conditional writes on this server")
    written = Written(client, key, new_mark(), len(content))
    said = headers_of(key, condition)
    said["Metadata"] = {MARK: written.mark}
    send = partial(client.once, "put_object", key, Key=name, Body=content, **said, **client.extras)
    return await write_once(written, condition, send)


@dataclass(frozen=True, slots=True)
class Written:
    """The object of a write.

    Attributes:
        client: The way to the server.
        key: Its key.
        mark: The write's mark, by which the object is known again.
        size: Its bytes.
    """

    client: Client
    key: str
    mark: str
    size: int

    async def found(self) -> FileInfo | None:
        """Read back: return the stored object if it is this write's.

        Raises:
            Unavailable: The store does not tell. The write may have been done.
        """
        try:
            answer: Answer = await head(self.client, self.key)
        except KeyNotFound:
            return None
        except Unavailable:
            raise
        except RevstoreError as error:
            raise Unavailable(self.key, f"what became of a write can't be read: {error}") from error
        info = self.client.info_of(self.key, answer)
        return info if answer.get("Metadata", {}).get(MARK) == self.mark else None


async def write_once(
    written: Written, condition: Condition | None, send: Callable[[], Coroutine[Any, Any, Answer]]
) -> FileInfo:
    """Send a write until its outcome is known.

    Args:
        written: What it leaves, which `send` sees to.
        condition: Its condition, which `send` says to the server.
        send: Sends it once.

    Raises:
        ConditionFailed: The condition does not hold.
        Refused: The server refused it for another reason.
        Unavailable: It is not known whether it had its effect, or it had none.
    """
    client, key = written.client, written.key
    tries: Tries | None = None
    lost: Unavailable | None = None  # an answer that never came: the write may have had its effect
    failed: StorageFailure | None = None
    try:
        while True:
            try:
                await client.slots.take(key)
                try:
                    answer = await settled(send(), grace=GRACE)
                finally:
                    client.slots.release()
                return FileInfo(key, written.size, time_of(answer), answer["ETag"].strip('"'))
            except Refused as refused:
                # Also without a lost answer: a proxy may send a request twice, and the second loses to the first.
                twice = lost is not None or refused.code in _LOST_TO_ITSELF
                if twice and (info := await written.found()) is not None:
                    return info
                failed = _refusal(key, condition, refused, lost)
            except Unavailable as error:
                failed = error
                if not was_never_sent(error):
                    lost = error
                    if (info := await written.found()) is not None:
                        return info
            except RevstoreError as error:
                if not (isinstance(error, AccessDenied) and may_pass(error)):
                    if lost is None:
                        raise
                    # This try was refused; the one before may still have its effect.
                    raise Unavailable(key, f"an answer was lost, and then: {error}") from error
                failed = error
            tries = tries or Tries(client.options.retries)
            await tries.again(failed)
    finally:
        lost = failed = None  # their tracebacks hold this frame


def _refusal(
    key: str, condition: Condition | None, refused: Refused, lost: Unavailable | None
) -> Unavailable:
    """Return the error after which a write is tried again.

    Raises:
        ConditionFailed: It lost, and nothing of it was ever there.
        Refused: It was refused for another reason.
        Unavailable: It lost, but an earlier try of it may have been there.
    """
    if refused.code == "ConditionalRequestConflict":
        error = Unavailable(key, "other conditional writes are under way")
        error.__cause__ = refused
        return error
    if lost is not None:
        # Perhaps ours was there for a moment. To say that nothing was written could be wrong.
        raise Unavailable(key, "an answer was lost, and another write is there now") from lost
    # A missing key with If-Match is 404 on MinIO and AWS, 412 elsewhere.
    if condition is not None and refused.code in {"PreconditionFailed", "NoSuchKey"}:
        raise ConditionFailed(key, str(condition)) from refused
    try:
        raise refused
    finally:
        del refused  # its traceback holds this frame
