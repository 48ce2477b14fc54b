"""The signatures of a repository's revisions: each is a blob of its own, linked beside the revision."""

from collections.abc import Sequence
from typing import Final

from ..blobs.store import BlobStore
from ..concurrency import gather_map
from ..driver import Driver, entries
from ..errors import (
    ChainWithoutKeyID,
    Damaged,
    InvalidJSON,
    InvalidSignature,
    LinkDangling,
    ObjectTooLarge,
    RecordDamaged,
    SignaturesTooLarge,
    TooManySignatures,
)
from ..formats.digest import Digest
from ..formats.manifests import MANIFEST_LIMIT
from ..formats.names import RepositoryName
from ..layout import Layout, SignatureLink
from ..signatures import SIGNATURE_BYTES, SIGNATURE_LIMIT, Signature, entry_overhead

TOGETHER_LIMIT: Final = MANIFEST_LIMIT - 1024
"""Bytes of a revision's signatures, merged with it or listed, so that what is served is also taken."""

_COPIES: Final = 4  # how often about a signature holds its blob's bytes: as they are, and read


class SignatureStore:
    """The signatures of one repository's revisions, as they lie."""

    def __init__(self, name: RepositoryName, blobs: BlobStore, driver: Driver, layout: Layout) -> None:
        self._name = name
        self._blobs = blobs
        self._driver = driver
        self._layout = layout

    async def linked(self, revision: Digest) -> list[SignatureLink]:
        """Return the links to the signatures of a revision, unread: their keys name the content. One request."""
        folder = self._layout.signatures_of(self._name, revision)
        places = [self._layout.parse(info.key) async for info in entries(self._driver.list_all, folder)]
        return [place for place in places if isinstance(place, SignatureLink)]

    async def read(self, links: Sequence[SignatureLink]) -> tuple[Signature, ...]:
        """Return the linked signatures, in the order of a merged document. One round trip.

        Raises:
            LinkDangling: A signature is linked but not stored.
            BlobDamaged: A signature is not what its digest says.
            RecordDamaged: What is linked as a signature is none.
        """
        read = await gather_map(self._read_one, links, limit=self._driver.capabilities.connections)
        return tuple(sorted(read, key=lambda signature: signature.sort_key))

    async def readable(
        self, links: Sequence[SignatureLink]
    ) -> tuple[tuple[Signature, ...], tuple[Damaged | ObjectTooLarge, ...]]:
        """Return the linked signatures that can be read, and what keeps the others out. One round trip.

        The signatures are in the order of a merged document.
        """

        async def read(place: SignatureLink) -> Signature | Damaged | ObjectTooLarge:
            try:
                return await self._read_one(place)
            except (Damaged, ObjectTooLarge) as error:
                return error

        found = await gather_map(read, links, limit=self._driver.capabilities.connections)
        signatures = [each for each in found if isinstance(each, Signature)]
        return (
            tuple(sorted(signatures, key=lambda signature: signature.sort_key)),
            tuple(each for each in found if not isinstance(each, Signature)),
        )

    async def check_room(
        self, revision: Digest, signatures: Sequence[Signature], payload: bytes | None
    ) -> bool:
        """Check that signatures can be added to those stored. One request; see `RevisionStore.check_room`.

        Returns:
            Whether one of them is stored already.

        Args:
            revision: The revision.
            signatures: What is to be added.
            payload: The payload with which they are merged into one document; None where they are only listed.

        Raises:
            TooManySignatures: There would be more than `SIGNATURE_LIMIT`.
            SignaturesTooLarge: Written together they would be larger than is taken back.
            ChainWithoutKeyID: One of these can stand only alone in a document, and there are others.
        """
        added = {Digest.of(signature.blob): len(signature.blob) for signature in signatures}
        linked = {link.digest for link in await self.linked(revision)}
        stored = sorted(linked - added.keys())
        together = len(stored) + len(added)
        if together > SIGNATURE_LIMIT:
            raise TooManySignatures(together, SIGNATURE_LIMIT)
        for index, signature in enumerate(signatures):
            if together > 1 and not signature.sortable:
                raise ChainWithoutKeyID(f"signatures[{index}]")
        around = len(payload or b"") + together * (1 if payload is None else entry_overhead(payload))
        size = around + sum(added.values())
        if size + len(stored) * SIGNATURE_BYTES > TOGETHER_LIMIT:
            sizes = await gather_map(self._size, stored, limit=self._driver.capabilities.connections)
            size += sum(sizes)
        if size > TOGETHER_LIMIT:
            raise SignaturesTooLarge(size, TOGETHER_LIMIT)
        return not linked.isdisjoint(added)

    async def _size(self, signature: Digest) -> int:
        """Return the bytes of a stored signature; none of one that is lost, which nobody is served."""
        found = await self._blobs.present(signature)
        return found.size if found else 0

    async def _read_one(self, place: SignatureLink) -> Signature:
        kept = self._blobs.caches.content
        if (signature := kept.find(Signature, place.digest)) is not None:
            return signature
        key = self._layout.key(place)
        blob = await self._blobs.fetch(place.digest, limit=MANIFEST_LIMIT)
        if blob is None:
            raise LinkDangling(key, place.digest)
        await self._blobs.verified(place.digest, blob, keep=False)
        try:
            signature = Signature.from_blob(blob)
        except (InvalidJSON, InvalidSignature) as error:
            raise RecordDamaged(key, str(error)) from error
        kept.keep(place.digest, signature, _COPIES * len(blob))
        return signature
