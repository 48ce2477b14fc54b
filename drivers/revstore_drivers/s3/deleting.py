"""Deletes one object, or a thousand in one request."""

from collections.abc import Sequence
from copy import copy
from datetime import datetime
from functools import partial
from typing import Final

from revstore_async.concurrency import gather_map
from revstore_async.driver import IfMatch
from revstore_async.errors import ConditionFailed, DeletionExpired, RevstoreError, Unavailable, Unsupported

from ..buckets.refusals import Refused
from ..buckets.retries import Tries
from .client import Client
from .errors import DRIVER, of_code, of_missing, tells_lateness, was_never_sent
from .putting import headers_of
from .wire.answers import Answer
from .wire.times import date_of

_GONE: Final = frozenset({"NoSuchKey", "NoSuchVersion"})


async def delete(
    client: Client, key: str, condition: IfMatch | None = None, until: datetime | None = None
) -> None:
    """Delete an object, if it is there; with a condition, only the version that has the etag.

    Raises:
        ConditionFailed: Another version is there, or none.
        DeletionExpired: A try came after the end.
        Unsupported: The server takes no condition.
    """
    if condition is not None:
        await _delete_version(client, key, condition, until)
        return
    try:
        await client.ask("delete_object", key, changes=True, until=until, Key=client.begin + key)
    except Refused as refused:
        if refused.code not in _GONE:
            raise of_missing(refused, key) from refused


async def _delete_version(client: Client, key: str, condition: IfMatch, until: datetime | None) -> None:
    if not client.options.honours("conditional_delete"):
        raise Unsupported(DRIVER, "conditional deletion on this server")
    said = headers_of(key, condition)
    tries = Tries(client.options.retries)
    lost: Unavailable | None = None
    while True:
        try:
            await client.ask(
                "delete_object", key, changes=True, retries=0, until=until, Key=client.name_of(key), **said
            )
        except Refused as refused:
            if refused.code == "ConditionalRequestConflict":
                await tries.again(Unavailable(key, "other conditional writes are under way"))
            elif lost is None:
                raise ConditionFailed(key, str(condition)) from refused
            else:
                # It may be gone by this very call, or by another; to say that nothing was deleted could be wrong.
                raise Unavailable(key, "an answer was lost, and that version is not there now") from lost
        except Unavailable as error:
            if not was_never_sent(error):
                if until is not None:
                    raise
                lost = error
            await tries.again(error)
        else:
            return


async def delete_many(client: Client, keys: Sequence[str], until: datetime | None = None) -> None:
    """Delete up to a thousand objects in one request, or each in its own where the server lacks `bulk_delete`."""
    if not client.options.honours("bulk_delete"):
        await gather_map(partial(delete, client, until=until), keys, limit=client.options.pool)
        return
    # The answer is 200 whatever becomes of each key: those that failed are named in it, and tried again.
    tries = Tries(client.options.retries)
    while True:
        named = [{"Key": client.begin + key} for key in keys]
        try:
            answer = await client.ask(
                "delete_objects",
                keys[0],
                changes=True,
                until=until,
                Delete={"Objects": named, "Quiet": True},
            )
        except Refused as refused:
            raise of_missing(refused, keys[0]) from refused
        failed = _failed(client, answer, until)
        if not failed:
            return
        keys = [*failed]
        error = _worst([*failed.values()])
        if until is not None and not was_never_sent(error):
            raise error
        await tries.again(error)


def _failed(client: Client, answer: Answer, until: datetime | None) -> dict[str, RevstoreError]:
    """Return the error of each key that was not deleted.

    Raises:
        DeletionExpired: The request came after its end.
    """
    failed: dict[str, RevstoreError] = {}
    date = date_of(answer["ResponseMetadata"]["HTTPHeaders"])
    for told in answer.get("Errors", ()):
        key = client.key_of(told["Key"])
        if until is not None and tells_lateness(told, date, until):
            raise DeletionExpired(key, until)
        if told.get("Code") not in _GONE:
            failed[key] = of_code(str(told.get("Code")), key)
    return failed


def _worst(errors: Sequence[RevstoreError]) -> Unavailable:
    """Return an error after which all may be tried again; raise one after which that is no use."""
    again: Unavailable | None = None
    for error in errors:
        if not isinstance(error, Unavailable):
            raise copy(error)  # the callers' frames hold the other
        again = error
    assert again is not None  # noqa: S101 (there is one at least)
    return again
