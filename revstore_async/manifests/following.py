"""Reads the revisions of references: a digest is always one revision, a tag points at another after each change."""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from ..blobs.cache import Cache
from ..concurrency import alongside
from ..errors import ManifestUnknown, RevstoreError
from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag, tag_or_digest
from ..revisions.store import RevisionStore
from ..tags.store import TagStore

R = TypeVar("R")

Read = Callable[[Digest], Coroutine[Any, Any, R]]
"""Reads a revision. It raises `ManifestUnknown` if the repository has no such revision."""

_TRIES: Final = 5  # times that a tag is followed to another revision


class TagFollower:
    """Follows the tags of one repository to their revisions.

    Args:
        name: The repository.
        tags: Its tags.
        revisions: Its manifests.
        tag_hints: The digests that the tags pointed at when they were last read.
    """

    def __init__(
        self, name: RepositoryName, tags: TagStore, revisions: RevisionStore, tag_hints: Cache
    ) -> None:
        self._name = name
        self._tags = tags
        self._revisions = revisions
        self._tag_hints = tag_hints

    async def read(self, reference: str, read: Read[R]) -> R:
        """Resolve a reference, then read the revision that it names. A tag costs 1 round trip more.

        Raises:
            InvalidTag: The reference is neither a tag nor a digest.
            InvalidDigest: It has a colon, but is no digest.
            TagUnknown: There is no such tag.
            ManifestUnknown: The repository has no such revision.
        """
        target = tag_or_digest(reference)
        if not isinstance(target, Tag):
            return await read(target)
        return await self._follow(target, (await self._tags.read(target)).digest, read)

    async def read_together(self, reference: str, read: Read[R]) -> R:
        """Do as `read`; ask for a tag together with the revision that it pointed at when it was last read.

        That revision is the answer only if the tag still points at it. It must be known to be served as stored: a
        read of another costs further requests, which a moved tag would make useless. If its read fails, it is
        read once more after the tag: a client may have put it since.

        Raises:
            As `read`.
        """
        target = tag_or_digest(reference)
        if not isinstance(target, Tag):
            return await read(target)
        name = f"{self._name}:{target}"
        hint = self._tag_hints.find(Digest, name)
        if hint is None or not self._revisions.is_plain(hint):
            digest = (await self._tags.read(target)).digest
            self._tag_hints.keep(name, digest, len(digest))
            return await self._follow(target, digest, read)
        async with alongside(read(hint)) as reading:
            digest = (await self._tags.read(target)).digest
            if digest == hint:
                with suppress(RevstoreError):
                    return await reading
        self._tag_hints.keep(name, digest, len(digest))
        return await self._follow(target, digest, read)

    async def _follow(self, tag: Tag, digest: Digest, read: Read[R]) -> R:
        """Read the revision that a tag pointed at; if it is gone, the one that the tag points at now.

        Since the tag was read, a put may have moved it, and a deletion may have removed the revision that it left.
        A client that asks for a tag that always pointed at a revision must not hear of that.

        Raises:
            TagUnknown: The tag is gone as well.
            ManifestUnknown: The tag still points at a missing revision, or moved each of 5 times.
        """
        for _ in range(_TRIES):
            try:
                return await read(digest)
            except ManifestUnknown:
                now = (await self._tags.read(tag)).digest
                if now == digest:
                    raise
                digest = now
        return await read(digest)
