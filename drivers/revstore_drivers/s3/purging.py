"""Abandoned unfinished writes.

Suspended writes are found by their records. A writer that was killed before it was ever suspended has left
nothing but its upload, which is found where the server lists uploads by prefix, as AWS does; MinIO answers
that question for exact keys only, and removes such uploads by itself after a day.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from revstore_async.errors import Unsupported, WriterBusy, WriterNotFound

from ..buckets.key_order import SIDE, is_key
from ..buckets.refusals import Refused
from .client import Client, time_of, whole_second
from .errors import of_missing
from .listing import go_on, side_names
from .unfinished import LEASE, Held, Record, forget, hold, read
from .uploads import Upload
from .wire.answers import Answer


async def purge(client: Client, older_than: timedelta) -> int:
    """Remove unfinished writes where nothing was written for that long; return how many."""
    ages: dict[str, timedelta] = {}
    tails: dict[str, list[str]] = {}
    async for entry, now in side_names(client):
        name, _, part = client.key_of(entry["Key"]).removeprefix(SIDE).partition("/")
        age = now - whole_second(entry["LastModified"])
        ages[name] = min(ages.get(name, age), age)
        tails.setdefault(name, []).append(part)
    purged = 0
    kept: set[str] = set()
    for name, age in ages.items():
        purged += await _purge_suspended(client, name, tails[name], age, older_than, kept)
    return purged + await _purge_uploads(client, older_than, kept)


async def _purge_suspended(
    client: Client, name: str, parts: list[str], age: timedelta, older_than: timedelta, kept: set[str]
) -> bool:
    """Remove one suspended write if it is old; else note that its upload is still wanted."""
    try:
        record, _, renewed = await read(client, "", name)
    except WriterNotFound:
        # A tail without a record: its writer was killed between the two, or is between them now.
        if age >= max(older_than, LEASE):
            await forget(client, name, parts)
        return False
    try:
        held = await _held(client, name, record, old=age >= older_than, renewed=renewed)
    except (WriterBusy, WriterNotFound):
        kept.add(record.upload)
        return False
    await Upload(client, record.key, record.upload).abort()
    await forget(client, held.id, parts)
    return True


async def _held(client: Client, name: str, record: Record, *, old: bool, renewed: timedelta) -> Held:
    if not old or (record.holder and renewed <= LEASE):
        raise WriterBusy(record.key)
    return await hold(client, record.key, name, record.offset)


async def _purge_uploads(client: Client, older_than: timedelta, kept: set[str]) -> int:
    # Nothing says whether the writer of such an upload is at work, but the parts that it sends.
    least = max(older_than, LEASE)
    purged = 0
    async for entry, now in _uploads(client):
        key = client.key_of(entry["Key"])
        if not is_key(key) or entry["UploadId"] in kept or now - entry["Initiated"] < least:
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
    """Return when the newest part came; None if there are no parts."""
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
