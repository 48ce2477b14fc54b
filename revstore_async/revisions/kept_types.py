"""The media types kept beside revisions: of manifests that neither declare theirs nor show it by their form.

A kept type says what a stored manifest is served as, so it is written once: by the first push that was found right.
"""

import asyncio
from dataclasses import dataclass

from ..concurrency import pauses
from ..driver import Driver, FileInfo, IfAbsent
from ..errors import (
    ConditionFailed,
    InvalidManifest,
    KeyNotFound,
    MediaTypeConflict,
    ObjectTooLarge,
    RecordDamaged,
)
from ..formats.digest import Digest
from ..formats.manifests import canonical, check_media_type
from ..formats.names import RepositoryName
from ..layout import Layout, RevisionMediaType


@dataclass(frozen=True, slots=True)
class KeptType:
    """A media type that a revision needs to have beside it.

    Attributes:
        media_type: The type.
        stored: Whether it was there when it was looked for.
        link: The etag of the revision's link at that time; None where there was none, or nothing relies on it.
    """

    media_type: str
    stored: bool
    link: str | None = None


class MediaTypeStore:
    """The media types that are kept of one repository's revisions."""

    def __init__(self, name: RepositoryName, driver: Driver, layout: Layout) -> None:
        self._name = name
        self._driver = driver
        self._layout = layout

    def _key(self, digest: Digest) -> str:
        return self._layout.key(RevisionMediaType(self._name, digest))

    async def find(self, digest: Digest) -> str | None:
        """Return the media type that is kept of a revision, if any. One request.

        Raises:
            RecordDamaged: What is kept is no media type.
        """
        key = self._key(digest)
        try:
            file = await self._driver.get(key, limit=1024)
            return check_media_type(file.content.decode("ascii"))
        except KeyNotFound:
            return None
        except (UnicodeDecodeError, InvalidManifest, ObjectTooLarge) as error:
            raise RecordDamaged(key, "it is not a media type") from error

    async def judge(self, digest: Digest, media_type: str, *, apparent: bool) -> KeptType | None:
        """Return what must be kept for a manifest to be served as this type; None for nothing. One request.

        Args:
            digest: The revision, there or not.
            media_type: The type that its manifest came with, and does not declare.
            apparent: Whether its form tells the same type.

        Raises:
            MediaTypeConflict: Another type is kept.
        """
        try:
            kept = await self.find(digest)
        except RecordDamaged:  # nobody can be served by it: it is written anew
            return KeptType(media_type, stored=False)
        if kept is None:
            return None if apparent else KeptType(media_type, stored=False)
        if canonical(kept) != canonical(media_type):
            raise MediaTypeConflict(self._name, digest, kept, media_type)
        return KeptType(kept, stored=True)

    async def keep(self, digest: Digest, media_type: str) -> None:
        """Keep a media type, unless another is kept. One request; two where one is there already.

        Where the driver lacks conditional writes, of two writers at once the later one's type stands.

        Raises:
            MediaTypeConflict: Another type is kept.
        """
        if await self.renew(digest, media_type):
            return
        found = await self.judge(digest, media_type, apparent=False)
        if found is not None and not found.stored:  # it is damaged, or gone again
            await self._driver.put(self._key(digest), media_type.encode())

    async def overwrite(self, digest: Digest, media_type: str) -> None:
        """Write a media type in place of one that a deletion under way may be about to take. 1 request.

        A deletion takes only the object that it found, where the driver can delete on a condition. Elsewhere the
        writer waits for its end first, `Capabilities.metadata_timeout` at most.
        """
        if not self._driver.capabilities.conditional_delete:
            clock = asyncio.get_running_loop().time
            end = clock() + self._driver.capabilities.metadata_timeout.total_seconds()
            for pause in pauses():
                if clock() >= end or await self._find_any(digest) is None:
                    break
                await asyncio.sleep(pause)
        await self._driver.put(self._key(digest), media_type.encode())

    async def _find_any(self, digest: Digest) -> FileInfo | None:
        try:
            return await self._driver.stat(self._key(digest))
        except KeyNotFound:
            return None

    async def renew(self, digest: Digest, media_type: str) -> bool:
        """Write a media type that was there, and may be gone since; say whether it was written. One request."""
        condition = IfAbsent() if self._driver.capabilities.conditional_put else None
        try:
            await self._driver.put(self._key(digest), media_type.encode(), condition=condition)
        except ConditionFailed:
            return False
        return True
