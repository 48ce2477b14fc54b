"""Deletes one object, or a thousand in one request."""

from collections.abc import Sequence
from copy import copy
from functools import partial
from typing import Final

from revstore_async.concurrency import gather_map
from revstore_async.driver import IfMatch
from revstore_async.errors import ConditionFailed, RevstoreError, Unavailable, Unsupported

from ..buckets.refusals import Refused
from ..buckets.retries import Tries
from .client import Client
from .errors import DRIVER, of_code, of_missing, was_never_sent
from .putting import headers_of

_GONE: Final = frozenset({"NoSuchKey", "NoSuchVersion"})


async def delete(client: Client, key: str, condition: IfMatch | None = None) -> None:
    """Delete an object, if it is there; with a condition, only the version that has the etag.

    Raises:
        ConditionFailed: Another version is there, or none.
        Unsupported: The server takes no condition.
    """
    if condition is not None:
        await _delete_version(client, key, condition)
        return
    try:
        await client.ask("delete_object", key, changes=True, Key=client.begin + key)
    except Refused as refused:
        if refused.code not in _GONE:
            raise of_missing(refused, key) from refused


async def _delete_version(client: Client, key: str, condition: IfMatch) -> None:
    if not client.options.honours("conditional_delete"):
        raise Unsupported(DRIVER, "conditional deletion on this server")
    said = headers_of(key, condition)
    tries = Tries(client.options.retries)
    lost: Unavailable | None = None
    while True:
        try:
            await client.ask("delete_object", key, changes=True, retries=0, Key=client.name_of(key), **said)
        except Refused as refused:
            if refused.code == "ConditionalRequestConflict":
                await tries.again(Unavailable(key, "other conditional writes are under way"))
            elif lost is None:
                raise ConditionFailed(key, str(condition)) from refused
            else:
                # It may be gone by this very call, or by another; to say that nothing was deleted could be wrong.
                raise Unavailable(key, "an answer was lost, and that version is not there now") from lost
        except Unavailable as error:
            lost = lost if was_never_sent(error) else error
            await tries.again(error)
        else:
            return


async def delete_many(client: Client, keys: Sequence[str]) -> None:
    """Delete up to a thousand objects in one request, or each in its own where the server lacks `bulk_delete`."""
    if not client.options.honours("bulk_delete"):
        await gather_map(partial(delete, client), keys, limit=client.options.pool)
        return
    # The answer is 200 whatever becomes of each key: those that failed are named in it, and tried again.
    tries = Tries(client.options.retries)
    while True:
        named = [{"Key": client.begin + key} for key in keys]
        try:
            answer = await client.ask(
                "delete_objects", keys[0], changes=True, Delete={"Objects": named, "Quiet": True}
            )
        except Refused as refused:
            raise of_missing(refused, keys[0]) from refused
        failed = {
            client.key_of(error["Key"]): of_code(str(error.get("Code")), client.key_of(error["Key"]))
            for error in answer.get("Errors", ())
            if error.get("Code") not in _GONE
        }
        if not failed:
            return
        keys = [*failed]
        await tries.again(_worst([*failed.values()]))


def _worst(errors: Sequence[RevstoreError]) -> Unavailable:
    """Return an error after which all may be tried again; raise one after which that is no use."""
    again: Unavailable | None = None
    for error in errors:
        if not isinstance(error, Unavailable):
            raise copy(error)  # the callers' frames hold the other
        again = error
    assert again is not None  # noqa: S101 (there is one at least)
    return again
