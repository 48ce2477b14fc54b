"""Listings: pages in the order of bytes, from any text on.

obstore lists all that is below a prefix from a position on, 1,000 a request, or the direct children from the
beginning to the end, however many they are. A page of children is made of the former: the driver skips a
folder's content by going on behind it. Only where folders are so full that this gets nowhere are the children
asked for.

obstore drops the `/` at the end of a name. An object that others store as `a/`, to have a folder show,
therefore comes as `a`. It is left out if its position gives it away, and else shown as an empty object.
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
_FEW: Final = 50  # children among as many objects, below which their folders are called full
_BEHIND: Final = "~"  # after every character of a key

Entry = FileInfo | Folder
SomeEntry = TypeVar("SomeEntry", FileInfo, Entry)


async def list_below(client: Client, begin: str, start_after: str | None, limit: int) -> Page[FileInfo]:
    """Return one page of the objects whose keys begin with `begin`, at any depth."""
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
        if slash and client.options.may_be_minio:  # on behind that folder, as above
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
    """Return the position after which what comes is not in the folder of a name, if it is in one."""
    first, slash, _ = name[len(begin) :].partition("/")
    return max(name, f"{begin}{first}/{_BEHIND}") if slash else name


def _page(found: list[SomeEntry], limit: int, *, more: bool) -> Page[SomeEntry]:
    entries = tuple(found[:limit])
    return Page(entries, position_of(entries[-1]) if more or len(found) > limit else None)


def _levels(client: Client, begin: str, start: str) -> Iterable[Level]:
    # MinIO (2026-02) loses entries for who goes on inside of `a/` where there are names such as `a-b/`; see
    # the driver `s3`. Which server it is obstore does not tell, so all that may be it are asked folder by folder.
    if client.options.may_be_minio and "/" in start[len(begin) :]:
        return levels(begin, start, folders=False)
    return [Level(begin, start, "")]


async def _between(client: Client, part: Level) -> list[FileInfo]:
    found = await is_there(client, part.between) if is_key(part.between) else None
    return [found] if found else []


def _in_order(metas: "Listed", position: str) -> "Iterator[ObjectMeta]":
    """Yield those that come after a position and after the one before; see above for what else comes."""
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
    # obstore would drop a `/` at the end; nothing of ours is between that and `,`.
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
    """Return all the children, in order, by as many requests as it takes."""

    async def send(store: Store) -> "ListResult[Listed]":
        return await obstore.list_with_delimiter_async(store, prefix or None)

    try:
        result = await client.ask(prefix, send)
    except Refused as refused:
        raise of_refused(refused, prefix) from refused
    found: list[Entry] = [Folder(name) for name in result["common_prefixes"] if is_key(name)]
    found += [client.info_of(meta["path"], meta) for meta in result["objects"] if is_key(meta["path"])]
    return sorted(found, key=position_of)
