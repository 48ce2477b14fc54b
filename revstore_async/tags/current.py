"""A tag's current link, as readers and writers find it: a revision, a delete marker, or damage.

A store may have conditional writes and lack conditional deletion (MinIO). There a deletion first replaces the link
by a delete marker, on the condition that the link is the one that the writer saw. Then it deletes the marker. A
deletion never takes a link that its writer did not see.

A delete marker is a digest that no content has. The engine treats a tag with a marker as deleted. Other programs
find a tag with an unknown manifest.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from secrets import token_hex
from typing import Final

from ..blobs.links import LINK_LIMIT, Link, LinkStore, read_link
from ..driver import Driver
from ..errors import KeyNotFound, LinkDamaged, ObjectTooLarge
from ..formats.digest import Digest
from .records import TagEvent

_MARKER: Final = "sha384:" + "0" * 64
"""The beginning of each delete marker. 32 digits follow that no other marker has, so that all ETags differ."""

MARKER_SIZE: Final = len(_MARKER) + 32
"""The size of a delete marker in bytes: that of a sha384 digest, which hardly any revision has."""


def new_delete_marker() -> Digest:
    """Return a delete marker that differs from all others."""
    return Digest(_MARKER + token_hex(16))


def is_delete_marker(digest: str) -> bool:
    """Return whether a digest is a delete marker."""
    return digest.startswith(_MARKER)


def md5_of_link(digest: str) -> str:
    """Return the MD5 of a link's content, which is its ETag on many stores: as on S3 without KMS."""
    return hashlib.md5(digest.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class CurrentLink:
    """A tag's current link.

    Attributes:
        etag: Its version; None where there is no link.
        event: The tag's revision, and since when; None without a tag, or where the link is damaged.
        damage: What is wrong with the link, if anything.
        marked: When a deletion wrote its marker; None where the link is no marker.
        date: The store's time when it answered; None where the driver can't tell it.
    """

    etag: str | None = None
    event: TagEvent | None = None
    damage: LinkDamaged | None = None
    marked: datetime | None = None
    date: datetime | None = field(default=None, compare=False)

    @property
    def is_there(self) -> bool:
        """Whether there is a tag, if only a damaged one."""
        return self.etag is not None and self.marked is None


async def read_current(driver: Driver, key: str) -> CurrentLink:
    """Read a tag's current link: a revision, a delete marker, or damage. 1 request; 2 if it is damaged."""
    try:
        link = read_link(await driver.get(key, limit=LINK_LIMIT))
    except KeyNotFound:
        return CurrentLink()
    except (LinkDamaged, ObjectTooLarge):
        # Once more, for the etag; a link that was healed meanwhile is looked at again by the switch.
        try:
            return CurrentLink((await driver.stat(key)).etag, damage=LinkDamaged(key, b""))
        except KeyNotFound:
            return CurrentLink()
    if is_delete_marker(link.digest):
        return CurrentLink(link.etag, marked=link.modified, date=link.date)
    return CurrentLink(link.etag, TagEvent(link.digest, link.modified), date=link.date)


async def find_current(links: LinkStore, key: str) -> Link | None:
    """Return a tag's current link, or None if there is no tag. 1 request.

    Raises:
        LinkDamaged: Its content is not a digest.
    """
    link = await links.find(key)
    return None if link is None or is_delete_marker(link.digest) else link
