"""Fills a survey from a store."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from ..blobs.links import LINK_LIMIT, read_link
from ..concurrency import gather_map, in_thread
from ..driver import Driver, FileInfo, entries
from ..errors import Damaged, ForeignKey, KeyNotFound, ObjectTooLarge
from ..formats.descriptors import MANIFEST_LIMIT
from ..formats.digest import Digest
from ..inventory import list_in_parts
from ..layout import BlobData, Layout
from ..threads import in_thread_if_large
from .packs import Packs
from .progress import Progress
from .references import References, read_references
from .survey import Survey, TagRow

READ_AT_ONCE: Final = 16
"""Manifests that are in memory at once; each has 4 MiB at most."""

REFERENCES_TOGETHER: Final = 10_000
"""References that go into the survey together."""

PACKED_EVERY: Final = 60.0
"""Seconds after which the store keeps the references that were read: a killed run reads the latest ones again."""


async def fill(survey: Survey, driver: Driver, layout: Layout, progress: Progress) -> None:
    """Read the keys of a store, its tags and its manifests into a survey.

    Requests: 1 for each 1,000 keys; 1 for each manifest that no survey read before; 1 for each link of a tag that
    no survey read before, unless the store's ETag is the MD5 of an object's content; 1 for each pack of 10,000
    manifests and links that a survey read before, or that this one read.

    Content is listed before links. Content that is listed and has no link then is relied on by no client that began
    before the listing.

    Raises:
        ForeignKey: The store holds a key that no layout explains.
    """
    async for entry in entries(driver.list, layout.contents):
        if entry.key not in (layout.blobs, layout.repositories):
            raise ForeignKey(entry.key)

    async def take(page: Sequence[FileInfo]) -> None:
        await in_thread(survey.add, page)
        progress.keys += len(page)

    for folder in (layout.blobs, layout.repositories, layout.own):
        await list_in_parts(driver, folder, take)
    await in_thread(survey.listed)
    progress.begin("read")
    await in_thread(survey.find_digests_of_tags)
    packs = Packs(survey, driver, layout)
    await packs.use()
    await read_tags(survey, driver)
    progress.begin("read", todo=await in_thread(survey.count_unread))
    clock = asyncio.get_running_loop().time
    begin = clock()
    for digests in survey.unread_manifests():
        await read_manifests(survey, driver, layout, digests, progress)
        if clock() - begin > PACKED_EVERY:
            await packs.write()
            begin = clock()
    await packs.merge()


async def read_tags(survey: Survey, driver: Driver) -> None:
    """Find the revisions of the tags that are still to be read. 1 request for each, or no request; see `fill`."""

    async def read(tag: TagRow) -> tuple[TagRow, Digest | None]:
        try:
            link = read_link(await driver.get(tag.key, limit=LINK_LIMIT))
        except (KeyNotFound, ObjectTooLarge, Damaged):
            return tag, None
        return replace(tag, etag=link.etag), link.digest

    await in_thread(survey.find_digests_of_tags)
    for tags in survey.unread_tags():
        found = await gather_map(read, tags, limit=driver.capabilities.connections)
        await in_thread(survey.read_tags, found)


async def read_manifests(
    survey: Survey, driver: Driver, layout: Layout, digests: Iterable[Digest], progress: Progress
) -> None:
    """Read manifests into a survey. 1 request for each."""
    found: list[tuple[Digest, References | None]] = []
    weight = 0

    async def read(digest: Digest) -> None:
        nonlocal found, weight
        references = await _references(driver, layout, digest)
        found.append((digest, references))
        progress.manifests += 1
        weight += 1 if references is None else len(references.digests)
        if weight >= REFERENCES_TOGETHER:
            batch, found, weight = found, [], 0
            await in_thread(survey.read_manifests, batch)

    await gather_map(read, digests, limit=min(driver.capabilities.connections, READ_AT_ONCE))
    await in_thread(survey.read_manifests, found)


async def _references(driver: Driver, layout: Layout, digest: Digest) -> References | None:
    try:
        content = (await driver.get(layout.key(BlobData(digest)), limit=MANIFEST_LIMIT)).content
    except (KeyNotFound, ObjectTooLarge):
        return None
    return await in_thread_if_large(len(content), _read, content, digest)


def _read(content: bytes, digest: Digest) -> References | None:
    if digest.tarsum is None and Digest.of(content, digest.algorithm) != digest:
        return None  # damaged: the references that it had are unknown
    return read_references(content)
