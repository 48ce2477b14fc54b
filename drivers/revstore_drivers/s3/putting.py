"""One object in one request, with its condition; and what any conditional write does when an answer is lost.

Each write that has a condition, and each multipart upload, carries a mark of its own as metadata. When an
answer was lost, or tells that the condition does not hold, the object is read back: it has the mark, or it does
not. Neither its content nor its etag could tell: another writer may have written the same bytes.
"""

import re
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from revstore_async.driver import Condition, FileInfo, IfAbsent
from revstore_async.errors import (
    AccessDenied,
    ConditionFailed,
    KeyNotFound,
    RevstoreError,
    Unavailable,
    Unsupported,
)

from ..buckets.refusals import Refused
from ..buckets.retries import Tries, settled
from .client import Client
from .errors import DRIVER, may_pass, was_never_sent
from .reading import head
from .wire.answers import Answer

MARK: Final = "revstore-write"
"""The name of the mark in an object's metadata."""

_LOST_TO_ITSELF: Final = {"PreconditionFailed", "NoSuchUpload"}  # what a write is told that was made already
_ETAG = re.compile(r"[A-Za-z0-9+/=._-]+")


def new_mark() -> str:
    """Return a mark that no other write has."""
    return secrets.token_hex(16)


def headers_of(key: str, condition: Condition | None) -> dict[str, str]:
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
    if condition is None:
        try:
            answer = await client.ask(
                "put_object", key, changes=True, Key=client.name_of(key), Body=content, **client.extras()
            )
        except Refused as refused:
            raise Unavailable(key, refused.code) from refused
        return client.written(key, answer, len(content))
    if not client.options.honours("conditional_put"):
        raise Unsupported(DRIVER, "conditional writes on this server")
    said = headers_of(key, condition)
    mark = new_mark()

    async def send() -> FileInfo:
        answer = await client.once(
            "put_object",
            key,
            Key=client.name_of(key),
            Body=content,
            Metadata={MARK: mark},
            **said,
            **client.extras(),
        )
        return client.written(key, answer, len(content))

    return await write_once(Written(client, key, mark), condition, send)


@dataclass(frozen=True, slots=True)
class Written:
    """What a write leaves, and by what it is known again.

    Attributes:
        client: The way to the server.
        key: What is written.
        mark: The mark that the object is given.
    """

    client: Client
    key: str
    mark: str

    async def found(self) -> FileInfo | None:
        """Read back: return the stored object if it is this write's.

        Raises:
            Unavailable: That can't be told; whatever the reason, the write may have been done.
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
    written: Written, condition: Condition | None, send: Callable[[], Coroutine[Any, Any, FileInfo]]
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
    tries = Tries(client.options.retries)
    lost: Unavailable | None = None  # an answer that never came: the write may have had its effect
    try:
        while True:
            try:
                async with client.places.one(key):
                    return await settled(send())
            except Refused as refused:
                # Also without a lost answer: a proxy may send a request twice, and the second loses to the first.
                twice = lost is not None or refused.code in _LOST_TO_ITSELF
                if twice and (info := await written.found()) is not None:
                    return info
                await tries.again(_refusal(key, condition, refused, lost))
            except Unavailable as error:
                if not was_never_sent(error):
                    lost = error
                    if (info := await written.found()) is not None:
                        return info
                await tries.again(error)
            except RevstoreError as error:
                if isinstance(error, AccessDenied) and may_pass(error):
                    await tries.again(error)
                elif lost is None:
                    raise
                else:  # this try was refused; the one before may still have its effect
                    raise Unavailable(key, f"an answer was lost, and then: {error}") from error
    finally:
        lost = None  # its traceback holds this frame


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
