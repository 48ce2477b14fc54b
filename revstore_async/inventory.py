"""Lists a whole store: the only code that enumerates a root."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import heappop, heappush, nsmallest
from typing import Final

from .concurrency import gather_map
from .driver import Driver, FileInfo, Folder, entries
from .errors import InvalidName
from .formats.names import RepositoryName
from .layout import Layout, UploadSegment, UploadState

_ALONE: Final = 4
"""Pages of a folder that are listed one after another, before its parts are listed at the same time."""
_PARTS: Final = 16
"""Parts of a folder that are listed at the same time."""
_LEVELS: Final = 4
"""Levels of folders that are looked at for bounds of parts."""


async def repositories(
    driver: Driver, layout: Layout, *, start_after: RepositoryName | None = None
) -> AsyncGenerator[RepositoryName, None]:
    """Yield the name of each repository that holds manifests or layers, in lexical order.

    1 request for each folder of names, and 1 round trip for each level of names. More folders than the driver has
    connections take further round trips. A caller that stops early or starts late pays
    for the folders on the way, and for those listed together with the last one. The seed's layout does not mark
    its own folders. There a repository below a name like such a folder (`x/manifests`) is not found.

    Args:
        driver: The storage.
        layout: The layout of the store's keys.
        start_after: The name after which to begin; it need not exist.
    """
    start = start_after or ""
    pending = [""]  # a heap: every name still to be found is one of these or below one
    found: dict[str, bool] = {}  # for each listed name: whether it is a repository

    async def list_one(name: str) -> None:
        children = await _children(driver, layout, name, start)
        found[name] = bool(children & {layout.manifests, layout.layers})
        for child in children - {layout.manifests, layout.layers, layout.uploads}:
            below = f"{name}/{child}".lstrip("/")
            # Any name that begins with `below/` may come after `start`, unless all of them lie before.
            if f"{below}0" > start and _is_name(below):  # "0" is the character after "/"
                heappush(pending, below)

    while pending:
        if pending[0] not in found:
            unlisted = (name for name in pending if name not in found)
            together = nsmallest(driver.capabilities.connections, unlisted)
            await gather_map(list_one, together, limit=driver.capabilities.connections)
        name = heappop(pending)
        if found.pop(name) and name > start:
            yield RepositoryName(name)


async def pages(driver: Driver, folder: str) -> AsyncGenerator[Sequence[FileInfo], None]:
    """Yield the objects below a folder, at any depth, in pages of 1,000. One request for each."""
    after = None
    while True:
        page = await driver.list_all(folder, start_after=after)
        yield page.entries
        if page.next is None:
            return
        after = page.next


async def list_in_parts(
    driver: Driver, folder: str, take: Callable[[Sequence[FileInfo]], Awaitable[None]]
) -> None:
    """Give all objects below a folder, at any depth, to a function, in pages of at most 1,000 and in no order.

    Parts of a large folder are listed at the same time. A store that lists in an order of its own is listed page by
    page. Requests: 1 for each 1,000 objects; for more than 4,000 objects some 20 to 60 more.

    Args:
        driver: The storage.
        folder: The folder.
        take: Takes a page. Pages of different parts come at the same time.
    """
    after, pages = None, 0
    while pages < _ALONE or not driver.capabilities.ordered_listing:
        page = await driver.list_all(folder, start_after=after)
        await take(page.entries)
        after, pages = page.next, pages + 1
        if after is None:
            return
    assert after is not None  # noqa: S101 (the loop has gone round)
    bounds = await _bounds(driver, folder, after)

    async def list_part(part: tuple[str, str | None]) -> None:
        start: str | None
        start, end = part
        while start is not None and (end is None or start < end):
            page = await driver.list_all(folder, start_after=start)
            await take([info for info in page.entries if end is None or info.key <= end])
            start = page.next

    parts = list(zip([after, *bounds], [*bounds, None], strict=True))
    await gather_map(list_part, parts, limit=driver.capabilities.connections)


async def _bounds(driver: Driver, folder: str, after: str) -> Sequence[str]:
    """Return texts in order, by which the keys below a folder fall into parts; all come after a text.

    Any texts are right. Those of a level with many folders make parts of similar size.
    """
    found: Sequence[str] = [folder]
    for _ in range(_LEVELS):
        pages = await gather_map(driver.list, found, limit=driver.capabilities.connections)
        below = [entry.key for page in pages for entry in page.entries if isinstance(entry, Folder)]
        found = below or found
        if len(found) >= _PARTS or not below:
            break
    later = sorted(key for key in found if key > after)
    step = max(1, -(-len(later) // _PARTS))
    return later[step - 1 :: step]


@dataclass(frozen=True, slots=True)
class UploadInfo:
    """An upload, or the leftovers of a killed call.

    Attributes:
        name: The repository of the upload.
        id: Its name.
        modified: When one of its objects was last written, by the store's clock.
    """

    name: RepositoryName
    id: str
    modified: datetime


async def uploads(driver: Driver, layout: Layout) -> list[UploadInfo]:
    """Return the uploads under way in all repositories. One request for each 1,000 of their objects."""
    found: dict[tuple[RepositoryName, str], datetime] = {}
    async for info in entries(driver.list_all, layout.uploads_under_way):
        match layout.parse(info.key):
            case UploadState(name, upload) | UploadSegment(name, upload, _):
                found[name, upload] = max(info.modified, found.get((name, upload), info.modified))
    return [UploadInfo(name, upload, modified) for (name, upload), modified in found.items()]


async def _children(driver: Driver, layout: Layout, name: str, start: str) -> set[str]:
    folder = f"{layout.repositories}/{name}".rstrip("/")
    after = None
    above = f"{name}/".lstrip("/")
    if start and start.startswith(above) and driver.capabilities.ordered_listing:
        # A folder counts as its key with a "/": a skipped folder lies before `start` with all that is below it.
        after = f"{folder}/{start.removeprefix(above).partition('/')[0]}"
    return {
        entry.key.rpartition("/")[2]
        async for entry in entries(driver.list, folder, start_after=after)
        if isinstance(entry, Folder)
    }


def _is_name(text: str) -> bool:
    try:
        RepositoryName(text)
    except InvalidName:  # a folder of another program
        return False
    return True
