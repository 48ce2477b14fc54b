"""The scenario of Docker Distribution's own test of its manifest store, of January 2015."""

import pytest

from revstore_async import Digest, Repository, verify_document
from revstore_async.errors import BlobUnknown, ManifestUnknown, TagUnknown, VerificationFailed
from tests.parts.documents import key, schema1, signed


async def test_the_life_of_a_signed_manifest(repository: Repository) -> None:
    layers = [b"first layer", b"second layer"]
    payload = schema1(*map(Digest.of, layers), tag="thetag")
    digest = Digest.of(payload)

    assert not await repository.manifests.exists("thetag")
    with pytest.raises(TagUnknown):
        await repository.manifests.get("thetag")

    # Put with unknown layers: every one of them is told.
    with pytest.raises(VerificationFailed) as refused:
        await repository.manifests.put(signed(payload, 0), tag="thetag")
    assert [(type(error), getattr(error, "digest", None)) for error in refused.value.errors] == [
        (BlobUnknown, Digest.of(layer)) for layer in layers
    ]
    assert not await repository.manifests.exists("thetag")

    # With its layers it goes in, and comes out as it went in.
    for layer in layers:
        await repository.blobs.put(layer)
    stored = await repository.manifests.put(signed(payload, 0), tag="thetag")
    assert stored.digest == digest
    assert await repository.manifests.exists("thetag")
    first = await repository.manifests.get("thetag")
    assert verify_document(first.content).payload == payload
    assert [page.tag for page in (await repository.tags.list()).tags] == ["thetag"]

    # The same payload signed by another key: one revision, both signatures.
    assert (await repository.manifests.put(signed(payload, 1), tag="thetag")).digest == digest
    both = await repository.manifests.get(digest)
    assert {signature.kid for signature in verify_document(both.content).signatures} == {
        key(0).kid,
        key(1).kid,
    }
    assert both == await repository.manifests.get("thetag")

    # Deleted by digest, it is gone, and its tag with it.
    await repository.manifests.delete(digest)
    assert not await repository.manifests.exists("thetag")
    assert not await repository.manifests.exists(digest)
    with pytest.raises(ManifestUnknown):
        await repository.manifests.get(digest)
    with pytest.raises(ManifestUnknown):
        await repository.manifests.delete(digest)
    assert (await repository.tags.list()).tags == ()
