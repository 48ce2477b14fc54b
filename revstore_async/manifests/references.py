"""The references of a manifest: whether the repository has their content, to rely on."""

from collections.abc import Sequence
from functools import partial
from operator import call

from ..blobs.gate import Window
from ..blobs.layers import LayerStore
from ..concurrency import gather, gather_map
from ..errors import BlobUnknown, ManifestUnknown, RevstoreError
from ..formats.descriptors import Descriptor, is_schema1_type
from ..formats.manifests import ManifestDocument
from ..formats.names import RepositoryName
from ..layout import BlobData, LayerLink, RevisionLink, StoredObject
from ..revisions.store import RevisionStore


class References:
    """Looks up in one repository the content to which manifests refer.

    Args:
        name: The repository.
        revisions: Its manifests.
        layers: Its configs and layers.
        at_once: Requests that may be under way at once.
    """

    def __init__(
        self, name: RepositoryName, revisions: RevisionStore, layers: LayerStore, at_once: int
    ) -> None:
        self._name = name
        self._revisions = revisions
        self._layers = layers
        self._at_once = at_once

    async def missing(self, document: ManifestDocument, window: Window) -> Sequence[RevstoreError]:
        """Return an error for each reference of a manifest that the repository lacks. 1 round trip.

        A damaged object counts as lacking, and so does one of another size than the manifest announces: the
        client pushes it anew. A subject need not be there.

        Args:
            document: The manifest.
            window: The window of the put, in which the caller rescues what it relies on.
        """
        looks = [
            *[partial(self._missing_blob, window, blob) for blob in document.blobs],
            *[partial(self._missing_manifest, window, manifest) for manifest in document.manifests],
            *[partial(self._missing_other, window, entry) for entry in document.others],
        ]
        errors = await gather_map(call, looks, limit=self._at_once)
        return [error for error in errors if error is not None]

    def all_of(self, document: ManifestDocument) -> Sequence[StoredObject]:
        """Return all objects to which a manifest may refer, for the gate. No request."""
        blobs = [each.digest for each in (*document.blobs, *document.others)]
        manifests = [each.digest for each in (*document.manifests, *document.others)]
        links = [LayerLink(self._name, digest) for digest in blobs]
        revisions = [RevisionLink(self._name, digest) for digest in manifests]
        return [*links, *revisions, *map(BlobData, dict.fromkeys([*blobs, *manifests]))]

    async def _missing_blob(self, window: Window, blob: Descriptor) -> RevstoreError | None:
        try:
            _, due = await self._layers.find(window, blob.digest, None if blob.size < 0 else blob.size)
            if due:
                await self._layers.renew(blob.digest)
        except BlobUnknown as error:
            return error
        return None

    async def _missing_other(self, window: Window, entry: Descriptor) -> RevstoreError | None:
        """Look for content that may be a blob or a manifest as both. 1 round trip."""
        blob, manifest = await gather(
            self._missing_blob(window, entry), self._missing_manifest(window, entry)
        )
        return manifest if blob is not None else None

    async def _missing_manifest(self, window: Window, manifest: Descriptor) -> RevstoreError | None:
        signed = is_schema1_type(manifest.media_type)  # its size grows as hosts sign
        try:
            await self._revisions.rely_within(window, manifest.digest, None if signed else manifest.size)
        except ManifestUnknown as error:
            return error
        return None
