"""A document that came in, taken apart: what is stored of it, and what is wrong with it."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import ManifestNameMismatch, ManifestTagMismatch, NotTrusted, RevstoreError
from ..formats.manifests import DOCKER_SCHEMA1_SIGNED, ManifestDocument, read_manifest
from ..formats.names import RepositoryName, Tag
from ..signatures import Signature, check, is_signed, parse
from ..trust import TrustPolicy


@dataclass(frozen=True, slots=True)
class IncomingManifest:
    """A document taken apart.

    Attributes:
        payload: What is stored as the revision: for a signed document, what is signed.
        signatures: The signatures that it carried.
        document: The payload, read.
        errors: What is wrong with it, in the order name, tags, signatures, trust.
    """

    payload: bytes
    signatures: tuple[Signature, ...]
    document: ManifestDocument
    errors: tuple[RevstoreError, ...]


def take_apart(
    document: bytes,
    media_type: str | None,
    name: RepositoryName,
    tags: Iterable[Tag],
    trust: TrustPolicy | None,
) -> IncomingManifest:
    """Take a document apart, and verify its signatures. It computes only.

    Args:
        document: The document.
        media_type: The type that it came with; None to go by the document.
        name: The repository that it is put into.
        tags: The tags that it is put under.
        trust: Whose signatures count; None for anybody's.

    Raises:
        ManifestTooLarge: It has more than 4 MiB.
        InvalidJSON: It is not strict JSON, or not an object.
        InvalidManifest: It is not the manifest that it claims to be.
        InvalidSignature: Its signatures are not of the form.
    """
    described = read_manifest(document, media_type)
    if not described.schema1:
        return IncomingManifest(document, (), described, ())
    payload, signatures = document, tuple[Signature, ...]()
    if described.media_type == DOCKER_SCHEMA1_SIGNED or is_signed(document):
        signed = parse(document)
        payload, signatures = signed.payload, signed.signatures
        described = read_manifest(payload, DOCKER_SCHEMA1_SIGNED)  # only what is signed counts
    errors: list[RevstoreError] = []
    if described.name != name:
        errors.append(ManifestNameMismatch(described.name or "", name))
    errors.extend(ManifestTagMismatch(described.tag or "", tag) for tag in tags if described.tag != tag)
    errors.extend(check(payload, signatures))
    if trust is not None and not any(map(trust.trusted, signatures)):
        errors.append(NotTrusted(tuple(signature.kid for signature in signatures)))
    return IncomingManifest(payload, signatures, described, tuple(errors))
