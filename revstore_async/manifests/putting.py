"""The put of a manifest: content first, then links, then the tags, the one visible switch."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from ..concurrency import gather, gather_map, settled
from ..errors import RevstoreError, StorageFailure, TagContended, Unavailable, VerificationFailed
from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag
from ..policy import Policy
from ..revisions.revision import RevisionWrite
from ..revisions.store import RevisionStore
from ..tags.changes import TRIES
from ..tags.state import Expected, TagChange
from ..tags.store import TagStore
from .incoming import IncomingManifest
from .references import References

T = TypeVar("T")

_GRACE: Final = 5.0  # seconds in which links are written after a failure or a cancellation
_TRIES: Final = 5  # times that all is asked again when the answers are too old to rely on


@dataclass(frozen=True, slots=True)
class ManifestPut:
    """A manifest on its way into a repository.

    Attributes:
        revision: Its digest.
        incoming: The document, taken apart.
        tags: The tags to set.
        expected: What each of the tags must point at now.
        media_type: The type that it came with, if it does not declare its type.
        check_layers: Whether the repository must have the content that it refers to.
    """

    revision: Digest
    incoming: IncomingManifest
    tags: Sequence[Tag]
    expected: Expected
    media_type: str | None
    check_layers: bool


@dataclass(frozen=True, slots=True)
class _Stored:
    """A manifest after its content was stored.

    Attributes:
        put: The manifest.
        write: Its revision.
        changes: The changes of its tags.
        is_new: Whether all of the revision was missing before. With tags it counts as found without a look: the
            check that follows from that takes no round trip beside the switch of the tags.
    """

    put: ManifestPut
    write: RevisionWrite
    changes: Sequence[TagChange]
    is_new: bool


class ManifestWriter:
    """Puts manifests into one repository."""

    def __init__(
        self,
        name: RepositoryName,
        revisions: RevisionStore,
        tags: TagStore,
        references: References,
        policy: Policy,
        at_once: int,
    ) -> None:
        self._name = name
        self._revisions = revisions
        self._tags = tags
        self._references = references
        self._policy = policy
        self._at_once = at_once

    async def put(self, put: ManifestPut) -> None:
        """Store a manifest and set its tags; costs and errors are those of `ManifestService.put`.

        A put that fails leaves no half of a revision.
        """
        if put.incoming.errors:
            raise VerificationFailed(self._name, (*put.incoming.errors, *await self._missing(put)))
        stored = await self._store(put)
        try:
            await self._link(stored)
        except (StorageFailure, asyncio.CancelledError):
            # A deletion at the same time may have taken some of the links, and a tag may have been switched.
            if not stored.is_new:
                await settled(self._link_until_whole(stored.write), grace=_GRACE)
            raise

    async def _missing(self, put: ManifestPut) -> Sequence[RevstoreError]:
        return await self._references.missing(put.incoming.document) if put.check_layers else ()

    async def _store(self, put: ManifestPut) -> _Stored:
        """Write content and ask about all that it relies on, together; again if the answers came too late."""
        loop = asyncio.get_running_loop()
        incoming, document = put.incoming, put.incoming.document
        begin = partial(self._tags.changes.begin, digest=put.revision, expected=put.expected)
        for _ in range(_TRIES):
            asked = loop.time()
            write, missing, changes, linked = await gather(
                self._revisions.writer.store(
                    put.revision,
                    incoming.payload,
                    incoming.signatures,
                    schema1=document.schema1,
                    media_type=put.media_type,
                    apparent=document.apparent,
                    subject=None if document.subject is None else document.subject.digest,
                ),
                self._missing(put),
                gather_map(begin, put.tags, limit=self._at_once),
                _just(True) if put.tags else self._revisions.linked(put.revision),
            )
            if missing:
                raise VerificationFailed(self._name, tuple(missing))
            if loop.time() - asked <= self._policy.link_within.total_seconds():
                return _Stored(put, write, changes, is_new=not (linked or write.found))
        reason = f"each of {_TRIES} times it took longer than Policy.link_within, {self._policy.link_within}"
        raise Unavailable(put.revision, reason)

    async def _link(self, stored: _Stored) -> None:
        """Write the links of a revision, and point tags at it.

        If some of the revision was there before, a deletion of it may be under way, and may take the new links. The
        writer therefore looks again, beside the switch of the tags, and writes the missing links again.
        """
        tags, writer, changes = self._tags.changes, self._revisions.writer, stored.changes
        whole = False
        for _ in range(TRIES):
            for change in changes:
                tags.check(change)
            announced, _ = await gather(
                gather_map(tags.announce, changes, limit=self._at_once),
                _just(None) if whole else writer.link(stored.write),
            )
            # Asked for after the tags are announced: a deletion that begins later finds them.
            whole, switched = await gather(
                _just(True) if stored.is_new else writer.is_whole(stored.write),
                gather_map(tags.switch, announced, limit=self._at_once),
            )
            if whole and all(switched):
                return
            anew = [each for each in zip(announced, switched, strict=True) if not (whole and each[1])]
            changes = await gather_map(
                lambda each: tags.again(each[0], switched=each[1]), anew, limit=self._at_once
            )
        if changes:
            raise TagContended(self._name, changes[0].state.tag)
        raise Unavailable(
            stored.put.revision, f"others deleted it each of the {TRIES} times that it was stored"
        )

    async def _link_until_whole(self, write: RevisionWrite) -> None:
        """Write links until all are there, as far as the storage lets it."""
        for _ in range(_TRIES):
            with suppress(RevstoreError):
                if await self._revisions.writer.is_whole(write):
                    return
                await self._revisions.writer.link(write)


async def _just(value: T) -> T:
    return value
