"""What a manifest refers to, and whether a repository has it to rely on."""

from collections.abc import Sequence

from .concurrency import gather, gather_map
from .digest import Digest
from .errors import BlobUnknown, Damaged, ManifestUnknown, RevstoreError
from .layers import LayerStore
from .manifests import ManifestDocument
from .names import RepositoryName
from .revisions import RevisionStore


class References:
    """Asks one repository about what manifests refer to.

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

    async def missing(self, document: ManifestDocument) -> Sequence[RevstoreError]:
        """Return an error for each thing that a manifest refers to and the repository lacks. One round trip.

        What was found is to be relied on within `Policy.link_within`. A subject need not be there.
        """
        blobs, manifests, others = await gather(
            gather_map(self._missing_blob, [each.digest for each in document.blobs], limit=self._at_once),
            gather_map(
                self._missing_manifest, [each.digest for each in document.manifests], limit=self._at_once
            ),
            gather_map(self._missing_other, [each.digest for each in document.others], limit=self._at_once),
        )
        return [error for error in (*blobs, *manifests, *others) if error is not None]

    async def _missing_blob(self, digest: Digest) -> RevstoreError | None:
        return None if await self._layers.confirm(digest) else BlobUnknown(digest, self._name)

    async def _missing_manifest(self, digest: Digest) -> RevstoreError | None:
        try:
            found = await self._revisions.exists(digest)
        except Damaged as error:
            return error
        return None if found else ManifestUnknown(self._name, digest)

    async def _missing_other(self, digest: Digest) -> RevstoreError | None:
        """Look for what may be a blob or a manifest as both, in one round trip."""
        blob, manifest = await gather(self._layers.confirm(digest), self._missing_manifest(digest))
        return manifest if blob is None else None
