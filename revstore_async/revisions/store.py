"""The revision store: a repository's manifests by digest, each with its signatures.

The digest of a revision is that of its payload, which the signatures sign. A manifest is one revision, however many
hosts sign it.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from copy import copy
from dataclasses import replace
from types import NoneType

from ..arguments import as_bytes, check_type
from ..blobs.gate import TRIES, Gate, Window
from ..blobs.links import LinkStore, expect
from ..blobs.store import BlobStore
from ..concurrency import gather
from ..driver import Driver, entries
from ..errors import (
    Damaged,
    ManifestSizeMismatch,
    ManifestTooLarge,
    ManifestUnknown,
)
from ..formats.descriptors import MANIFEST_LIMIT, canonical, check_media_type
from ..formats.digest import Digest
from ..formats.lenient_manifests import StoredKind
from ..formats.names import RepositoryName
from ..layout import BlobData, Layout, RevisionLink, SignatureLink
from ..signatures import Signature, verify
from ..signatures.entry import taken
from ..threads import digest_of, in_thread_if_large
from .kept_types import MediaTypeStore
from .reading import RevisionReader
from .revision import Revision, RevisionInfo, Signatures
from .signature_links import SignatureStore
from .writing import RevisionWriter


class RevisionStore:
    """The revisions of one repository.

    Attributes:
        writer: The steps of a put, for callers that take them together with others.
        gate: The gate of all writers.
    """

    def __init__(self, name: RepositoryName, blobs: BlobStore, driver: Driver, layout: Layout) -> None:
        self._name = name
        self.gate: Gate = blobs.writer.gate
        self._blobs = blobs
        self._driver = driver
        self._links = LinkStore(driver)
        self._layout = layout
        self._signatures = SignatureStore(name, blobs, driver, layout)
        self._media_types = MediaTypeStore(name, driver, layout)
        self._reader = RevisionReader(name, blobs, self._signatures, driver, layout)
        self.writer: RevisionWriter = RevisionWriter(
            name, blobs, self._signatures, self._media_types, driver, layout
        )

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
        link, found = await gather(self._links.find(self._key(digest)), self._blobs.stored(digest))
        if link is not None:
            expect(link, digest)
        return link is not None and found is not None

    async def rely_on(self, digest: str, size: int | None = None) -> None:
        """Check that a push can rely on a revision. 2 requests, 1 round trip.

        Only a caller with the right to push may ask. A damaged revision counts as missing; see
        `LayerStore.rely_on`.

        Args:
            digest: The revision's digest.
            size: Its size in bytes by an index; None without an index. The size of Docker schema 1 is not
                compared: the registry serves it with its signatures.

        Raises:
            ManifestUnknown: It is missing, or damaged; the damage is then the error's cause. Or the collector is
                deleting it.
            ManifestSizeMismatch: Its size is not the announced one.
            Unavailable: Runs of the collector came in between.
        """
        digest = Digest(digest)
        for _ in range(TRIES):
            window = await self.gate.open()
            await self.rely_within(window, digest, size)
            if await window.rely():
                return
        raise self.gate.gave_up(RevisionLink(self._name, digest))

    async def rely_within(self, window: Window, digest: Digest, size: int | None) -> None:
        """Check as `rely_on` that a push can rely on a revision, for a caller with a window of its own.

        The caller goes on by `Window.rely`. 1 round trip. Errors are those of `rely_on`.
        """
        if size is not None and type(size) is not int:
            check_type("size", size, int, NoneType)
        try:
            link, found = await gather(self._links.find(self._key(digest)), self._blobs.rely(digest))
            self._reader.check(link, digest)
        except Damaged as error:
            raise ManifestUnknown(self._name, digest) from error
        if found is None or isinstance(found, Damaged):
            raise ManifestUnknown(self._name, digest) from found
        known = self._reader.known(digest)
        if size not in {None, found.size} and not (known and known.schema1):
            raise ManifestSizeMismatch(self._name, digest, size or 0, found.size)
        if not window.admits(RevisionLink(self._name, digest), BlobData(digest)):
            raise ManifestUnknown(self._name, digest)

    async def linked(self, digest: str) -> bool:
        """Say whether the repository has a link to a revision, even one with wrong content. One request.

        Raises:
            InvalidDigest: The digest is outside the grammar.
        """
        digest = Digest(digest)
        return await self._links.linked(self._key(digest))

    async def get(self, digest: str, signatures: Signatures = Signatures.ALL) -> Revision:
        """Return a revision, by default with all its signatures.

        3 requests, 1 round trip: the link, the payload, the listing of signatures. Each signature is 1 request
        more, all together 1 round trip more: a link's key names its content, so links are not read.

        Args:
            digest: The revision's digest.
            signatures: The signatures to return. `SERVED` and `UNSIGNED` save the listing, as they say, and leave
                out damaged signatures.

        Raises:
            ManifestUnknown: The repository has no such revision.
            LinkDamaged: Its link holds something else.
            LinkDangling: The payload, or a signature, is linked but not stored.
            BlobDamaged: The bytes of the payload or of a signature have another digest.
            ObjectTooLarge: The payload is over the limit of manifests.
            RecordDamaged: A linked blob is not a signature.
            WrongType: An argument is of another type.
        """
        digest = Digest(digest)
        check_type("signatures", signatures, Signatures)
        known = self._reader.known(digest)
        listed = signatures is Signatures.ALL or (
            signatures is Signatures.SERVED if known is None else known.schema1
        )
        payload, signed = await self._reader.read(digest, listed=listed)
        revision = Revision(digest, payload, known or await self._reader.kind(digest, payload))
        if signatures is Signatures.ALL:
            return replace(revision, signatures=await self._signatures.read(signed))
        if not revision.kind.schema1:
            return revision
        if not listed:
            signed = await self._signatures.linked(digest)
        return await self._with_readable(revision, signed)

    async def read(self, digest: str, *, fresh: bool = False) -> Revision:
        """Return a revision without its signatures. 2 requests, 1 round trip.

        Args:
            digest: The revision's digest.
            fresh: Read the payload from the store and ignore memory, for a caller that relies on it.

        Raises:
            ManifestUnknown: The repository has no such revision.
            LinkDamaged: Its link holds something else.
            LinkDangling: The payload is linked but not stored.
            BlobDamaged: The bytes of the payload have another digest.
            ObjectTooLarge: The payload is over the limit of manifests.
        """
        digest = Digest(digest)
        payload, _ = await self._reader.read(digest, listed=False, fresh=fresh)
        return Revision(digest, payload, await self._reader.kind(digest, payload))

    async def payload(self, digest: str, *, fresh: bool = False) -> bytes:
        """Return a revision's payload. Costs and errors are those of `read`."""
        return (await self._reader.read(Digest(digest), listed=False, fresh=fresh))[0]

    async def with_signatures(self, revision: Revision, *, relying: bool = False) -> Revision:
        """Return a revision from `read` with its signatures. 2 round trips; 1 if it has no signature.

        Args:
            revision: The revision.
            relying: Raise the first damage of a signature; False leaves damaged ones out, unless no other is left.

        Raises:
            As `signatures`.
        """
        if relying:
            return replace(revision, signatures=await self.signatures(revision.digest))
        return await self._with_readable(revision, await self._reader.listed(revision.digest))

    def is_plain(self, digest: Digest) -> bool:
        """Say whether a revision was read before and is not Docker schema 1: it is served as stored. No request."""
        known = self._reader.known(digest)
        return known is not None and not known.schema1

    async def stat(self, digest: Digest, *, relying: bool = False) -> StoredKind | None:
        """Return the known facts about a revision, if its link and content are stored. 2 requests, 1 round trip.

        It asks for the content's size, and does not read it.

        Args:
            digest: The revision's digest.
            relying: True for a caller that relies on the stored content, and not on memory.

        Returns:
            None if only a read can tell: no read came before, the content has another size, or it is Docker
            schema 1, which the registry serves with its signatures.

        Raises:
            ManifestUnknown: The repository has no such revision.
            LinkDamaged: Its link holds something else.
            LinkDangling: The payload is linked but not stored.
            Damaged: The payload is known to be damaged, and the caller relies on it.
        """
        kind = self._reader.known(digest)
        if kind is None or kind.schema1:
            return None
        key = self._key(digest)
        link, found = await gather(self._links.find(key), self._blobs.rely(digest))
        self._reader.check(link, digest)
        if found is None:
            raise await self._links.without_content(key, digest, ManifestUnknown(self._name, digest))
        if isinstance(found, Damaged):
            if relying:
                raise copy(found)  # no cycle with this frame
            return None  # the registry serves the content in memory all the same
        return kind

    async def signatures(self, digest: str) -> tuple[Signature, ...]:
        """Return the signatures of a revision, in the order of a merged document.

        2 requests and 1 for each signature; 2 round trips, 1 if it has no signature.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            ManifestUnknown: The repository has no such revision.
            LinkDamaged: Its link holds something else.
            LinkDangling: A signature is linked but not stored.
            BlobDamaged: The bytes of a signature have another digest.
            RecordDamaged: A linked blob is not a signature.
        """
        digest = Digest(digest)
        return await self._signatures.read(await self._reader.listed(digest))

    async def media_type(self, digest: str) -> str | None:
        """Return the media type that is kept beside a revision's link, if any. 1 request.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            RecordDamaged: The kept file does not hold a media type.
        """
        digest = Digest(digest)
        return await self._media_types.find(digest)

    async def enumerate(self) -> AsyncIterator[RevisionInfo]:
        """Yield each revision of the repository, in the order of their digests. One request for 1,000 keys.

        Keys of a revision are its link and those of its signatures and referrers.
        """
        async for info in entries(self._driver.list_all, self._layout.revisions_of(self._name)):
            link = self._layout.parse(info.key)
            if isinstance(link, RevisionLink):
                yield RevisionInfo(link.digest, info.modified)

    # ---- writing

    async def put(
        self,
        payload: bytes | bytearray | memoryview,
        signatures: Iterable[Signature] = (),
        *,
        media_type: str | None = None,
    ) -> Digest:
        """Store a revision, or more signatures of it, and return its digest. 2 round trips.

        Signatures that are there already stay: puts of one manifest by several hosts add up, in any order. A media
        type that neither the manifest nor its form tells is kept beside the link: 1 round trip more.

        Args:
            payload: The manifest, unsigned.
            signatures: Signatures of it; each is verified.
            media_type: The type that the manifest came with.

        Raises:
            ManifestTooLarge: The payload has more than 4 MiB.
            InvalidManifest: The media type is outside its grammar.
            InvalidSignature: A signature does not verify, and nothing was written; or there are too many.
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
        kind = await self._reader.kind(digest, payload)
        given = None if kind.declared else media_type
        apparent = given is not None and canonical(given) == kind.media_type
        await self.writer.put(
            digest, payload, signed, schema1=kind.schema1, media_type=given, apparent=apparent
        )
        return digest

    async def add_signatures(self, digest: str, signatures: Iterable[Signature]) -> None:
        """Add signatures to a stored revision. 3 round trips: its payload, the signatures, their links.

        Raises:
            ManifestUnknown: The repository has no such revision.
            InvalidSignature: A signature does not verify; nothing was written.
            Damaged: The stored revision can't be read.
        """
        digest, added = Digest(digest), taken(signatures)
        own = RevisionLink(self._name, digest)
        for _ in range(TRIES):
            window = await self.gate.open(*self.writer.written(digest, added)[1:])
            revision = await self.read(digest)
            if not window.admits(own):
                raise ManifestUnknown(self._name, digest)
            await _verify_all(revision.payload, added)
            write = await self.writer.store(digest, revision.payload, added, schema1=revision.kind.schema1)
            if await window.rely():
                if (linked := await self.writer.link_signatures(write)) is not None:
                    await window.close(linked)
                return
        raise self.gate.gave_up(own)

    async def delete(self, digest: str) -> None:
        """Delete a revision and its signatures from this repository; content stays stored. Idempotent.

        2 round trips; with a subject 1 more; with signatures or a kept media type 2 more; 1 more if the manifest
        does not declare its type. Manifests that refer to it stay.

        The deletion takes only those objects that it found at its beginning. A put of the same manifest at the same
        time looks again after it has written its links, and writes them again (`RevisionWriter.is_whole`).
        """
        await self.writer.delete(Digest(digest))

    # ---- inside

    async def _with_readable(self, revision: Revision, signed: Sequence[SignatureLink]) -> Revision:
        signatures, unreadable = await self._signatures.readable(signed)
        if unreadable and not signatures:  # the client pushed a signed document
            raise copy(unreadable[0])  # no cycle with this frame
        return replace(revision, signatures=signatures, unreadable=unreadable)


async def _verify_all(payload: bytes, signatures: Sequence[Signature]) -> None:
    size = len(payload) + sum(len(signature.blob) for signature in signatures)
    await in_thread_if_large(size, verify, payload, signatures)
