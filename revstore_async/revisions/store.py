"""The revision store: a repository's manifests by digest, each with its signatures.

The digest of a revision is that of its payload, which the signatures sign: however many hosts sign a manifest,
it is one revision.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import NoneType

from ..arguments import as_bytes, check_type
from ..blobs.links import Link, LinkStore, expect
from ..blobs.store import BlobStore
from ..concurrency import gather, gather_map
from ..driver import Driver, IfMatch, entries
from ..errors import (
    ConditionFailed,
    Damaged,
    LinkDangling,
    ManifestSizeMismatch,
    ManifestTooLarge,
    ManifestUnknown,
    ObjectTooLarge,
)
from ..formats.descriptors import MANIFEST_LIMIT, canonical, check_media_type
from ..formats.digest import Digest
from ..formats.lenient_manifests import StoredDocument, StoredKind, kind_of, read_stored
from ..formats.names import RepositoryName
from ..layout import Layout, ReferrerLink, RevisionLink, RevisionMediaType, SignatureLink
from ..signatures import Signature, verify
from ..signatures.entry import taken
from ..threads import digest_of, in_thread_if_large
from .kept_types import KeptType, MediaTypeStore
from .signature_links import SignatureStore


@dataclass(frozen=True, slots=True)
class Revision:
    """A manifest as it is stored.

    Attributes:
        digest: The digest of the payload.
        payload: Its bytes, unsigned.
        signatures: All its signatures, in the order of a merged document.
        unreadable: What keeps signatures out that are stored, in a revision that was read to be served.
    """

    digest: Digest
    payload: bytes = field(repr=False)
    signatures: tuple[Signature, ...]
    unreadable: tuple[Damaged | ObjectTooLarge, ...] = ()


@dataclass(frozen=True, slots=True)
class RevisionInfo:
    """A revision as a listing tells of it.

    Attributes:
        digest: Its digest.
        linked: When it was put last, by the store's clock.
    """

    digest: Digest
    linked: datetime


class RevisionStore:
    """The revisions of one repository."""

    def __init__(self, name: RepositoryName, blobs: BlobStore, driver: Driver, layout: Layout) -> None:
        self._name = name
        self._blobs = blobs
        self._driver = driver
        self._links = LinkStore(driver)
        self._layout = layout
        self._signatures = SignatureStore(name, blobs, driver, layout)
        self._media_types = MediaTypeStore(name, driver, layout)

    def _key(self, digest: Digest) -> str:
        return self._layout.key(RevisionLink(self._name, digest))

    # ---- reading

    async def exists(self, digest: str) -> bool:
        """Say whether the repository has a revision, link and content. One round trip, two requests.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            LinkDamaged: Its link holds something else.
        """
        digest = Digest(digest)
        link, found = await gather(self._links.find(self._key(digest)), self._blobs.present(digest))
        if link is not None:
            expect(link, digest)
        return link is not None and found is not None

    async def rely_on(self, digest: str, size: int | None = None) -> None:
        """Check that a revision is here to rely on, for one who may push. One round trip, two requests.

        To one who may push, a damaged revision is not there; see `LayerStore.rely_on`.

        Args:
            digest: The revision's digest.
            size: Bytes that an index announces of it; None where nothing announces a size. The size of Docker
                schema 1 can't be told so: it is served with its signatures.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            ManifestUnknown: It is not here. Where it is here and damaged, the damage is the error's cause.
            ManifestSizeMismatch: Its size is not the announced one.
        """
        digest = Digest(digest)
        if size is not None and type(size) is not int:
            check_type("size", size, int, NoneType)
        try:
            link, found = await gather(self._links.find(self._key(digest)), self._blobs.rely(digest))
            self._judge(link, digest)
        except Damaged as error:
            raise ManifestUnknown(self._name, digest) from error
        if found is None or isinstance(found, Damaged):
            raise ManifestUnknown(self._name, digest) from found
        known = self._known(digest)
        if size not in {None, found.size} and not (known and known.schema1):
            raise ManifestSizeMismatch(self._name, digest, size or 0, found.size)

    async def linked(self, digest: str) -> bool:
        """Say whether the repository has a link to a revision, whatever the link holds. One request.

        Raises:
            InvalidDigest: The digest is outside the grammar.
        """
        digest = Digest(digest)
        return await self._links.linked(self._key(digest))

    async def get(self, digest: str, *, signatures: bool = True, fresh: bool = False) -> Revision:
        """Return a revision with all its signatures.

        The link, the payload and the listing of the signatures are asked for together, then all signatures
        together, up to the driver's limit: one round trip without signatures, two with any number of them.
        The links to signatures are not read, their keys name the content.

        Args:
            digest: The revision's digest.
            signatures: False to leave the signatures out, and the listing of them.
            fresh: Read the payload from the store, whatever is kept in memory: for a caller who relies on it.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            ManifestUnknown: The repository has no such revision.
            LinkDamaged: Its link holds something else.
            LinkDangling: The payload, or a signature, is linked but not stored.
            BlobDamaged: The payload or a signature is not what its digest says.
            ObjectTooLarge: The payload is over the limit of manifests.
            RecordDamaged: What is linked as a signature is none.
        """
        digest = Digest(digest)
        payload, signed = await self._read(digest, listed=signatures, fresh=fresh)
        return Revision(digest, payload, await self._signatures.read(signed))

    async def served(self, digest: Digest, *, likely_signed: bool = True) -> Revision:
        """Return a revision with the signatures that its document holds: all of Docker schema 1, none of another.

        As `get`; but where it is known not to be schema 1, because it was read before, signatures are not listed.
        A damaged signature is left out and named in `Revision.unreadable`, unless no signature is left.

        Args:
            digest: The revision's digest.
            likely_signed: False where schema 1 is not expected: of one that was not read before, signatures are
                not listed together with the payload. If it is schema 1 all the same, that is one round trip more.

        Raises:
            As `get`.
        """
        known = self._known(digest)
        listed = likely_signed if known is None else known.schema1
        payload, signed = await self._read(digest, listed=listed)
        kind = known or await self.kind(digest, payload)
        if not kind.schema1:
            return Revision(digest, payload, ())
        if not listed:
            signed = await self._signatures.linked(digest)
        return await self._with_readable(Revision(digest, payload, ()), signed)

    async def signed(self, revision: Revision, *, relying: bool = False) -> Revision:
        """Return a revision that was read without signatures together with them. Two round trips, or one.

        Args:
            revision: The revision.
            relying: Raise the first damage of a signature; otherwise it is left out, as `served` says.

        Raises:
            As `signatures`.
        """
        if relying:
            return replace(revision, signatures=await self.signatures(revision.digest))
        link, signed = await gather(
            self._links.find(self._key(revision.digest)), self._signatures.linked(revision.digest)
        )
        self._judge(link, revision.digest)
        return await self._with_readable(revision, signed)

    async def kind(self, digest: Digest, payload: bytes) -> StoredKind:
        """Return what is known for ever of a revision that was read. No request; it is read but once."""
        kind = self._known(digest)
        if kind is None:
            kind = await in_thread_if_large(len(payload), kind_of, payload)
            self._blobs.caches.facts.keep(digest, kind)
        return kind

    def plain(self, digest: Digest) -> bool:
        """Say whether a revision was read before and is served as it is stored, which Docker schema 1 is not.

        No request.
        """
        known = self._known(digest)
        return known is not None and not known.schema1

    async def stat(self, digest: Digest, *, relying: bool = False) -> StoredKind | None:
        """Return what is known of a revision that was read before, if link and content are there still.

        One round trip, two requests; the content is stated, not read.

        Args:
            digest: The revision's digest.
            relying: True for a caller who relies on what is stored, whatever is kept in memory.

        Returns:
            None for one that must be read to tell: it was not read before, the content has another size, or it
            is Docker schema 1, which is served with its signatures.

        Raises:
            ManifestUnknown: The repository has no such revision.
            LinkDamaged: Its link holds something else.
            LinkDangling: The payload is linked but not stored.
            Damaged: The payload is known to be damaged, and the caller relies on it.
        """
        kind = self._known(digest)
        if kind is None or kind.schema1:
            return None
        key = self._key(digest)
        link, found = await gather(self._links.find(key), self._blobs.rely(digest))
        self._judge(link, digest)
        if found is None:
            raise LinkDangling(key, digest)
        if isinstance(found, Damaged):
            if relying:
                raise copy(found)  # no cycle with this frame
            return None  # what is kept in memory is served all the same
        return kind

    async def signatures(self, digest: str) -> tuple[Signature, ...]:
        """Return the signatures of a revision, in the order of a merged document. Two round trips, or one.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            ManifestUnknown: The repository has no such revision.
            LinkDamaged: Its link holds something else.
            LinkDangling: A signature is linked but not stored.
            BlobDamaged: A signature is not what its digest says.
            RecordDamaged: What is linked as a signature is none.
        """
        digest = Digest(digest)
        link, signed = await gather(self._links.find(self._key(digest)), self._signatures.linked(digest))
        self._judge(link, digest)
        return await self._signatures.read(signed)

    async def media_type(self, digest: str) -> str | None:
        """Return the media type that was kept beside a revision's link, if any. One request.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            RecordDamaged: What is kept is no media type.
        """
        digest = Digest(digest)
        return await self._media_types.find(digest)

    async def enumerate(self) -> AsyncIterator[RevisionInfo]:
        """Yield each revision of the repository, in the order of their digests. One request for 1,000 keys.

        Keys of a revision are its link and those of its signatures and referrers.
        """
        async for info in entries(self._driver.list_all, self._layout.revisions_of(self._name)):
            place = self._layout.parse(info.key)
            if isinstance(place, RevisionLink):
                yield RevisionInfo(place.digest, info.modified)

    # ---- writing

    async def put(
        self,
        payload: bytes | bytearray | memoryview,
        signatures: Iterable[Signature] = (),
        *,
        media_type: str | None = None,
    ) -> Digest:
        """Store a revision, or more signatures of it, and return its digest. Two round trips.

        Signatures that are there already stay: puts of one manifest signed by different hosts add up, whoever
        comes first.

        Args:
            payload: The manifest, unsigned.
            signatures: Signatures of it; each is verified.
            media_type: The type that it came with: kept beside the link where the manifest neither declares a
                type nor tells this one by its form, which is one round trip more.

        Raises:
            ManifestTooLarge: The payload has more than 4 MiB.
            InvalidManifest: The media type is none.
            InvalidSignature: A signature does not verify; nothing was written. Or there is no room for them.
            MediaTypeConflict: Another type is kept of the same manifest.
            WrongType: An argument is of another type.
        """
        payload = as_bytes("payload", payload)
        if len(payload) > MANIFEST_LIMIT:
            raise ManifestTooLarge(len(payload), MANIFEST_LIMIT)
        check_type("media_type", media_type, str, NoneType)
        if media_type is not None:
            check_media_type(media_type)
        signed = taken(signatures)
        await _verify_all(payload, signed)
        digest = await digest_of(payload)
        kind = await self.kind(digest, payload)
        given = None if kind.declared else media_type
        stored, _, kept = await gather(
            self.write_content(digest, payload, signed),
            self.check_room(digest, payload, signed),
            self.check_media_type(
                digest, given, apparent=given is not None and canonical(given) == kind.media_type
            ),
        )
        await self.link(digest, stored, kept=kept)
        return digest

    async def check_room(self, digest: Digest, payload: bytes, signatures: Sequence[Signature]) -> bool:
        """Check that signatures can be added to those stored. One request; none without signatures.

        Returns:
            Whether one of them is stored already.

        A round trip more, and a request for each stored signature, where those and these might come to more than
        4 MiB: with more than a hundred stored, or a large payload of schema 1.

        Raises:
            TooManySignatures: There would be more than `SIGNATURE_LIMIT`.
            SignaturesTooLarge: Written together they would be larger than is taken back.
            ChainWithoutKeyID: One of these can stand only alone in a document, and there are others.
        """
        if signatures:
            schema1 = (await self.kind(digest, payload)).schema1
            return await self._signatures.check_room(digest, signatures, payload if schema1 else None)
        return False

    async def check_media_type(
        self, digest: Digest, media_type: str | None, *, apparent: bool
    ) -> KeptType | None:
        """Return what `link` must keep for a manifest to be served as this type. 2 requests; none without a type.

        Args:
            digest: The revision.
            media_type: The type that it came with; None where it declares one, or came with none.
            apparent: Whether its form tells the same type.

        Raises:
            MediaTypeConflict: Another type is kept of it.
        """
        if media_type is None:
            return None
        kept, etag = await gather(
            self._media_types.judge(digest, media_type, apparent=apparent),
            self._links.etag(self._key(digest)),
        )
        return replace(kept, link=etag) if kept is not None and kept.stored else kept

    async def write_content(
        self,
        digest: Digest,
        payload: bytes,
        signatures: Sequence[Signature],
    ) -> Sequence[Digest]:
        """Store what `link` makes visible: the payload and the signatures. One round trip.

        Nothing is verified here but the payload's digest.

        Args:
            digest: The payload's digest.
            payload: The manifest, unsigned.
            signatures: Signatures of it.

        Returns:
            The digests of the signatures.
        """
        stored, _ = await gather(
            gather_map(
                self._blobs.put,
                [signature.blob for signature in signatures],
                limit=self._driver.capabilities.connections,
            ),
            self._blobs.put(payload, digest=digest),
        )
        return [descriptor.digest for descriptor in stored]

    async def link(
        self,
        digest: Digest,
        signatures: Iterable[Digest] = (),
        *,
        subject: Digest | None = None,
        kept: KeptType | None = None,
    ) -> None:
        """Make stored content a revision of this repository, with these signatures. One round trip.

        One more where a media type is to be kept that was not there: without it, nobody may see the revision.

        Args:
            digest: The digest of the payload.
            signatures: The digests of signatures of it.
            subject: The manifest that it is about, among whose referrers it is listed from now on.
            kept: What `check_media_type` returned.

        Raises:
            MediaTypeConflict: Another type has been kept of it since; nothing was linked.
        """
        links = self._signature_links(digest, signatures)
        if subject is not None:
            links.append((self._layout.key(ReferrerLink(self._name, subject, digest)), digest))
        if kept is not None and kept.stored:
            if await self._linked_beside(digest, links, kept):
                return
            # A deletion is under way, or left the type. It deletes only the object that it found.
            await self._media_types.overwrite(digest, kept.media_type)
        elif kept is not None:
            await self._media_types.keep(digest, kept.media_type)
        await self._write_links([*links, (self._key(digest), digest)])

    async def _linked_beside(
        self, digest: Digest, links: Sequence[tuple[str, Digest]], kept: KeptType
    ) -> bool:
        """Link a revision beside the media type that was found there; return whether that was there all the time.

        A deletion takes a revision's link before its media type. While the link is the one that was found with the
        type, no deletion has taken the type.
        """
        if not self._driver.capabilities.conditional_put:
            await gather(
                self._write_links([*links, (self._key(digest), digest)]),
                self._media_types.renew(digest, kept.media_type),
            )
            return True
        if kept.link is None:
            return False
        _, linked = await gather(
            self._write_links(links), self._links.relink(self._key(digest), digest, kept.link)
        )
        return linked

    async def is_whole(
        self,
        digest: Digest,
        signatures: Iterable[Digest] = (),
        *,
        subject: Digest | None = None,
        kept: KeptType | None = None,
    ) -> bool:
        """Return whether all that `link` wrote is there: a deletion at the same time may have taken some of it.

        1 round trip: 1 request, 1 more with signatures, with a subject and with a kept media type each.
        """
        keys = [self._key(digest)]
        if subject is not None:
            keys.append(self._layout.key(ReferrerLink(self._name, subject, digest)))
        if kept is not None:
            keys.append(self._layout.key(RevisionMediaType(self._name, digest)))
        wanted = {*signatures}

        async def signed() -> bool:
            return not wanted or wanted <= {link.digest for link in await self._signatures.linked(digest)}

        found = await gather(signed(), *(self._links.linked(key) for key in keys))
        return all(found)

    async def add_signatures(self, digest: str, signatures: Iterable[Signature]) -> None:
        """Add signatures to a stored revision. Three round trips: its payload, the signatures, their links.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            ManifestUnknown: The repository has no such revision.
            InvalidSignature: A signature does not verify; nothing was written.
            Damaged: The stored revision can't be read.
        """
        digest = Digest(digest)
        added = taken(signatures)
        revision = await self.get(digest, signatures=False)
        await _verify_all(revision.payload, added)
        signed, _ = await gather(
            self.write_content(digest, revision.payload, added),
            self.check_room(digest, revision.payload, added),
        )
        # Not its own link: a revision that was deleted meanwhile would be back.
        await self._write_links(self._signature_links(digest, signed))

    async def delete(self, digest: str) -> None:
        """Delete a revision, and its signatures, from this repository; content stays stored. Idempotent.

        2 round trips; 1 more for a revision with a subject, among whose referrers it is no longer listed; 2 more
        with signatures or a kept media type; 1 more for one that does not declare its type. What refers to it, as
        its subject, stays as well.

        The link among the referrers goes first: when the deletion dies there, repeating it still finds the
        revision. Its own link goes before what lies beside it, so that no reader sees it without, and once more
        after: a put that came in between relies on what was deleted then. Only what was beside it before is
        deleted. A put of the same manifest at the same time looks again after it has written its links (see
        `is_whole`), and writes them again.

        Raises:
            InvalidDigest: The digest is outside the grammar.
        """
        digest = Digest(digest)
        signed, document = await gather(self._signatures.linked(digest), self._document(digest))
        kept = self._layout.key(RevisionMediaType(self._name, digest))
        etag = None if document is not None and document.declared else await self._links.etag(kept)
        if document is not None and document.subject is not None:
            await self._driver.delete(self._layout.key(ReferrerLink(self._name, document.subject, digest)))
        await self._driver.delete(self._key(digest))
        if etag is not None:
            exact = self._driver.capabilities.conditional_delete
            with suppress(ConditionFailed):
                await self._driver.delete(kept, condition=IfMatch(etag) if exact else None)
        if signed:
            await self._driver.delete_many([self._layout.key(place) for place in signed])
        if signed or etag is not None:
            await self._driver.delete(self._key(digest))

    # ---- inside

    async def _with_readable(self, revision: Revision, signed: Sequence[SignatureLink]) -> Revision:
        signatures, unreadable = await self._signatures.readable(signed)
        if unreadable and not signatures:  # an unsigned document would be another one than was pushed
            raise copy(unreadable[0])  # no cycle with this frame
        return replace(revision, signatures=signatures, unreadable=unreadable)

    async def _fetch(self, digest: Digest, *, fresh: bool = False) -> bytes | ObjectTooLarge | None:
        try:
            return await self._blobs.fetch(digest, limit=MANIFEST_LIMIT, fresh=fresh)
        except ObjectTooLarge as error:  # judged after the link: without one, nothing is told of the content
            return error

    def _known(self, digest: Digest) -> StoredKind | None:
        return self._blobs.caches.facts.find(StoredKind, digest)

    def _judge(self, link: Link | None, digest: Digest) -> None:
        if link is None:
            raise ManifestUnknown(self._name, digest)
        expect(link, digest)

    async def _read(
        self, digest: Digest, *, listed: bool, fresh: bool = False
    ) -> tuple[bytes, Sequence[SignatureLink]]:
        """Return a revision's payload, and the links of its signatures if they are to be listed. One round trip."""
        key = self._key(digest)
        signed: Sequence[SignatureLink] = ()
        payload: bytes | ObjectTooLarge | None = None if fresh else self._blobs.kept(digest)
        # What is kept needs no task of its own, which would be most of what such a read costs.
        if payload is None and listed:
            link, payload, signed = await gather(
                self._links.find(key), self._fetch(digest, fresh=fresh), self._signatures.linked(digest)
            )
        elif payload is None:
            link, payload = await gather(self._links.find(key), self._fetch(digest, fresh=fresh))
        elif listed:
            link, signed = await gather(self._links.find(key), self._signatures.linked(digest))
        else:
            link = await self._links.find(key)
        self._judge(link, digest)
        if payload is None:
            raise LinkDangling(key, digest)
        if isinstance(payload, ObjectTooLarge):
            raise copy(payload)  # no cycle with this frame
        return await self._blobs.verified(digest, payload), signed

    def _signature_links(self, digest: Digest, signatures: Iterable[Digest]) -> list[tuple[str, Digest]]:
        return [
            (self._layout.key(SignatureLink(self._name, digest, signature)), signature)
            for signature in signatures
        ]

    async def _write_links(self, links: Sequence[tuple[str, Digest]]) -> None:
        await gather_map(
            lambda link: self._links.link(*link), links, limit=self._driver.capabilities.connections
        )

    async def _document(self, digest: Digest) -> StoredDocument | None:
        """Return a revision's document; None for one whose content is gone or too large.

        A referrer's link that is left for such a one shows nothing: who lists them asks for the revision's own.
        """
        payload = await self._fetch(digest)
        if not isinstance(payload, bytes):
            return None
        return await in_thread_if_large(len(payload), read_stored, payload)


async def _verify_all(payload: bytes, signatures: Sequence[Signature]) -> None:
    size = len(payload) + sum(len(signature.blob) for signature in signatures)
    await in_thread_if_large(size, verify, payload, signatures)
