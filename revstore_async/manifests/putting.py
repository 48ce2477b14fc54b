"""The put of a manifest: content first, then links, then the tags, the one visible switch."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from ..blobs.gate import TRIES, Window
from ..concurrency import gather, gather_map, settled
from ..errors import RevstoreError, StorageFailure, TagContended, Unavailable, VerificationFailed
from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag
from ..layout import BlobData, RevisionLink, StoredObject
from ..revisions.revision import RevisionWrite
from ..revisions.store import RevisionStore
from ..tags.changes import TRIES as TAG_TRIES
from ..tags.state import Expected, TagChange
from ..tags.store import TagStore
from .incoming import IncomingManifest
from .references import References

T = TypeVar("T")

_GRACE: Final = 5.0  # seconds in which links are written after a failure or a cancellation


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
        window: The window in which the writer links it.
        write: Its revision.
        changes: The changes of its tags.
        is_new: Whether all of the revision was missing before. With tags it counts as found without a look: the
            check that follows from that takes no round trip beside the switch of the tags.
    """

    put: ManifestPut
    window: Window
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
        at_once: int,
    ) -> None:
        self._name = name
        self._revisions = revisions
        self._tags = tags
        self._references = references
        self._gate = revisions.gate
        self._at_once = at_once

    async def put(self, put: ManifestPut) -> None:
        """Store a manifest and set its tags; costs and errors are those of `ManifestService.put`.

        A put that fails leaves no half of a revision.
        """
        if put.incoming.errors:
            missing = await self._missing(put, await self._gate.open())
            raise VerificationFailed(self._name, (*put.incoming.errors, *missing))
        written = self._written(put)
        for _ in range(TRIES):
            stored = await self._store(put, await self._gate.open(*written))
            if stored is None:
                continue
            try:
                linked = await self._link(stored)
            except (StorageFailure, asyncio.CancelledError):
                # A deletion at the same time may have taken some of the links, and a tag may have been switched.
                if not stored.is_new:
                    await settled(self._link_until_whole(stored.write), grace=_GRACE)
                raise
            if linked is not None:
                await stored.window.close(*linked)
                return
        raise self._gate.gave_up(*written)

    def _written(self, put: ManifestPut) -> Sequence[StoredObject]:
        """Return the objects of a put for the gate: all that it writes, and all that it makes needed unchecked."""
        objects = [*self._revisions.writer.written(put.revision, put.incoming.signatures)]
        for tag in put.tags:
            objects += self._tags.changes.written(tag, put.revision)
        if not put.check_layers:
            objects += self._references.all_of(put.incoming.document)
        return objects

    async def _missing(self, put: ManifestPut, window: Window) -> Sequence[RevstoreError]:
        return await self._references.missing(put.incoming.document, window) if put.check_layers else ()

    async def _store(self, put: ManifestPut, window: Window) -> _Stored | None:
        """Write content and ask about all that it relies on, together; None if the caller must begin anew."""
        incoming, document = put.incoming, put.incoming.document
        begin = partial(self._tags.changes.begin, digest=put.revision, expected=put.expected)
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
            self._missing(put, window),
            gather_map(begin, put.tags, limit=self._at_once),
            _just(True) if put.tags else self._revisions.linked(put.revision),
        )
        if missing:
            raise VerificationFailed(self._name, tuple(missing))
        if document.subject is not None:
            # It need not be there: what is not admitted is simply absent.
            subject = document.subject.digest
            window.admits(RevisionLink(self._name, subject), BlobData(subject))
        if not await window.rely():
            return None
        return _Stored(put, window, write, changes, is_new=not (linked or write.found))

    async def _link(self, stored: _Stored) -> Sequence[datetime | None] | None:
        """Write the links of a revision, and point tags at it.

        Returns:
            The store's times of the answers; None if the window ended before the tags' switch.

        If some of the revision was there before, a deletion of it may be under way, and may take the new links. The
        writer therefore looks again, beside the switch of the tags, and writes the missing links again.
        """
        tags, writer, changes = self._tags.changes, self._revisions.writer, stored.changes
        whole, linked = False, None
        for _ in range(TAG_TRIES):
            for change in changes:
                tags.check(change)
            announced, linked = await gather(
                gather_map(tags.announce, changes, limit=self._at_once),
                _just(linked) if whole else writer.link(stored.write),
            )
            if changes and stored.window.is_late(linked):
                await gather_map(tags.take_back, announced, limit=self._at_once)
                return None
            # Asked for after the tags are announced: a deletion that begins later finds them.
            whole, switched = await gather(
                _just(True) if stored.is_new else writer.is_whole(stored.write),
                gather_map(tags.switch, announced, limit=self._at_once),
            )
            if whole and not [each for each in switched if not each.done]:
                return [linked, *[each.answered for each in switched]]
            anew = [each for each in zip(announced, switched, strict=True) if not (whole and each[1].done)]
            changes = await gather_map(
                lambda each: tags.again(each[0], switched=each[1].done), anew, limit=self._at_once
            )
        if changes:
            raise TagContended(self._name, changes[0].state.tag)
        raise Unavailable(
            stored.put.revision, f"others deleted it each of the {TAG_TRIES} times that it was stored"
        )

    async def _link_until_whole(self, write: RevisionWrite) -> None:
        """Write links until all are there, as far as the storage lets it."""
        for _ in range(TRIES):
            with suppress(RevstoreError):
                if await self._revisions.writer.is_whole(write):
                    return
                await self._revisions.writer.link(write)


async def _just(value: T) -> T:
    return value
