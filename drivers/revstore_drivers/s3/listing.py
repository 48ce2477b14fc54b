"""Listings: pages in the order of bytes, from any text on."""

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any, Final, cast

from revstore_async.driver import FileInfo, Folder, Page, is_key
from revstore_async.errors import Unavailable

from ..buckets.key_order import Level, levels, position_of, start_of
from ..buckets.refusals import Refused
from .client import Client
from .errors import of_missing
from .wire.answers import Answer

_WITHOUT_GAPS: Final = frozenset({"AmazonS3"})
_BY_KEY: Final = attrgetter("key")
_TOKEN: Final = {"ContinuationToken": "NextContinuationToken"}


async def list_below(client: Client, begin: str, start_after: str | None, limit: int) -> Page[FileInfo]:
    """Return one page of all objects below `begin`."""
    page = await list_children(client, begin, start_after, limit, folders=False)
    return cast("Page[FileInfo]", page)


async def list_children(
    client: Client, begin: str, start_after: str | None, limit: int, *, folders: bool = True
) -> Page[FileInfo | Folder]:
    """Return one page of the objects and folders right below `begin`; without folders, of all objects below it."""
    start = start_of(begin, start_after, folders=folders)
    if start is None:
        return Page((), None)
    # MinIO (2026-02) loses entries for who goes on inside of `a/`: it counts what is in `a-b/` and `a.b/`, which
    # come before `a/`, as if it had given it, and leaves out as much of what follows. So there what follows is
    # asked for folder by folder, where no such name is in the way. Behind a proxy MinIO can't be told by its
    # name, so it is the others that are named.
    parts: Iterable[Level] = [Level(begin, start, "")]
    if "/" in start[len(begin) :] and client.server not in _WITHOUT_GAPS:
        parts = levels(begin, start, folders=folders)
    found: list[FileInfo | Folder] = []
    for part in parts:
        more = len(found) == limit
        if part.between and not more:
            first, _ = await _ask(client, part.between, "", 1, folders=folders)
            found += [entry for entry in first if entry.key == part.between and isinstance(entry, FileInfo)]
            more = len(found) == limit
        if not more:
            entries, more = await _ask(client, part.begin, part.start, limit - len(found), folders=folders)
            found += entries
        if more:
            return Page(tuple(found), position_of(found[-1]))
    return Page(tuple(found), None)


async def _ask(
    client: Client, begin: str, start: str, limit: int, *, folders: bool
) -> tuple[list[FileInfo | Folder], bool]:
    """Return entries, and whether there are more; some, if there are any."""
    parameters: dict[str, Any] = {"Prefix": client.begin + begin, "MaxKeys": limit}
    if folders:
        parameters["Delimiter"] = "/"
    if start:
        parameters["StartAfter"] = client.begin + start
    while True:
        try:
            answer = await client.ask("list_objects_v2", begin, **parameters)
        except Refused as refused:
            raise of_missing(refused, begin) from refused
        entries = _entries_of(client, answer)
        more = bool(answer.get("IsTruncated"))
        if entries or not more:
            return entries, more
        # A page of nothing but other people's names: its end is no key to go on from, but the server's token.
        go_on(begin, parameters, answer, _TOKEN)


def _entries_of(client: Client, answer: Answer) -> list[FileInfo | Folder]:
    """Return the entries of a page in order, without the names that are no keys."""
    past = len(client.begin)
    entries: list[FileInfo | Folder] = []
    for content in answer.get("Contents", ()):
        key = content["Key"][past:]
        if is_key(key):
            time, etag = content["LastModified"], content["ETag"].strip('"')
            entries.append(FileInfo(key, content["Size"], time.replace(microsecond=0), etag))
    folders = answer.get("CommonPrefixes")
    if not folders:
        entries.sort(key=_BY_KEY)
        return entries
    for common in folders:
        key = common["Prefix"][past:].removesuffix("/")
        if is_key(key):
            entries.append(Folder(key))
    entries.sort(key=position_of)
    return entries


def go_on(key: str, parameters: dict[str, Any], answer: Answer, positions: Mapping[str, str]) -> None:
    """Have the parameters of a listing ask for the page after an answer.

    Args:
        key: What is listed, for messages.
        parameters: Those of the request.
        answer: It, which says that there is more.
        positions: The parameters that say where to go on, and what the answer calls each.

    Raises:
        Unavailable: The answer does not say where, or names the same position again, which would never end.
    """
    following = {asked: answer.get(told) for asked, told in positions.items()}
    if None in following.values() or following.items() <= parameters.items():
        raise Unavailable(key, "a listing has more, and does not say where to go on")
    parameters |= following
