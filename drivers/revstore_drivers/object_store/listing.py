"""Listings: pages in the order of bytes, from any text on.

obstore lists all objects below a prefix from a position on, 1,000 a request, or all direct children from the
beginning to the end. The driver makes a page of children out of the former: it skips the content of a folder by a
request that begins behind it. Where folders are so full that this takes many requests, the driver asks for all
children instead.

obstore drops the `/` at the end of a name. Some programs store an object `a/`, so that the folder shows; obstore
lists it as `a`. The driver leaves it out if its position shows that, and otherwise lists it as an empty object.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

import obstore

from revstore_async.driver import FileInfo, Folder, Page, is_key

from ..buckets.key_order import Level, levels, position_of, start_of
from ..buckets.refusals import Refused
from .client import Client
from .errors import of_refused
from .reading import is_there
from .stores import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obstore import ListResult, ObjectMeta

    Listed = Sequence[ObjectMeta]

_AT_ONCE: Final = 1000  # objects of one request
_FEW: Final = 50  # fewer children than this among 1,000 objects count as full folders
_BEHIND: Final = "~"  # it comes after every character of a key

Entry = FileInfo | Folder
SomeEntry = TypeVar("SomeEntry", FileInfo, Entry)


async def list_below(client: Client, begin: str, start_after: str | None, limit: int) -> Page[FileInfo]:
    """Return one page of all objects below `begin`."""
    start = start_of(begin, start_after, folders=False)
    if start is None:
        return Page((), None)
    found: list[FileInfo] = []
    more = False
    for part in _levels(client, begin, start):
        if len(found) >= limit:
            return _page(found, limit, more=True)
        found += await _between(client, part)
        position, more = part.start, True
        while more and len(found) < limit:
            metas, more = await _ask(client, part.begin, position)
            for meta in _in_order(metas, position):
                position = meta["path"]
                if is_key(position):
                    found.append(client.info_of(position, meta))
    return _page(found, limit, more=more)


async def list_children(client: Client, begin: str, start_after: str | None, limit: int) -> Page[Entry]:
    """Return one page of the objects and folders right below `begin`."""
    position = start_of(begin, start_after, folders=True)
    if position is None:
        return Page((), None)
    found: list[Entry] = []
    more = tried = False
    while len(found) < limit:
        name, slash, _ = position[len(begin) :].partition("/")
        if slash and client.options.may_be_minio:  # go on behind that folder, see `_levels`
            (part,) = levels(begin, f"{begin}{name}/", folders=True)
            found += await _between(client, part)
            position = part.start
        metas, more = await _ask(client, begin, position)
        for meta in _in_order(metas, position):
            position = meta["path"]
            found += _child(client, begin, position, meta, found)
        if not more:
            break
        position = _behind(begin, position)
        if len(found) < min(_FEW, limit) and not tried:
            tried = True
            children = await _children(client, begin.removesuffix("/"))
            if len(children) < _AT_ONCE:  # MinIO may lose some between one request and the next
                last = position_of(found[-1]) if found else position
                found += [entry for entry in children if position_of(entry) > last]
                more = False
                break
    return _page(found, limit, more=more)


def _behind(begin: str, name: str) -> str:
    """Return the position behind the folder of a name, or behind the name if it is in no folder."""
    first, slash, _ = name[len(begin) :].partition("/")
    return max(name, f"{begin}{first}/{_BEHIND}") if slash else name


def _page(found: list[SomeEntry], limit: int, *, more: bool) -> Page[SomeEntry]:
    entries = tuple(found[:limit])
    return Page(entries, position_of(entries[-1]) if more or len(found) > limit else None)


def _levels(client: Client, begin: str, start: str) -> Iterable[Level]:
    # MinIO (2026-02) loses entries of a listing that begins inside of `a/` where there are names such as `a-b/`;
    # see the driver `s3`. obstore does not tell the server's name. So the driver asks each server that may be MinIO
    # folder by folder.
    if client.options.may_be_minio and "/" in start[len(begin) :]:
        return levels(begin, start, folders=False)
    return [Level(begin, start, "")]


async def _between(client: Client, part: Level) -> list[FileInfo]:
    found = await is_there(client, part.between) if is_key(part.between) else None
    return [found] if found else []


def _in_order(metas: "Listed", position: str) -> "Iterator[ObjectMeta]":
    """Yield the objects that come after a position and after the object before, and no others."""
    for meta in metas:
        if meta["path"] > position:
            position = meta["path"]
            yield meta


def _child(client: Client, begin: str, name: str, meta: "ObjectMeta", found: list[Entry]) -> list[Entry]:
    """Return the children that a name adds."""
    first, slash, _ = name[len(begin) :].partition("/")
    child: Entry = Folder(begin + first) if slash else client.info_of(name, meta)
    known = bool(found) and position_of(found[-1]) >= position_of(child)
    return [child] if is_key(child.key) and not known else []


async def _ask(client: Client, begin: str, position: str) -> "tuple[Listed, bool]":
    """Return names of one request, and whether there may be more."""
    # obstore would drop a `/` at the end; no key lies between `/` and `,`.
    offset = position + "," if position.endswith("/") else position

    async def send(store: Store) -> "Listed":
        stream = obstore.list(store, begin.rstrip("/") or None, offset=offset or None, chunk_size=_AT_ONCE)
        return await anext(stream, [])

    try:
        metas = await client.ask(begin, send)
    except Refused as refused:
        raise of_refused(refused, begin) from refused
    return metas, len(metas) >= _AT_ONCE


async def _children(client: Client, prefix: str) -> list[Entry]:
    """Return all children in order; one request for each 1,000 objects and folders."""

    async def send(store: Store) -> "ListResult[Listed]":
        return await obstore.list_with_delimiter_async(store, prefix or None)

    try:
        result = await client.ask(prefix, send)
    except Refused as refused:
        raise of_refused(refused, prefix) from refused
    found: list[Entry] = [Folder(name) for name in result["common_prefixes"] if is_key(name)]
    found += [client.info_of(meta["path"], meta) for meta in result["objects"] if is_key(meta["path"])]
    return sorted(found, key=position_of)
