"""Listings: pages in the order of bytes, from any text on."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from revstore_async.driver import FileInfo, Folder, Page
from revstore_async.errors import Unavailable

from ..arguments import check_listing
from ..buckets.key_order import Level, is_key, levels, place_of, start_of
from ..buckets.refusals import Refused
from .client import Client
from .errors import of_missing
from .wire.answers import Answer

_WITHOUT_GAPS: Final = frozenset({"AmazonS3"})
_TOKEN: Final = {"ContinuationToken": "NextContinuationToken"}


async def list_children(
    client: Client, prefix: str, start_after: str | None, limit: int
) -> Page[FileInfo | Folder]:
    """Return one page of the objects and folders directly below a prefix."""
    return await _page(client, check_listing(prefix, limit), start_after, limit, folders=True)


async def list_below(client: Client, prefix: str, start_after: str | None, limit: int) -> Page[FileInfo]:
    """Return one page of the objects below a prefix, at any depth."""
    page = await _page(client, check_listing(prefix, limit), start_after, limit, folders=False)
    return Page(tuple(entry for entry in page.entries if isinstance(entry, FileInfo)), page.next)


async def _page(
    client: Client, begin: str, start_after: str | None, limit: int, *, folders: bool
) -> Page[FileInfo | Folder]:
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
            return Page(tuple(found), place_of(found[-1]))
    return Page(tuple(found), None)


async def _ask(
    client: Client, begin: str, start: str, limit: int, *, folders: bool
) -> tuple[list[FileInfo | Folder], bool]:
    """Return entries, and whether there are more; some, if there are any."""
    parameters: dict[str, Any] = {"Prefix": client.name_of(begin), "MaxKeys": limit}
    if folders:
        parameters["Delimiter"] = "/"
    if start:
        parameters["StartAfter"] = client.name_of(start)
    while True:
        answer = await _asked(client, begin, parameters)
        entries = sorted(_entries(client, answer), key=place_of)
        more = bool(answer.get("IsTruncated"))
        if entries or not more:
            return entries, more
        # A page of nothing but other people's names: its end is no key to go on from, but the server's token.
        go_on(begin, parameters, answer, _TOKEN)


async def _asked(client: Client, begin: str, parameters: dict[str, Any]) -> Answer:
    try:
        return await client.ask("list_objects_v2", begin, **parameters)
    except Refused as refused:
        raise of_missing(refused, begin) from refused


def _entries(client: Client, answer: Answer) -> Iterator[FileInfo | Folder]:
    for content in answer.get("Contents", ()):
        key = client.key_of(content["Key"])
        if is_key(key):
            yield client.info_of(key, content)
    for common in answer.get("CommonPrefixes", ()):
        key = client.key_of(common["Prefix"]).removesuffix("/")
        if is_key(key):
            yield Folder(key)


def go_on(key: str, parameters: dict[str, Any], answer: Answer, places: Mapping[str, str]) -> None:
    """Have the parameters of a listing ask for the page after an answer.

    Args:
        key: What is listed, for messages.
        parameters: Those of the request.
        answer: It, which says that there is more.
        places: The parameters that say where to go on, and what the answer calls each.

    Raises:
        Unavailable: The answer does not say where, or says what was asked: nobody would come to an end.
    """
    following = {asked: answer.get(told) for asked, told in places.items()}
    if None in following.values() or following.items() <= parameters.items():
        raise Unavailable(key, "a listing has more, and does not say where to go on")
    parameters |= following


def batches(names: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield names, so many at a time."""
    batch: list[str] = []
    for name in names:
        batch.append(name)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
