"""Long histories of tags, written as the engine writes them."""

from datetime import datetime, timedelta

from revstore_async import CURRENT, Digest, Driver, TagEvent
from revstore_async.formats.names import RepositoryName, Tag
from revstore_async.layout import TagClaim, TagCreated, TagCurrent, TagDeleted, TagIndex, TagReplaced

NAME, TAG = RepositoryName("library/hello"), Tag("latest")


def revision(number: int) -> Digest:
    """Return the revision that the tag got by a change."""
    return Digest.of(str(number).encode())


async def change(store: Driver, clock: list[datetime], changes: int, *, flat: int = 0) -> None:
    """Change a tag every 2 seconds, each time to another revision; every tenth change is a deletion.

    Args:
        store: The store.
        clock: Its time, as the only item.
        changes: How many changes.
        flat: How many of the first changes an engine of before makes, without claims.
    """
    key = CURRENT.key(TagCurrent(NAME, TAG))
    seen: TagEvent | None = None
    for number in range(changes):
        clock[0] += timedelta(seconds=1)
        record = _record(number, seen, flat=number < flat)
        await store.put(CURRENT.key(record), b"")
        if number >= flat:
            await store.put(CURRENT.key(TagClaim(NAME, TAG, number)), CURRENT.key(record).encode())
        clock[0] += timedelta(seconds=1)
        if isinstance(record, TagDeleted):
            await store.delete(key)
            seen = None
            continue
        digest = revision(number)
        await store.put(CURRENT.key(TagIndex(NAME, TAG, digest)), digest.encode())
        seen = TagEvent(digest, (await store.put(key, digest.encode())).modified)


def _record(number: int, seen: TagEvent | None, *, flat: bool) -> TagCreated | TagReplaced | TagDeleted:
    about = (NAME, TAG, number)
    if seen is None or seen.digest is None:
        return TagCreated(*about, revision(number), flat=flat)
    if number % 10:
        return TagReplaced(*about, seen.since, seen.digest, revision(number), flat=flat)
    return TagDeleted(*about, seen.since, seen.digest, flat=flat)
