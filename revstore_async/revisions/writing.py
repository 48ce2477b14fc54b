"""The steps by which a revision is written and deleted: its content, the links, a look at the links.

No reader sees a revision before its content and its kept media type are stored. A deletion at the same time may
take some of the links; the writer therefore looks again.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from operator import call

from ..blobs.gate import TRIES
from ..blobs.links import LinkStore
from ..blobs.store import BlobStore
from ..concurrency import gather, gather_map
from ..driver import Driver, IfMatch
from ..errors import ConditionFailed, ObjectTooLarge
from ..formats.descriptors import MANIFEST_LIMIT
from ..formats.digest import Digest
from ..formats.lenient_manifests import StoredDocument, read_stored
from ..formats.names import RepositoryName
from ..layout import (
    BlobData,
    Layout,
    ReferrerLink,
    RevisionLink,
    RevisionMediaType,
    SignatureLink,
    StoredObject,
)
from ..signatures import Signature
from ..threads import in_thread_if_large
from .kept_types import KeptType, MediaTypeStore
from .revision import RevisionWrite
from .signature_links import SignatureStore


class RevisionWriter:
    """Writes the revisions of one repository, for callers that take these steps together with others."""

    def __init__(
        self,
        name: RepositoryName,
        blobs: BlobStore,
        signatures: SignatureStore,
        media_types: MediaTypeStore,
        driver: Driver,
        layout: Layout,
    ) -> None:
        self._name = name
        self._blobs = blobs
        self._gate = blobs.writer.gate
        self._driver = driver
        self._links = LinkStore(driver)
        self._layout = layout
        self._signatures = signatures
        self._media_types = media_types

    async def store(
        self,
        digest: Digest,
        payload: bytes,
        signatures: Sequence[Signature] = (),
        *,
        schema1: bool = False,
        media_type: str | None = None,
        apparent: bool = False,
        subject: Digest | None = None,
    ) -> RevisionWrite:
        """Store the content that `link` makes visible, and check that the links can be written. 1 round trip.

        1 request for the payload and for each signature; with signatures 1 more for the listing of the stored
        ones; with a media type 2 more. It verifies nothing: the caller did. If all signatures might
        come to more than 4 MiB, their sizes are asked for: 1 round trip, and 1 request for each stored one.

        Args:
            digest: The payload's digest, as the caller computed it.
            payload: The manifest, unsigned.
            signatures: Signatures of it.
            schema1: Whether it is Docker schema 1, into which the signatures are merged.
            media_type: The type that it came with; None if it declares one, or came with none.
            apparent: Whether its form shows the same type.
            subject: The manifest that it is about, if any.

        Raises:
            TooManySignatures: There would be more than `SIGNATURE_LIMIT`.
            SignaturesTooLarge: Written together they would be larger than the registry takes back.
            ChainWithoutKeyID: A signature that can only stand alone in a document would stand with others.
            MediaTypeConflict: Another type is kept of the manifest.
        """
        if not signatures and media_type is None:
            await self._blobs.writer.store(digest, payload)
            return RevisionWrite(digest, subject=subject)
        blobs = {Digest.of(signature.blob): signature.blob for signature in signatures}
        _, _, known, kept = await gather(
            self._blobs.writer.store(digest, payload),
            gather_map(
                call,
                [partial(self._blobs.writer.store, *blob) for blob in blobs.items()],
                limit=self._driver.capabilities.connections,
            ),
            self._has_some(digest, signatures, payload if schema1 else None),
            self._kept(digest, media_type, apparent=apparent),
        )
        found = known or (kept is not None and kept.stored)
        return RevisionWrite(digest, tuple(blobs), subject, kept, found)

    async def put(
        self,
        digest: Digest,
        payload: bytes,
        signatures: Sequence[Signature],
        *,
        schema1: bool,
        media_type: str | None,
        apparent: bool,
    ) -> None:
        """Store and link a revision through the gate of writers. 2 round trips.

        Arguments and errors are those of `store` and `link`.

        Raises:
            BeingCollected: The collector is deleting the same revision.
            Unavailable: Runs of the collector came in between.
        """
        for _ in range(TRIES):
            window = await self._gate.open(*self.written(digest, signatures))
            write = await self.store(
                digest, payload, signatures, schema1=schema1, media_type=media_type, apparent=apparent
            )
            if await window.rely():
                await window.close(await self.link(write))
                return
        raise self._gate.gave_up(RevisionLink(self._name, digest))

    def written(self, digest: Digest, signatures: Sequence[Signature] = ()) -> Sequence[StoredObject]:
        """Return the objects of a revision for the gate: its link, and the contents."""
        contents = [BlobData(digest), *[BlobData(Digest.of(each.blob)) for each in signatures]]
        return [RevisionLink(self._name, digest), *contents]

    async def link(self, write: RevisionWrite) -> datetime | None:
        """Make stored content a revision of this repository, with its signatures. 1 round trip.

        1 round trip more if a media type is to be kept that was absent: no reader may see the revision without
        it.

        Returns:
            The store's time of the last link.

        Raises:
            MediaTypeConflict: Another type has been kept of it since; nothing was linked.
        """
        links = [
            *self._beside(write),
            (self._layout.key(RevisionLink(self._name, write.digest)), write.digest),
        ]
        kept = write.kept
        if kept is not None and kept.stored:
            if (linked := await self._linked_beside(write, kept, links)) is not None:
                return linked
            # A deletion is under way, or left the type. It deletes only the object that it found.
            await self._media_types.overwrite(write.digest, kept.media_type)
        elif kept is not None:
            await self._media_types.keep(write.digest, kept.media_type)
        return await self._write_links(links)

    async def link_signatures(self, write: RevisionWrite) -> datetime | None:
        """Link the signatures of a revision, and not the revision: it may be deleted by now. 1 round trip.

        Returns:
            The store's time of the last link; None without signatures.
        """
        return await self._write_links(self._beside(write))

    async def is_whole(self, write: RevisionWrite) -> bool:
        """Return whether all that `link` wrote is there: a deletion at the same time may have taken some of it.

        1 round trip: 1 request, 1 more with signatures, with a subject and with a kept media type each.
        """
        keys = [self._layout.key(RevisionLink(self._name, write.digest))]
        if write.subject is not None:
            keys.append(self._layout.key(ReferrerLink(self._name, write.subject, write.digest)))
        if write.kept is not None:
            keys.append(self._layout.key(RevisionMediaType(self._name, write.digest)))
        looks = [self._links.linked(key) for key in keys]
        if write.signatures:
            looks.append(self._has_all(write))
        return all(await gather(*looks)) if len(looks) > 1 else await looks[0]

    async def delete(self, digest: Digest) -> None:
        """Delete a revision; costs are those of `RevisionStore.delete`.

        The link among the referrers goes first: if the deletion dies there, its repetition still finds the
        revision. The revision's own link goes before the objects beside it, so that no reader sees the revision
        without them. It goes once more after them: a put in between relies on the deleted objects.
        """
        signed, document = await gather(self._signatures.linked(digest), self._document(digest))
        own = self._layout.key(RevisionLink(self._name, digest))
        kept = self._layout.key(RevisionMediaType(self._name, digest))
        etag = None if document is not None and document.declared else await self._links.etag(kept)
        if document is not None and document.subject is not None:
            await self._driver.delete(self._layout.key(ReferrerLink(self._name, document.subject, digest)))
        await self._driver.delete(own)
        if etag is not None:
            exact = self._driver.capabilities.conditional_delete
            with suppress(ConditionFailed):
                await self._driver.delete(kept, condition=IfMatch(etag) if exact else None)
        if signed:
            await self._driver.delete_many([self._layout.key(link) for link in signed])
        if signed or etag is not None:
            await self._driver.delete(own)

    # ---- inside

    async def _document(self, digest: Digest) -> StoredDocument | None:
        """Return a revision's document; None if its content is gone or too large.

        The link among the referrers then stays, and does no harm: a listing asks for the revision's own link.
        """
        try:
            payload = await self._blobs.fetch(digest, limit=MANIFEST_LIMIT)
        except ObjectTooLarge:
            return None
        return None if payload is None else await in_thread_if_large(len(payload), read_stored, payload)

    async def _has_some(self, digest: Digest, signatures: Sequence[Signature], payload: bytes | None) -> bool:
        """Check that signatures can be added; return whether one of them is there. 1 request; 0 without any."""
        return bool(signatures) and await self._signatures.check_room(digest, signatures, payload)

    async def _has_all(self, write: RevisionWrite) -> bool:
        linked = await self._signatures.linked(write.digest)
        return {*write.signatures} <= {link.digest for link in linked}

    async def _kept(self, digest: Digest, media_type: str | None, *, apparent: bool) -> KeptType | None:
        """Return the type that `link` must keep. 2 requests; 0 without a type.

        Raises:
            MediaTypeConflict: Another type is kept.
        """
        if media_type is None:
            return None
        kept, etag = await gather(
            self._media_types.check(digest, media_type, apparent=apparent),
            self._links.etag(self._layout.key(RevisionLink(self._name, digest))),
        )
        return replace(kept, link=etag) if kept is not None and kept.stored else kept

    async def _linked_beside(
        self, write: RevisionWrite, kept: KeptType, links: Sequence[tuple[str, Digest]]
    ) -> datetime | None:
        """Link a revision beside the media type that was found; return None if the type was not there all the time.

        A deletion takes a revision's link before its media type. While the link is the one that was found with the
        type, no deletion has taken the type.

        Returns:
            The store's time of the last link.
        """
        if not self._driver.capabilities.conditional_put:
            return (
                await gather(self._write_links(links), self._media_types.renew(write.digest, kept.media_type))
            )[0]
        if kept.link is None:
            return None
        *beside, (key, digest) = links
        last, linked = await gather(self._write_links(beside), self._links.relink(key, digest, kept.link))
        return linked if linked is None or last is None else max(last, linked)

    def _beside(self, write: RevisionWrite) -> Sequence[tuple[str, Digest]]:
        """Return the links beside a revision's own: of its signatures, and of it among the referrers."""
        links = [
            (self._layout.key(SignatureLink(self._name, write.digest, signature)), signature)
            for signature in write.signatures
        ]
        if write.subject is not None:
            referrer = ReferrerLink(self._name, write.subject, write.digest)
            links.append((self._layout.key(referrer), write.digest))
        return links

    async def _write_links(self, links: Sequence[tuple[str, Digest]]) -> datetime | None:
        """Write links; return the store's time of the last one, None without links. 1 round trip."""
        writes = [partial(self._links.link, *link) for link in links]
        times = await gather_map(call, writes, limit=self._driver.capabilities.connections)
        return max(times, default=None)
