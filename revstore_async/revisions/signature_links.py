"""The signatures of a repository's revisions: each is a blob of its own, linked beside the revision."""

from collections.abc import Sequence
from typing import Final

from ..blobs.links import LinkStore
from ..blobs.store import BlobStore
from ..concurrency import gather_map
from ..driver import Driver, entries
from ..errors import (
    ChainWithoutKeyID,
    Damaged,
    InvalidJSON,
    InvalidSignature,
    ManifestUnknown,
    ObjectTooLarge,
    RecordDamaged,
    SignaturesTooLarge,
    TooManySignatures,
)
from ..formats.descriptors import MANIFEST_LIMIT
from ..formats.digest import Digest
from ..formats.names import RepositoryName
from ..layout import Layout, SignatureLink
from ..signatures import SIGNATURE_BYTES, SIGNATURE_LIMIT, Signature, entry_overhead

TOGETHER_LIMIT: Final = MANIFEST_LIMIT - 1024
"""The most bytes of a revision's signatures, merged with it or listed: a push may carry back all of them."""

_COPIES: Final = 4  # about how many times a signature holds its blob's bytes: raw, and parsed


class SignatureStore:
    """The signatures of one repository's revisions, as the store holds them."""

    def __init__(self, name: RepositoryName, blobs: BlobStore, driver: Driver, layout: Layout) -> None:
        self._name = name
        self._blobs = blobs
        self._driver = driver
        self._links = LinkStore(driver)
        self._layout = layout

    async def linked(self, revision: Digest) -> list[SignatureLink]:
        """Return the links to the signatures of a revision, unread: their keys name the content. 1 request."""
        folder = self._layout.signatures_of(self._name, revision)
        items = [self._layout.parse(info.key) async for info in entries(self._driver.list_all, folder)]
        return [item for item in items if isinstance(item, SignatureLink)]

    async def read(self, links: Sequence[SignatureLink]) -> tuple[Signature, ...]:
        """Return the linked signatures, in the order of a merged document. 1 round trip.

        Raises:
            LinkDangling: A signature is linked but not stored.
            BlobDamaged: The bytes of a signature don't match its digest.
            RecordDamaged: A linked blob does not hold a signature.
        """
        read = await gather_map(self._read_one, links, limit=self._driver.capabilities.connections)
        return tuple(sorted(read, key=lambda signature: signature.sort_key))

    async def readable(
        self, links: Sequence[SignatureLink]
    ) -> tuple[tuple[Signature, ...], tuple[Damaged | ObjectTooLarge, ...]]:
        """Return the linked signatures that can be read, and the errors of the others. 1 round trip.

        The signatures are in the order of a merged document.
        """

        async def read(link: SignatureLink) -> Signature | Damaged | ObjectTooLarge:
            try:
                return await self._read_one(link)
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
        """Check that signatures can be added to those stored; return whether one of them is stored already.

        1 request. If all of them might come to more than 4 MiB, 1 round trip more: 1 request for each stored one.

        Args:
            revision: The revision.
            signatures: The signatures to add.
            payload: The payload with which they are merged into one document; None if they are only listed.

        Raises:
            TooManySignatures: There would be more than `SIGNATURE_LIMIT`.
            SignaturesTooLarge: Written together they would be larger than the registry takes back.
            ChainWithoutKeyID: A signature that can only stand alone in a document would stand with others.
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
        """Return the bytes of a stored signature; 0 if its blob is missing, since it is never served."""
        found = await self._blobs.stored(signature)
        return found.size if found else 0

    async def _read_one(self, link: SignatureLink) -> Signature:
        kept = self._blobs.caches.content
        if (signature := kept.find(Signature, link.digest)) is not None:
            return signature
        key = self._layout.key(link)
        blob = await self._blobs.fetch(link.digest, limit=MANIFEST_LIMIT)
        if blob is None:
            absent = ManifestUnknown(link.name, link.revision)
            raise await self._links.without_content(key, link.digest, absent)
        await self._blobs.verified(link.digest, blob, keep=False)
        try:
            signature = Signature.from_blob(blob)
        except (InvalidJSON, InvalidSignature) as error:
            raise RecordDamaged(key, str(error)) from error
        kept.keep(link.digest, signature, _COPIES * len(blob))
        return signature
