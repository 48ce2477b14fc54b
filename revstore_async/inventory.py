"""What a store holds as a whole: the only code that enumerates a root."""

from collections.abc import AsyncIterator, Sequence

from .concurrency import gather_map
from .driver import Driver, Folder, entries
from .errors import InvalidName
from .layout import Layout
from .names import RepositoryName


async def repositories(driver: Driver, layout: Layout) -> AsyncIterator[RepositoryName]:
    """Yield the name of each repository that holds manifests or layers, in lexical order.

    The tree of names is read level by level, the folders of one level together, up to the driver's limit: a
    request for each folder, a round trip for each level. In the seed's layout, whose own folders bear no mark, a
    repository below one named like such a folder (`x/manifests`) is not found.
    """
    found: list[RepositoryName] = []
    level: Sequence[str] = [""]
    while level:
        listed = await gather_map(
            lambda name: _children(driver, layout, name), level, limit=driver.capabilities.connections
        )
        below: list[str] = []
        for name, children in zip(level, listed, strict=True):
            if children & {layout.manifests, layout.layers}:
                found.append(RepositoryName(name))
            own = {layout.manifests, layout.layers, layout.uploads}
            below.extend(f"{name}/{child}".lstrip("/") for child in children - own)
        level = [name for name in below if _is_name(name)]
    for repository in sorted(found):
        yield repository


async def _children(driver: Driver, layout: Layout, name: str) -> set[str]:
    folder = f"{layout.repositories}/{name}".rstrip("/")
    return {
        entry.key.rpartition("/")[2]
        async for entry in entries(driver.list, folder)
        if isinstance(entry, Folder)
    }


def _is_name(text: str) -> bool:
    try:
        RepositoryName(text)
    except InvalidName:  # a folder that is none of ours
        return False
    return True
