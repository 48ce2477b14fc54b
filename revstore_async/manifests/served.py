"""A manifest as it is served: the bytes that were stored, or for Docker schema 1 the merged document."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import Damaged, InvalidJSON, InvalidSignature, ObjectTooLarge, RecordDamaged
from ..formats.descriptors import DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED, Descriptor
from ..formats.digest import Digest
from ..revisions.revision import Revision
from ..signatures import SIGNATURE_LIMIT, Signature, serialise
from ..threads import in_thread_if_large


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as it is served.

    Attributes:
        content: Its bytes: as stored, or for Docker schema 1 the document with all signatures merged (but for
            those that no document can hold beside others, see `mergeable`).
        media_type: Its type.
        digest: The digest of the revision: for a signed document, of its payload.
        signatures: All its signatures, in the order of a merged document.
        unreadable: The errors of stored signatures that it leaves out, if it was read in order to serve it.
    """

    content: bytes = field(repr=False)
    media_type: str
    digest: Digest
    signatures: tuple[Signature, ...] = field(repr=False)
    unreadable: tuple[Damaged | ObjectTooLarge, ...] = ()

    @property
    def descriptor(self) -> Descriptor:
        """Its descriptor, as it is served."""
        return Descriptor(self.media_type, self.digest, len(self.content))


def mergeable(signatures: Sequence[Signature]) -> Sequence[Signature]:
    """Return those of the stored signatures that one document can hold, in its order.

    A signature by certificates that names no `kid` can only stand alone: programs disagree about the bytes of a
    document with it and others. The registry adds no such signature to others. Others may still come after it,
    and they must not make the manifest unreadable.
    """
    return ([signature for signature in signatures if signature.sortable] or signatures[:1])[:SIGNATURE_LIMIT]


async def merged(revision: Revision) -> Manifest:
    """Return a schema 1 manifest with its signatures in one document. No request.

    Raises:
        RecordDamaged: The stored signatures do not fit the payload.
    """
    signatures = mergeable(revision.signatures)
    size = len(revision.payload) + sum(len(signature.blob) for signature in signatures)
    try:
        content = await in_thread_if_large(size, serialise, revision.payload, signatures)
    except (InvalidJSON, InvalidSignature) as error:  # another program linked them unverified
        raise RecordDamaged(f"the signatures of {revision.digest}", str(error)) from error
    media_type = DOCKER_SCHEMA1_SIGNED if revision.signatures else DOCKER_SCHEMA1
    return Manifest(content, media_type, revision.digest, revision.signatures, revision.unreadable)
