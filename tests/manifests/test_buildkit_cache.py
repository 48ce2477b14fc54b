"""BuildKit's cache, as it is exported without `image-manifest=true`: an index with blobs as its entries."""

import json

import pytest

from revstore_async import Digest, Repository
from revstore_async.errors import BlobUnknown, ManifestUnknown, VerificationFailed
from revstore_async.formats.descriptors import DOCKER_LIST, OCI_INDEX, OCI_MANIFEST
from tests.parts.documents import descriptor, image, index

CONFIG = b'{"layers": [{"blob": "..."}], "records": []}'
LAYERS = (b"layer 1", b"layer 2")
CONFIG_TYPE = "application/vnd.buildkit.cacheconfig.v0"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
STRANGE_TYPE = "application/vnd.example.thing.v1+json"


def cache(media_type: str, layer_type: str) -> bytes:
    annotations = {"buildkit/createdat": "2026-01-01T00:00:00Z", "containerd.io/uncompressed": "sha256:..."}
    entries = [descriptor(each, layer_type) | {"annotations": annotations} for each in LAYERS]
    config = descriptor(CONFIG, CONFIG_TYPE)
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": [*entries, config]}).encode()


@pytest.mark.parametrize(("media_type", "layer_type"), [(OCI_INDEX, OCI_LAYER), (DOCKER_LIST, DOCKER_LAYER)])
async def test_it_is_pushed_and_pulled(repository: Repository, media_type: str, layer_type: str) -> None:
    document = cache(media_type, layer_type)
    for content in (*LAYERS, CONFIG):
        await repository.blobs.put(content)
    stored = await repository.manifests.put(document, tag="cache", media_type=media_type)
    assert stored.media_type == media_type
    assert (await repository.manifests.get("cache")).content == document


async def test_its_entries_must_be_there(repository: Repository) -> None:
    await repository.blobs.put(LAYERS[0])
    with pytest.raises(VerificationFailed) as refused:
        await repository.manifests.put(cache(OCI_INDEX, OCI_LAYER), tag="cache")
    missing = {(type(error), error.digest) for error in refused.value.errors}
    assert missing == {(BlobUnknown, Digest.of(LAYERS[1])), (ManifestUnknown, Digest.of(CONFIG))}


async def test_an_entry_of_a_type_that_tells_nothing_may_be_a_blob_or_a_manifest(
    repository: Repository,
) -> None:
    thing = json.dumps({"thing": 1}).encode()
    document = index(manifests=[descriptor(thing, STRANGE_TYPE)])
    with pytest.raises(VerificationFailed):
        await repository.manifests.put(document)
    await repository.manifests.put(thing, media_type=STRANGE_TYPE)
    await repository.manifests.put(document)
    await repository.manifests.delete(Digest.of(thing))
    with pytest.raises(VerificationFailed):
        await repository.manifests.put(document)
    await repository.blobs.put(thing)
    await repository.manifests.put(document)


async def test_a_blob_is_no_manifest_and_a_manifest_no_layer(repository: Repository) -> None:
    await repository.blobs.put(b"{}")
    manifest = image(b"{}")
    await repository.blobs.put(manifest)
    with pytest.raises(VerificationFailed):
        await repository.manifests.put(index(manifests=[descriptor(manifest, OCI_MANIFEST)]))
    other = image(b"{}", x=1)
    await repository.manifests.put(other)
    with pytest.raises(VerificationFailed):
        await repository.manifests.put(index(manifests=[descriptor(other, OCI_LAYER)]))


async def test_layers_from_elsewhere_need_not_be_here(repository: Repository) -> None:
    await repository.manifests.put(index(manifests=[descriptor(b"elsewhere", FOREIGN_LAYER)]))
