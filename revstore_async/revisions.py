"""The revision store: a repository's manifests by digest, each with its signatures.

The digest of a revision is that of its payload, which the signatures sign: however many hosts sign a manifest,
it is one revision.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from anyio import to_thread

from .blobs import BlobStore
from .concurrency import gather, gather_map
from .digest import Digest
from .driver import Driver, entries
from .errors import (
    ChainWithoutKeyID,
    InvalidJSON,
    InvalidManifest,
    InvalidSignature,
    KeyNotFound,
    LinkDangling,
    ManifestTooLarge,
    ManifestUnknown,
    ObjectTooLarge,
    RecordDamaged,
    TooManySignatures,
)
from .layout import Layout, Place, RevisionLink, RevisionMediaType, SignatureLink
from .links import LinkStore, expect
from .manifests import MANIFEST_LIMIT, check_media_type
from .names import RepositoryName
from .signatures import SIGNATURE_LIMIT, Signature, verify
from .threads import digest_of


@dataclass(frozen=True, slots=True)
class Revision:
    """A manifest as it is stored.

    Attributes:
        digest: The digest of the payload.
        payload: Its bytes, unsigned.
        signatures: All its signatures, in the order of a merged document.
    """

    digest: Digest
    payload: bytes = field(repr=False)
    signatures: tuple[Signature, ...]


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

    def _key(self, digest: Digest) -> str:
        return self._layout.key(RevisionLink(self._name, digest))

    # ---- reading

    async def exists(self, digest: Digest) -> bool:
        """Say whether the repository has a revision, link and content. One round trip, two requests.

        Raises:
            LinkDamaged: Its link holds something else.
        """
        link, found = await gather(self._links.find(self._key(digest)), self._blobs.present(digest))
        if link is not None:
            expect(link, digest)
        return link is not None and found is not None

    async def linked(self, digest: Digest) -> bool:
        """Say whether the repository has a link to a revision, whatever the link holds. One request."""
        return await self._links.linked(self._key(digest))

    async def get(self, digest: Digest, *, signatures: bool = True) -> Revision:
        """Return a revision with all its signatures.

        The link, the payload and the listing of the signatures are asked for together, then all signatures
        together, up to the driver's limit: one round trip without signatures, two with any number of them.
        The links to signatures are not read, their keys name the content.

        Args:
            digest: The revision's digest.
            signatures: False to leave the signatures out, and the listing of them.

        Raises:
            ManifestUnknown: The repository has no such revision.
            LinkDamaged: Its link holds something else.
            LinkDangling: The payload, or a signature, is linked but not stored.
            BlobDamaged: The payload or a signature is not what its digest says.
            ObjectTooLarge: The payload is over the limit of manifests.
            RecordDamaged: What is linked as a signature is none.
        """
        key = self._key(digest)
        link, payload, signed = await gather(
            self._links.find(key), self._fetch(digest), self._signatures_of(digest, wanted=signatures)
        )
        if link is None:
            raise ManifestUnknown(self._name, digest)
        expect(link, digest)
        if payload is None:
            raise LinkDangling(key, digest)
        if isinstance(payload, ObjectTooLarge):
            raise payload
        await self._blobs.verified(digest, payload)
        return Revision(digest, payload, await self._read_signatures(signed))

    async def signatures(self, digest: Digest) -> tuple[Signature, ...]:
        """Return the signatures of a revision, in the order of a merged document. Two round trips, or one.

        Raises:
            ManifestUnknown: The repository has no such revision.
            LinkDamaged: Its link holds something else.
            LinkDangling: A signature is linked but not stored.
            BlobDamaged: A signature is not what its digest says.
            RecordDamaged: What is linked as a signature is none.
        """
        link, signed = await gather(
            self._links.find(self._key(digest)), self._signatures_of(digest, wanted=True)
        )
        if link is None:
            raise ManifestUnknown(self._name, digest)
        expect(link, digest)
        return await self._read_signatures(signed)

    async def media_type(self, digest: Digest) -> str | None:
        """Return the media type that was kept beside a revision's link, if any. One request.

        Raises:
            RecordDamaged: What is kept is no media type.
        """
        key = self._layout.key(RevisionMediaType(self._name, digest))
        try:
            file = await self._driver.get(key, limit=1024)
            return check_media_type(file.content.decode("ascii"))
        except KeyNotFound:
            return None
        except (UnicodeDecodeError, InvalidManifest, ObjectTooLarge) as error:
            raise RecordDamaged(key, "it is not a media type") from error

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
        self, payload: bytes, signatures: Iterable[Signature] = (), *, media_type: str | None = None
    ) -> Digest:
        """Store a revision, or more signatures of it, and return its digest. Two round trips.

        Signatures that are there already stay: puts of one manifest signed by different hosts add up, whoever
        comes first.

        Args:
            payload: The manifest, unsigned.
            signatures: Signatures of it; each is verified.
            media_type: To keep beside the link, for a manifest that does not tell it itself.

        Raises:
            ManifestTooLarge: The payload has more than 4 MiB.
            InvalidManifest: The media type is none.
            InvalidSignature: A signature does not verify; nothing was written.
        """
        if len(payload) > MANIFEST_LIMIT:
            raise ManifestTooLarge(len(payload), MANIFEST_LIMIT)
        if media_type is not None:
            check_media_type(media_type)
        signed = tuple(signatures)
        await to_thread.run_sync(verify, payload, signed)
        digest = await digest_of(payload)
        stored, _ = await gather(
            self.write_content(digest, payload, signed, media_type=media_type),
            self.check_room(digest, signed),
        )
        await self.link(digest, stored)
        return digest

    async def check_room(self, digest: Digest, signatures: Sequence[Signature]) -> None:
        """Check that signatures can be added to those stored. One request; none without signatures.

        Raises:
            TooManySignatures: There would be more than `SIGNATURE_LIMIT`.
            ChainWithoutKeyID: One of these can stand only alone in a document, and there are others.
        """
        if not signatures:
            return
        stored = {link.digest for link in await self._signatures_of(digest, wanted=True)}
        added = {Digest.of(signature.blob) for signature in signatures}
        together = len(stored | added)
        if together > SIGNATURE_LIMIT:
            raise TooManySignatures(together, SIGNATURE_LIMIT)
        for index, signature in enumerate(signatures):
            if together > 1 and not signature.sortable:
                raise ChainWithoutKeyID(f"signatures[{index}]")

    async def write_content(
        self,
        digest: Digest,
        payload: bytes,
        signatures: Sequence[Signature],
        *,
        media_type: str | None = None,
    ) -> Sequence[Digest]:
        """Store what `link` makes visible: the payload, the signatures, the media type. One round trip.

        Nothing is verified here but the payload's digest.

        Args:
            digest: The payload's digest.
            payload: The manifest, unsigned.
            signatures: Signatures of it.
            media_type: To keep beside the link, in place of one that is kept; None to keep none.

        Returns:
            The digests of the signatures.
        """

        async def keep_media_type() -> None:
            if media_type is not None:
                key = self._layout.key(RevisionMediaType(self._name, digest))
                await self._driver.put(key, media_type.encode())

        stored, _, _ = await gather(
            gather_map(
                self._blobs.put,
                [signature.blob for signature in signatures],
                limit=self._driver.capabilities.connections,
            ),
            self._blobs.put(payload, digest=digest),
            keep_media_type(),
        )
        return [descriptor.digest for descriptor in stored]

    async def link(self, digest: Digest, signatures: Iterable[Digest] = ()) -> None:
        """Make stored content a revision of this repository, with these signatures. One round trip.

        Args:
            digest: The digest of the payload.
            signatures: The digests of signatures of it.
        """
        links = [
            (self._layout.key(SignatureLink(self._name, digest, signature)), signature)
            for signature in signatures
        ]
        links.append((self._key(digest), digest))
        await gather_map(
            lambda link: self._links.link(*link), links, limit=self._driver.capabilities.connections
        )

    async def add_signatures(self, digest: Digest, signatures: Iterable[Signature]) -> None:
        """Add signatures to a stored revision. Three round trips: its payload, the signatures, their links.

        Raises:
            ManifestUnknown: The repository has no such revision.
            InvalidSignature: A signature does not verify; nothing was written.
            Damaged: The stored revision can't be read.
        """
        added = tuple(signatures)
        revision = await self.get(digest, signatures=False)
        await to_thread.run_sync(verify, revision.payload, added)
        signed, _ = await gather(
            self.write_content(digest, revision.payload, added), self.check_room(digest, added)
        )
        await self.link(digest, signed)

    async def delete(self, digest: Digest) -> None:
        """Delete a revision, and its signatures, from this repository. Three round trips; content stays stored.

        Idempotent. What refers to it, as its subject, stays as well. Only the signatures that were there before
        are deleted: a put of the same manifest at the same time keeps those that it adds.
        """
        signed = await self._signatures_of(digest, wanted=True)
        await self._driver.delete(self._key(digest))
        beside: list[Place] = [RevisionMediaType(self._name, digest), *signed]
        await self._driver.delete_many([self._layout.key(place) for place in beside])

    # ---- signatures as they lie

    async def _fetch(self, digest: Digest) -> bytes | ObjectTooLarge | None:
        try:
            return await self._blobs.fetch(digest, limit=MANIFEST_LIMIT)
        except ObjectTooLarge as error:  # judged after the link: without one, nothing is told of the content
            return error

    async def _signatures_of(self, revision: Digest, *, wanted: bool) -> list[SignatureLink]:
        if not wanted:
            return []
        folder = self._layout.signatures_of(self._name, revision)
        places = [self._layout.parse(info.key) async for info in entries(self._driver.list_all, folder)]
        return [place for place in places if isinstance(place, SignatureLink)]

    async def _read_signatures(self, links: Sequence[SignatureLink]) -> tuple[Signature, ...]:
        read = await gather_map(self._read_signature, links, limit=self._driver.capabilities.connections)
        return tuple(sorted(read, key=lambda signature: signature.sort_key))

    async def _read_signature(self, place: SignatureLink) -> Signature:
        key = self._layout.key(place)
        blob = await self._blobs.fetch(place.digest, limit=MANIFEST_LIMIT)
        if blob is None:
            raise LinkDangling(key, place.digest)
        await self._blobs.verified(place.digest, blob)
        try:
            return Signature.from_blob(blob)
        except (InvalidJSON, InvalidSignature) as error:
            raise RecordDamaged(key, str(error)) from error
