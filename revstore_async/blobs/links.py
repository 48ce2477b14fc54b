"""Links: the small objects that give a repository access to content. Their content is a digest, nothing else."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from ..driver import Driver, File, IfAbsent, IfMatch
from ..errors import (
    ConditionFailed,
    InvalidDigest,
    KeyNotFound,
    LinkDamaged,
    LinkDangling,
    ObjectTooLarge,
    RevstoreError,
)
from ..formats.digest import Digest

LINK_LIMIT: Final = 512
"""The most bytes to read of a link; a digest is far shorter."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link, read.

    Attributes:
        key: Its key.
        digest: The digest that it points at.
        modified: When it was written, by the store's clock.
        etag: Its version, for a conditional write over it.
        date: The store's time when it answered; None where the driver can't tell it.
    """

    key: str
    digest: Digest
    modified: datetime
    etag: str
    date: datetime | None = field(default=None, compare=False)


class LinkStore:
    """Reads and writes links."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def link(self, key: str, digest: Digest) -> datetime:
        """Write a link; it replaces any that is there. Return the store's time of the write. 1 request."""
        return (await self._driver.put(key, digest.encode())).modified

    async def create(self, key: str, digest: Digest) -> bool:
        """Write a link if there is none; return whether it was written. An existing link keeps its time.

        1 request; 2 on a driver without conditional writes. There, two writers at once may both write the same
        content, and the link keeps the later time.
        """
        if not self._driver.capabilities.conditional_put:
            if await self.linked(key):
                return False
            await self.link(key, digest)
            return True
        try:
            await self._driver.put(key, digest.encode(), condition=IfAbsent())
        except ConditionFailed:
            return False
        return True

    async def relink(self, key: str, digest: Digest, etag: str) -> datetime | None:
        """Write a link over the version that has this etag; return None if that is gone. 1 request.

        Returns:
            The store's time of the write.
        """
        try:
            return (await self._driver.put(key, digest.encode(), condition=IfMatch(etag))).modified
        except ConditionFailed:
            return None

    async def etag(self, key: str) -> str | None:
        """Return the version of a link without reading it; None if there is no link. 1 request."""
        try:
            return (await self._driver.stat(key)).etag
        except KeyNotFound:
            return None

    async def readlink(self, key: str) -> Link:
        """Read a link. 1 request.

        Raises:
            KeyNotFound: There is no link.
            LinkDamaged: Its content is not a digest.
        """
        link = await self.find(key)
        if link is None:
            raise KeyNotFound(key)
        return link

    async def find(self, key: str) -> Link | None:
        """Read a link; return None if there is no link. 1 request.

        Raises:
            LinkDamaged: Its content is not a digest.
        """
        try:
            return read_link(await self._driver.get(key, limit=LINK_LIMIT))
        except KeyNotFound:
            return None
        except ObjectTooLarge as error:
            raise LinkDamaged(key, f"{error.size} bytes".encode()) from error

    async def linked(self, key: str) -> bool:
        """Say whether there is a link, without reading it. 1 request."""
        return await self.etag(key) is not None

    async def without_content(self, key: str, digest: Digest, absent: RevstoreError) -> RevstoreError:
        """Return the error for a reader that found a link, and not its content. 1 request.

        A deletion and a run of the collector may take link and content between the two answers. The reader then
        sees what it would have seen a moment later.

        Args:
            key: The link.
            digest: The content.
            absent: The error if the link is gone by now.
        """
        return LinkDangling(key, digest) if await self.linked(key) else absent


def read_link(file: File) -> Link:
    """Read a link from a stored object.

    Raises:
        LinkDamaged: Its content is not exactly a digest.
    """
    try:
        digest = Digest(file.content.decode("ascii"))
    except (UnicodeDecodeError, InvalidDigest) as error:
        raise LinkDamaged(file.info.key, file.content) from error
    return Link(file.info.key, digest, file.info.modified, file.info.etag, file.date)


def expect(link: Link, digest: Digest) -> Link:
    """Return the link, if it holds the digest that its key names.

    Raises:
        LinkDamaged: It holds another digest.
    """
    if link.digest != digest:
        raise LinkDamaged(link.key, link.digest.encode())
    return link
