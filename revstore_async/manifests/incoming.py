"""Takes a pushed document apart: into the payload to store, its signatures and its errors."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import ManifestNameMismatch, ManifestTagMismatch, NotTrusted, RevstoreError
from ..formats.descriptors import DOCKER_SCHEMA1_SIGNED
from ..formats.manifests import ManifestDocument, read_manifest
from ..formats.names import RepositoryName, Tag
from ..signatures import Signature, check, is_signed, parse
from ..trust import TrustPolicy


@dataclass(frozen=True, slots=True)
class IncomingManifest:
    """A document taken apart.

    Attributes:
        payload: The bytes to store as the revision: of a signed document, the signed ones.
        signatures: The signatures that it carried.
        document: The payload, read.
        errors: All its faults, in the order name, tags, signatures, trust.
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
    """Take a document apart, and verify its signatures. It only computes: no request.

    Args:
        document: The document.
        media_type: The type that the client sent with it; None to go by the document.
        name: The repository that the client puts it into.
        tags: The tags that the client puts it under.
        trust: The policy that decides which signers count; None if all of them count.

    Raises:
        ManifestTooLarge: It has more than 4 MiB.
        InvalidJSON: It is not strict JSON, or not an object.
        InvalidManifest: It is not a valid manifest of its type.
        InvalidSignature: Its signatures are malformed.
    """
    described = read_manifest(document, media_type)
    if not described.schema1:
        return IncomingManifest(document, (), described, ())
    payload, signatures = document, tuple[Signature, ...]()
    if described.media_type == DOCKER_SCHEMA1_SIGNED or is_signed(document):
        signed = parse(document)
        payload, signatures = signed.payload, signed.signatures
        described = read_manifest(payload, DOCKER_SCHEMA1_SIGNED)  # only the signed bytes count
    errors: list[RevstoreError] = []
    if described.name != name:
        errors.append(ManifestNameMismatch(described.name or "", name))
    errors.extend(ManifestTagMismatch(described.tag or "", tag) for tag in tags if described.tag != tag)
    errors.extend(check(payload, signatures))
    if trust is not None and not any(map(trust.trusted, signatures)):
        errors.append(NotTrusted(tuple(signature.kid for signature in signatures)))
    return IncomingManifest(payload, signatures, described, tuple(errors))
