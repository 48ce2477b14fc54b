"""Finds a repository from which a client can mount a layer."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from itertools import islice

from ..arguments import check_series, check_type
from ..concurrency import gather_map
from ..driver import Driver
from ..errors import InvalidArgument
from ..formats.digest import Digest
from ..formats.names import RepositoryName
from ..layout import LayerLink, Layout
from .links import LinkStore
from .store import BlobStore


async def find_layer(
    digest: Digest,
    candidates: AsyncIterable[str] | Iterable[str],
    blobs: BlobStore,
    driver: Driver,
    layout: Layout,
    *,
    limit: int = 100,
) -> RepositoryName | None:
    """Return the first of these repositories that links a blob, or None; also None for a blob not stored.

    1 request tells whether the content is stored; without it, no candidate is asked about. Then 1 request for
    each candidate until one links the blob, as many at once as the driver has connections.

    Args:
        digest: The blob's digest.
        candidates: The repositories, the most likely ones first.
        blobs: All content.
        driver: The storage.
        layout: The layout of the store's keys.
        limit: The most candidates to ask about.

    Raises:
        InvalidArgument: `limit` is below 1.
    """
    check_series("candidates", candidates, "repository names")
    check_type("limit", limit, int)
    if limit < 1:
        raise InvalidArgument("limit", limit, "no repository would be asked about")
    if await blobs.stored(digest) is None:
        return None
    links = LinkStore(driver)

    async def asked(batch: list[RepositoryName]) -> RepositoryName | None:
        keys = [layout.key(LayerLink(name, digest)) for name in batch]
        linked = await gather_map(links.linked, keys, limit=len(keys)) if keys else ()
        return next((name for name, yes in zip(batch, linked, strict=True) if yes), None)

    batch: list[RepositoryName] = []
    async with aclosing(_first(candidates, limit)) as names:
        async for name in names:
            batch.append(name)
            if len(batch) == driver.capabilities.connections:
                if found := await asked(batch):
                    return found
                batch = []
    return await asked(batch)


async def _first(
    names: AsyncIterable[str] | Iterable[str], limit: int
) -> AsyncGenerator[RepositoryName, None]:
    left = limit
    if isinstance(names, AsyncIterable):
        async for name in names:
            yield RepositoryName(name)
            left -= 1
            if not left:
                return
    else:
        for name in islice(names, limit):
            yield RepositoryName(name)
