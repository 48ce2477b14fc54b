"""Deletes a repository: its tags, then its manifests, then all other links and uploads of it."""

from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from .concurrency import gather_map
from .driver import Driver, FileInfo, entries
from .errors import (
    KeyNotFound,
    ManifestUnknown,
    ObjectTooLarge,
    TagImmutable,
    TagUnknown,
)
from .formats.descriptors import MANIFEST_LIMIT
from .formats.digest import Digest
from .formats.lenient_manifests import listed_manifests
from .formats.names import RepositoryName, Tag
from .layout import (
    BlobData,
    Layout,
    ReferrerLink,
    RevisionLink,
    RevisionMediaType,
    SignatureLink,
    StoredObject,
    TagCurrent,
    TagIndex,
    UploadSegment,
    UploadState,
)
from .manifests.service import ManifestService
from .policy import Policy
from .revisions.store import RevisionStore
from .tags.store import TagStore
from .threads import in_thread_if_large
from .uploads.store import UploadStore

BATCH: Final = 1000
"""Keys of one request."""

ROUNDS: Final = 5
"""How often the deletion begins again for keys that clients pushed meanwhile."""

READ_AT_ONCE: Final = 16
"""Manifests that are in memory at once; each has 4 MiB at most."""


@dataclass(slots=True)
class DeletionProgress:
    """How far the deletion of a repository is; it changes while the deletion goes on.

    Attributes:
        tags: The tags that were deleted.
        manifests: The manifests that were deleted.
        uploads: The uploads that were cancelled.
        keys: Further keys that were deleted, such as links to layers.
    """

    tags: int = 0
    manifests: int = 0
    uploads: int = 0
    keys: int = 0

    def __str__(self) -> str:
        return (
            f"deleted: {self.tags} tags, {self.manifests} manifests, {self.uploads} uploads, "
            f"{self.keys} other keys"
        )


@dataclass(frozen=True, slots=True)
class RepositoryDeletion:
    """The deletion of one repository."""

    name: RepositoryName
    tags: TagStore
    revisions: RevisionStore
    manifests: ManifestService
    uploads: UploadStore
    driver: Driver
    layout: Layout
    policy: Policy
    progress: DeletionProgress

    @property
    def _at_once(self) -> int:
        return self.driver.capabilities.connections

    async def run(self) -> None:
        """Delete the repository.

        Raises:
            TagImmutable: The policy forbids to delete one of its tags; nothing was deleted.
        """
        await self._check_tags()
        for _ in range(ROUNDS):
            if not await self._delete_once():
                return

    def _folders(self) -> Sequence[str]:
        folder = self.layout.repository(self.name)
        parts = (self.layout.manifests, self.layout.layers, self.layout.uploads)
        return [f"{folder}/{part}" for part in parts]

    async def _keys(self, folder: str) -> AsyncGenerator[tuple[FileInfo, StoredObject], None]:
        """Yield the keys below a folder that are this repository's own: the seed's layout may have others there."""
        async for info in entries(self.driver.list_all, folder):
            stored = self.layout.parse(info.key)
            if stored is not None and getattr(stored, "name", None) == self.name:
                yield info, stored

    async def _check_tags(self) -> None:
        async for info in self.tags:
            if self.policy.immutable(self.name, info.tag):
                raise TagImmutable(self.name, info.tag, info.digest or "")

    async def _delete_once(self) -> bool:
        """Delete all that is there; return whether there was any."""
        found = await self._delete_tags()
        found |= await self._cancel_uploads()
        found |= await self._delete_manifests()
        return await self._delete_other_keys() or found

    # ---- the steps

    async def _delete_tags(self) -> bool:
        async def delete(tag: str) -> None:
            with suppress(TagUnknown):
                await self.tags.delete(tag)
                self.progress.tags += 1

        found = [info.tag async for info in self.tags]
        await gather_map(delete, found, limit=self._at_once)
        return bool(found)

    async def _cancel_uploads(self) -> bool:
        async def cancel(upload: str) -> None:
            # A purge also deletes the leftovers of a killed call, which has no state that can be read.
            self.progress.uploads += await self.uploads.purge(upload, before=_LATEST)

        found = {
            stored.upload
            async for _, stored in self._keys(self.layout.uploads_of(self.name))
            if isinstance(stored, UploadState | UploadSegment)
        }
        await gather_map(cancel, sorted(found), limit=self._at_once)
        return bool(found)

    async def _delete_manifests(self) -> bool:
        """Delete the manifests in ranks: an index before its children, so that each that is there is whole."""

        async def delete(digest: Digest) -> None:
            with suppress(ManifestUnknown):
                await self.manifests.delete(digest)
                self.progress.manifests += 1

        found = [info.digest async for info in self.revisions.enumerate()]
        children = await gather_map(self._children, found, limit=min(self._at_once, READ_AT_ONCE))
        for rank in _ranks(found, dict(zip(found, children, strict=True))):
            await gather_map(delete, rank, limit=self._at_once)
        return bool(found)

    async def _children(self, digest: Digest) -> Sequence[Digest]:
        try:
            file = await self.driver.get(self.layout.key(BlobData(digest)), limit=MANIFEST_LIMIT)
        except (KeyNotFound, ObjectTooLarge):
            return ()
        return await in_thread_if_large(len(file.content), listed_manifests, file.content)

    async def _delete_other_keys(self) -> bool:
        """Delete the links to layers, and the leftovers beside manifests and tags that are gone."""
        manifests, *others = self._folders()
        listed = [(info.key, stored) async for info, stored in self._keys(manifests)]
        tags = {stored.tag for _, stored in listed if isinstance(stored, TagCurrent)}
        linked = {stored.digest for _, stored in listed if isinstance(stored, RevisionLink)}
        batch = [key for key, stored in listed if not _is_needed(stored, tags, linked)]
        found = bool(batch)
        for folder in others:
            async for info, _ in self._keys(folder):
                found = True
                batch.append(info.key)
                if len(batch) >= BATCH:
                    await self._delete_keys(batch)
                    batch = []
        await self._delete_keys(batch)
        return found

    async def _delete_keys(self, keys: Sequence[str]) -> None:
        if keys:
            await self.driver.delete_many(keys)
            self.progress.keys += len(keys)


_LATEST: Final = datetime.max.replace(tzinfo=UTC)


def _ranks(
    digests: Collection[Digest], children: Mapping[Digest, Sequence[Digest]]
) -> Iterator[Sequence[Digest]]:
    """Yield manifests in ranks: an index comes in an earlier rank than its children."""
    left = set(digests)
    while left:
        below = {child for digest in left for child in children[digest] if child != digest}
        rank = left - below or left  # a circle has no order
        yield sorted(rank)
        left = left - rank


def _is_needed(stored: StoredObject, tags: Collection[Tag], linked: Collection[Digest]) -> bool:
    """Say whether a key beside manifests or tags is one of a manifest or tag that is there."""
    match stored:
        case RevisionMediaType(digest=digest) | ReferrerLink(digest=digest) | SignatureLink(revision=digest):
            return digest in linked
        case TagIndex(tag=tag):
            return tag in tags
    return True
