"""Reads the payloads of a repository's revisions, together with the links that permit it."""

from collections.abc import Sequence
from copy import copy

from ..blobs.links import Link, LinkStore, expect
from ..blobs.store import BlobStore
from ..concurrency import gather
from ..driver import Driver
from ..errors import ManifestUnknown, ObjectTooLarge
from ..formats.descriptors import MANIFEST_LIMIT
from ..formats.digest import Digest
from ..formats.lenient_manifests import StoredKind, kind_of
from ..formats.names import RepositoryName
from ..layout import Layout, RevisionLink, SignatureLink
from ..threads import in_thread_if_large
from .signature_links import SignatureStore


class RevisionReader:
    """Reads the payloads of one repository's revisions."""

    def __init__(
        self,
        name: RepositoryName,
        blobs: BlobStore,
        signatures: SignatureStore,
        driver: Driver,
        layout: Layout,
    ) -> None:
        self._name = name
        self._blobs = blobs
        self._links = LinkStore(driver)
        self._layout = layout
        self._signatures = signatures

    def _key(self, digest: Digest) -> str:
        return self._layout.key(RevisionLink(self._name, digest))

    async def kind(self, digest: Digest, payload: bytes) -> StoredKind:
        """Return the facts about a payload. No request; memory keeps them, so it is parsed once."""
        kind = self.known(digest)
        if kind is None:
            kind = await in_thread_if_large(len(payload), kind_of, payload)
            self._blobs.caches.facts.keep(digest, kind)
        return kind

    def known(self, digest: Digest) -> StoredKind | None:
        """Return the facts about a payload that was read before, if memory has them. No request."""
        return self._blobs.caches.facts.find(StoredKind, digest)

    def check(self, link: Link | None, digest: Digest) -> None:
        """Check the link of a revision. No request.

        Raises:
            ManifestUnknown: There is no link.
            LinkDamaged: It holds something else.
        """
        if link is None:
            raise ManifestUnknown(self._name, digest)
        expect(link, digest)

    async def read(
        self, digest: Digest, *, listed: bool, fresh: bool = False
    ) -> tuple[bytes, Sequence[SignatureLink]]:
        """Return a revision's payload, and the links of its signatures if they are to be listed. One round trip."""
        # Content in memory was verified. It needs no task of its own, which would be most of the cost of the read.
        if not fresh and (kept := self._blobs.kept(digest)) is not None:
            if listed:
                return kept, await self.listed(digest)
            self.check(await self._links.find(self._key(digest)), digest)
            return kept, ()
        key = self._key(digest)
        signed: Sequence[SignatureLink] = ()
        if listed:
            link, payload, signed = await gather(
                self._links.find(key), self._fetch(digest, fresh=fresh), self._signatures.linked(digest)
            )
        else:
            link, payload = await gather(self._links.find(key), self._fetch(digest, fresh=fresh))
        self.check(link, digest)
        if payload is None:
            raise await self._links.without_content(key, digest, ManifestUnknown(self._name, digest))
        if isinstance(payload, ObjectTooLarge):
            raise copy(payload)  # no cycle with this frame
        return await self._blobs.verified(digest, payload), signed

    async def listed(self, digest: Digest) -> Sequence[SignatureLink]:
        """Check a revision's link, and return the links of its signatures. 2 requests, 1 round trip."""
        link, signed = await gather(self._links.find(self._key(digest)), self._signatures.linked(digest))
        self.check(link, digest)
        return signed

    async def _fetch(self, digest: Digest, *, fresh: bool = False) -> bytes | ObjectTooLarge | None:
        try:
            return await self._blobs.fetch(digest, limit=MANIFEST_LIMIT, fresh=fresh)
        except ObjectTooLarge as error:  # raised after the check of the link, which comes first
            return error
