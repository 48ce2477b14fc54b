"""Fills a survey from a store."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ..blobs.links import LINK_LIMIT, read_link
from ..concurrency import gather_map, in_thread
from ..driver import Driver, entries
from ..errors import Damaged, ForeignKey, KeyNotFound, ObjectTooLarge
from ..formats.descriptors import MANIFEST_LIMIT
from ..formats.digest import Digest
from ..inventory import pages
from ..layout import BlobData, Layout
from .references import References, read_references
from .survey import Survey, TagRow

READ_AT_ONCE: Final = 16
"""Manifests that are in memory at once; each has 4 MiB at most."""


@dataclass(slots=True)
class Progress:
    """How far a run is; it changes while the run goes on.

    Attributes:
        phase: What the run does: `list`, `read`, `mark`, `wait`, `list again`, `delete`.
        keys: The keys that were listed.
        manifests: The manifests that were read.
        deleted: The keys that were deleted.
        bytes: The bytes of content that were deleted.
        left: Seconds that are left of a wait.
    """

    phase: str = "list"
    keys: int = 0
    manifests: int = 0
    deleted: int = 0
    bytes: int = 0
    left: float = 0.0

    def __str__(self) -> str:
        match self.phase:
            case "list":
                return f"listing: {self.keys} keys"
            case "read":
                return f"reading: {self.manifests} manifests, of {self.keys} keys"
            case "mark":
                return f"finding out what is needed, of {self.keys} keys"
            case "wait":
                return f"waiting for clients and servers: {self.left:.0f} s left"
            case "list again":
                return "listing what was written since"
            case _:
                return f"deleting: {self.deleted} keys, {self.bytes} bytes"


async def fill(survey: Survey, driver: Driver, layout: Layout, progress: Progress) -> None:
    """Read the keys of a store, its tags and its manifests into a survey.

    1 request for each 1,000 keys of content, links and records; 1 for each manifest; 1 for each tag, unless the
    store's ETag is the MD5 of an object's content.

    Content is listed before links. Content that is listed and has no link then is relied on by no client that began
    before the listing.

    Raises:
        ForeignKey: The store holds a key that no layout explains.
    """
    async for entry in entries(driver.list, layout.contents):
        if entry.key not in (layout.blobs, layout.repositories):
            raise ForeignKey(entry.key)
    for folder in (layout.blobs, layout.repositories, layout.histories):
        async for page in pages(driver, folder):
            await in_thread(survey.add, page)
            progress.keys += len(page)
    await in_thread(survey.listed)
    progress.phase = "read"
    await read_tags(survey, driver)
    await read_manifests(survey, driver, layout, survey.unread_manifests(), progress)


async def read_tags(survey: Survey, driver: Driver) -> None:
    """Find the revisions of the tags that are still to be read. 1 request for each, or no request; see `fill`."""

    async def read_tag(tag: TagRow) -> tuple[TagRow, Digest | None]:
        return tag, await _target(driver, tag.key)

    await in_thread(survey.find_digests_of_tags)
    for tags in survey.unread_tags():
        await in_thread(
            survey.read_tags, await gather_map(read_tag, tags, limit=driver.capabilities.connections)
        )


async def read_manifests(
    survey: Survey, driver: Driver, layout: Layout, digests: Iterable[Digest], progress: Progress
) -> None:
    """Read manifests into a survey. 1 request for each."""

    async def read_one(digest: Digest) -> None:
        survey.read_manifest(digest, await _references(driver, layout, digest))
        progress.manifests += 1

    await gather_map(read_one, digests, limit=min(driver.capabilities.connections, READ_AT_ONCE))


async def _target(driver: Driver, key: str) -> Digest | None:
    try:
        return read_link(await driver.get(key, limit=LINK_LIMIT)).digest
    except (KeyNotFound, ObjectTooLarge, Damaged):
        return None


async def _references(driver: Driver, layout: Layout, digest: Digest) -> References | None:
    try:
        content = (await driver.get(layout.key(BlobData(digest)), limit=MANIFEST_LIMIT)).content
    except (KeyNotFound, ObjectTooLarge):
        return None
    return await in_thread(_read, content, digest)


def _read(content: bytes, digest: Digest) -> References | None:
    if digest.tarsum is None and Digest.of(content, digest.algorithm) != digest:
        return None  # damaged: the references that it had are unknown
    return read_references(content)
