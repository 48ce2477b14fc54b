"""The bounds of a manifest: its references, its signatures, and the types that it may declare."""

import json

import pytest
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from revstore_async import Digest, Registry, Signature, sign
from revstore_async.errors import InvalidManifest, SignaturesTooLarge, SignatureTooLarge, TooManyReferences
from revstore_async.formats.descriptors import DOCKER_SCHEMA1, MANIFEST_LIMIT, OCI_INDEX, OCI_MANIFEST
from revstore_async.formats.manifests import REFERENCE_LIMIT, read_manifest
from revstore_async.signatures import SIGNATURE_BYTES, entry_overhead, serialise_signatures, verify
from revstore_async.signatures.encoding import from_base64url, to_base64url
from revstore_drivers.memory import MemoryDriver
from tests.parts.documents import NAME, image, index, key, schema1, signed

LAYER = Digest.of(b"layer")


def described(count: int) -> list[dict[str, object]]:
    return [{"mediaType": OCI_MANIFEST, "digest": f"sha256:{n:064x}", "size": 1} for n in range(count)]


@pytest.mark.parametrize("member", ["layers", "manifests", "fsLayers"])
def test_a_manifest_refers_to_no_more_than_a_registry_looks_for(member: str) -> None:
    def document(count: int) -> bytes:
        if member == "fsLayers":
            return schema1(*[LAYER] * count)
        return (
            image(b"{}", layers=described(count)) if member == "layers" else index(manifests=described(count))
        )

    read_manifest(document(REFERENCE_LIMIT))
    with pytest.raises(TooManyReferences) as refused:
        read_manifest(document(REFERENCE_LIMIT + 1))
    assert (refused.value.member, refused.value.count) == (member, REFERENCE_LIMIT + 1)
    assert refused.value.limit == REFERENCE_LIMIT


@pytest.mark.parametrize("own", [OCI_MANIFEST, OCI_INDEX, 1, [], {}])
def test_a_schema_1_manifest_does_not_say_that_it_is_something_else(own: object) -> None:
    with pytest.raises(InvalidManifest) as refused:
        read_manifest(schema1(LAYER, mediaType=own), DOCKER_SCHEMA1)
    assert refused.value.member == "mediaType"
    assert read_manifest(schema1(LAYER, mediaType=DOCKER_SCHEMA1), DOCKER_SCHEMA1).schema1


# ---- signatures


def padded(payload: bytes, size: int, host: int = 0) -> Signature:
    """Return a good signature with a blob of at least that many bytes: white space is signed with the rest."""
    plain = sign(payload, key(host))
    protected = from_base64url(plain.protected, "") + b" " * ((size - len(plain.blob)) * 3 // 4 + 3)
    jws = JWS(payload)
    jws.add_signature(JWK.from_pyca(key(host).crypto), alg=plain.alg, protected=protected.decode())
    entry = json.loads(plain.blob)
    entry |= {"signature": to_base64url(jws.objects["signature"]), "protected": to_base64url(protected)}
    return Signature.from_members(entry, "")


async def test_a_signature_is_no_larger_than_signatures_are() -> None:
    payload = schema1(LAYER)
    large = padded(payload, SIGNATURE_BYTES + 1)
    with pytest.raises(SignatureTooLarge) as refused:
        verify(payload, [sign(payload, key(1)), large])
    assert (refused.value.member, refused.value.size) == ("signatures[1]", len(large.blob))
    verify(payload, [padded(payload, SIGNATURE_BYTES - 100)])
    async with Registry(MemoryDriver()) as registry:
        repository = registry.repository(NAME)
        await repository.revisions.put(payload)
        with pytest.raises(SignatureTooLarge):
            await repository.revisions.add_signatures(Digest.of(payload), [large])
        assert await repository.revisions.signatures(Digest.of(payload)) == ()


@pytest.mark.parametrize("kind", ["schema 1", "schema 1, indented", "image"])
async def test_a_document_with_all_signatures_is_taken_back(kind: str) -> None:
    payload = {
        "schema 1": schema1(LAYER, indent=None, note="x" * (3 << 20)),
        "schema 1, indented": schema1(LAYER, indent=200, note="x" * (2 << 20)),
        "image": image(b"{}"),
    }[kind]
    each = SIGNATURE_BYTES - 200
    async with Registry(MemoryDriver()) as registry:
        repository = registry.repository(NAME)
        digest = await repository.revisions.put(payload, [padded(payload, each)])
        added = 0
        with pytest.raises(SignaturesTooLarge) as refused:
            for _ in range(0, MANIFEST_LIMIT // each + 8, 8):
                await repository.revisions.add_signatures(digest, [padded(payload, each) for _ in range(8)])
                added += 8
        assert added > 0
        assert refused.value.size > refused.value.limit
        revision = await repository.revisions.get(digest)
        assert len(revision.signatures) == 1 + added
        assert len(serialise_signatures(revision.signatures)) <= MANIFEST_LIMIT
        served = (await repository.manifests.get(digest)).content
        assert len(served) <= MANIFEST_LIMIT
        if kind != "image":
            again = await repository.manifests.put(served, check_layers=False)
            assert again.digest == digest


@pytest.mark.parametrize("indent", [None, 1, 3, 256])
def test_the_room_of_a_signature_in_a_document_is_not_underrated(indent: int | None) -> None:
    payload = schema1(LAYER, indent=indent)
    hosts = range(3)
    blobs = sum(len(sign(payload, key(host)).blob) for host in hosts)
    written = len(signed(payload, *hosts)) - len(payload)
    assert written <= blobs + 30 + 3 * entry_overhead(payload) + 2 * (indent or 0) + 20
