"""Aborts the uploads that killed processes left.

The driver finds them where the server lists uploads by prefix, as AWS does. MinIO lists uploads of exact keys only,
and removes unfinished uploads by itself after a day.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final

from revstore_async.driver import is_key
from revstore_async.errors import Unsupported

from ..buckets.refusals import Refused
from .client import Client, time_of
from .errors import of_missing
from .listing import go_on
from .uploads import Upload
from .wire.answers import Answer

_AT_WORK: Final = timedelta(seconds=60)
"""How long the driver takes the writer of an upload to be at work after its last part."""


async def purge(client: Client, older_than: timedelta) -> int:
    """Abort the uploads that received no part for that long; return their number.

    An upload does not tell whether its writer is at work, so this aborts no upload within a minute of its last
    part.
    """
    least = max(older_than, _AT_WORK)
    purged = 0
    async for entry, now in _uploads(client):
        key = client.key_of(entry["Key"])
        if not is_key(key) or now - entry["Initiated"] < least:
            continue
        last = await _last_part(client, key, entry["UploadId"])
        if last is None or now - last >= least:
            await Upload(client, key, entry["UploadId"]).abort()
            purged += 1
    return purged


async def _uploads(client: Client) -> AsyncIterator[tuple[Answer, datetime]]:
    parameters: dict[str, Any] = {"Prefix": client.name_of("")}
    while True:
        try:
            answer = await client.ask("list_multipart_uploads", "", **parameters)
        except Unsupported:
            return  # the server can't list them
        except Refused as refused:
            raise of_missing(refused, "") from refused
        for entry in answer.get("Uploads", ()):
            yield entry, time_of(answer)
        if not answer.get("IsTruncated"):
            return
        go_on("", parameters, answer, {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"})


async def _last_part(client: Client, key: str, upload: str) -> datetime | None:
    """Return the time of the newest part, or None if there are no parts."""
    parameters: dict[str, Any] = {"Key": client.name_of(key), "UploadId": upload}
    last: datetime | None = None
    while True:
        try:
            answer = await client.ask("list_parts", key, **parameters)
        except Refused:
            return last
        for part in answer.get("Parts", ()):
            last = part["LastModified"] if last is None else max(last, part["LastModified"])
        if not answer.get("IsTruncated"):
            return last
        go_on(key, parameters, answer, {"PartNumberMarker": "NextPartNumberMarker"})
