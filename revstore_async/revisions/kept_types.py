"""The media types kept beside revisions, for manifests that neither declare theirs nor show it by their form.

The registry serves a manifest as its kept type. The type is therefore written once, by the first valid push.
"""

import asyncio
from dataclasses import dataclass

from ..blobs.links import LinkStore
from ..concurrency import pauses
from ..driver import Driver, IfAbsent
from ..errors import (
    ConditionFailed,
    InvalidManifest,
    KeyNotFound,
    MediaTypeConflict,
    ObjectTooLarge,
    RecordDamaged,
)
from ..formats.descriptors import canonical, check_media_type
from ..formats.digest import Digest
from ..formats.names import RepositoryName
from ..layout import Layout, RevisionMediaType


@dataclass(frozen=True, slots=True)
class KeptType:
    """A media type that a revision needs to have beside it.

    Attributes:
        media_type: The type.
        stored: Whether the store had it when the writer looked for it.
        link: The etag of the revision's link at that time; None without a link, or if nothing relies on it.
    """

    media_type: str
    stored: bool
    link: str | None = None


class MediaTypeStore:
    """The kept media types of one repository's revisions."""

    def __init__(self, name: RepositoryName, driver: Driver, layout: Layout) -> None:
        self._name = name
        self._driver = driver
        self._links = LinkStore(driver)
        self._layout = layout

    def _key(self, digest: Digest) -> str:
        return self._layout.key(RevisionMediaType(self._name, digest))

    async def find(self, digest: Digest) -> str | None:
        """Return the kept media type of a revision, if it has one. 1 request.

        Raises:
            RecordDamaged: The kept file does not hold a media type.
        """
        key = self._key(digest)
        try:
            file = await self._driver.get(key, limit=1024)
            return check_media_type(file.content.decode("ascii"))
        except KeyNotFound:
            return None
        except (UnicodeDecodeError, InvalidManifest, ObjectTooLarge) as error:
            raise RecordDamaged(key, "it is not a media type") from error

    async def check(self, digest: Digest, media_type: str, *, apparent: bool) -> KeptType | None:
        """Return the type to keep to serve a manifest as this type; None if it needs no kept type. 1 request.

        Args:
            digest: The revision, there or not.
            media_type: The type that the client sent with the manifest, and that the manifest does not declare.
            apparent: Whether the manifest's form shows the same type.

        Raises:
            MediaTypeConflict: Another type is kept.
        """
        try:
            kept = await self.find(digest)
        except RecordDamaged:  # the registry can serve no client by it: the writer replaces it
            return KeptType(media_type, stored=False)
        if kept is None:
            return None if apparent else KeptType(media_type, stored=False)
        if canonical(kept) != canonical(media_type):
            raise MediaTypeConflict(self._name, digest, kept, media_type)
        return KeptType(kept, stored=True)

    async def keep(self, digest: Digest, media_type: str) -> None:
        """Keep a media type, unless another is kept. 1 request; 2 if a type is there already.

        If the driver lacks conditional writes, the later of two concurrent writers wins.

        Raises:
            MediaTypeConflict: Another type is kept.
        """
        if await self.renew(digest, media_type):
            return
        found = await self.check(digest, media_type, apparent=False)
        if found is not None and not found.stored:  # it is damaged, or gone again
            await self._driver.put(self._key(digest), media_type.encode())

    async def overwrite(self, digest: Digest, media_type: str) -> None:
        """Write a media type over one that a deletion under way may be about to take. 1 request.

        A deletion takes only the object that it found, where the driver can delete on a condition. Elsewhere the
        writer waits for its end first, `Capabilities.metadata_timeout` at most.
        """
        if not self._driver.capabilities.conditional_delete:
            clock = asyncio.get_running_loop().time
            end = clock() + self._driver.capabilities.metadata_timeout.total_seconds()
            for pause in pauses():
                if clock() >= end or not await self._links.linked(self._key(digest)):
                    break
                await asyncio.sleep(pause)
        await self._driver.put(self._key(digest), media_type.encode())

    async def renew(self, digest: Digest, media_type: str) -> bool:
        """Write a media type that may be gone since it was read; return whether it was written. 1 request."""
        condition = IfAbsent() if self._driver.capabilities.conditional_put else None
        try:
            await self._driver.put(self._key(digest), media_type.encode(), condition=condition)
        except ConditionFailed:
            return False
        return True
