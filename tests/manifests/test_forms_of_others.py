"""Manifests in forms that other programs write and read alike: null for an empty list, media types in any case."""

import json
from typing import Any

import pytest

from revstore_async import Registry, Repository
from revstore_async.errors import InvalidManifest, MediaTypeConflict, VerificationFailed
from revstore_async.formats.descriptors import (
    DOCKER_LIST,
    DOCKER_SCHEMA1_SIGNED,
    DOCKER_SCHEMA2,
    OCI_INDEX,
    OCI_MANIFEST,
)
from revstore_async.server import RegistryApp
from tests.parts.documents import descriptor, image, index, schema1, signed
from tests.parts.serving import client_of

CONFIG, LAYER = b"{}", b"layer"
IMAGE = image(CONFIG, LAYER)
ARTIFACT = "application/vnd.example.Signature.v1+json"


@pytest.fixture
async def hello(repository: Repository) -> Repository:
    """A repository that has a config and a layer."""
    for content in (CONFIG, LAYER):
        await repository.blobs.put(content)
    return repository


def changed(document: bytes, **members: Any) -> bytes:
    """A document with other members; `...` takes one away."""
    changes = json.loads(document) | members
    return json.dumps({name: value for name, value in changes.items() if value is not ...}).encode()


# ---- null, or absent, for an empty list


@pytest.mark.parametrize(
    ("document", "media_type"),
    [
        (changed(IMAGE, layers=None), OCI_MANIFEST),
        (changed(IMAGE, layers=...), OCI_MANIFEST),
        (changed(IMAGE, manifests=None), OCI_MANIFEST),
        (changed(IMAGE, mediaType=..., manifests=None), OCI_MANIFEST),
        (changed(IMAGE, mediaType=DOCKER_SCHEMA2, layers=None, fsLayers=None), DOCKER_SCHEMA2),
        (changed(index(), manifests=None), OCI_INDEX),
        (changed(index(), manifests=...), OCI_INDEX),
        (changed(index(), mediaType=..., manifests=None), OCI_INDEX),
        (changed(index(), config=None, layers=None), OCI_INDEX),
        (changed(index(), mediaType=DOCKER_LIST, manifests=None), DOCKER_LIST),
    ],
)
async def test_a_list_that_is_null_or_absent_is_empty(
    hello: Repository, document: bytes, media_type: str
) -> None:
    assert (await hello.manifests.put(document, tag="a")).media_type == media_type
    found = await hello.manifests.get("a")
    assert (found.content, found.media_type) == (document, media_type)


@pytest.mark.parametrize(
    "document",
    [
        changed(IMAGE, config=None),
        changed(IMAGE, layers=[None]),
        changed(IMAGE, layers={}),
        changed(IMAGE, layers=""),
        changed(IMAGE, manifests=[]),
        changed(index(), manifests=[None]),
        changed(index(), manifests=False),
    ],
)
async def test_a_form_of_another_meaning_is_refused(hello: Repository, document: bytes) -> None:
    with pytest.raises(InvalidManifest):
        await hello.manifests.put(document)


# ---- media types in any case


@pytest.mark.parametrize("given", [None, OCI_MANIFEST, OCI_MANIFEST.upper(), OCI_MANIFEST.title()])
async def test_a_type_is_declared_in_any_case_and_served_as_it_is_written(
    hello: Repository, given: str | None
) -> None:
    document = changed(IMAGE, mediaType=OCI_MANIFEST.upper())
    await hello.manifests.put(document, tag="a", media_type=given)
    found = await hello.manifests.get("a")
    assert (found.content, found.media_type) == (document, OCI_MANIFEST.upper())


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_SCHEMA2])
async def test_an_image_in_any_case_needs_its_layers(repository: Repository, media_type: str) -> None:
    with pytest.raises(VerificationFailed):
        await repository.manifests.put(changed(IMAGE, mediaType=media_type.upper()))


async def test_an_index_in_any_case_needs_its_manifests(hello: Repository) -> None:
    entry = descriptor(IMAGE, OCI_MANIFEST.upper())
    document = changed(index(manifests=[entry]), mediaType=OCI_INDEX.title())
    with pytest.raises(VerificationFailed):
        await hello.manifests.put(document)
    await hello.blobs.put(IMAGE)
    with pytest.raises(VerificationFailed):
        await hello.manifests.put(document)
    await hello.manifests.put(IMAGE)
    await hello.manifests.put(document)


async def test_layers_from_elsewhere_are_told_in_any_case(hello: Repository) -> None:
    foreign = descriptor(b"elsewhere", "application/vnd.docker.image.ROOTFS.foreign.diff.tar.gzip")
    await hello.manifests.put(changed(IMAGE, layers=[foreign]))


async def test_a_type_that_is_kept_is_compared_in_any_case(hello: Repository) -> None:
    document = b'{"a": 1}'
    await hello.manifests.put(document, tag="a", media_type="application/vnd.Example")
    await hello.manifests.put(document, tag="b", media_type="application/vnd.example")
    assert (await hello.manifests.get("b")).media_type == "application/vnd.Example"
    with pytest.raises(MediaTypeConflict):
        await hello.manifests.put(document, media_type="application/vnd.example2")


async def test_schema_1_in_any_case_is_merged(hello: Repository) -> None:
    payload = schema1(str(descriptor(LAYER)["digest"]), tag="a")
    for host in (1, 2):
        document = signed(payload, host)
        await hello.manifests.put(document, tag="a", media_type=DOCKER_SCHEMA1_SIGNED.upper())
    found = await hello.manifests.get("a")
    assert (found.media_type, len(found.signatures)) == (DOCKER_SCHEMA1_SIGNED, 2)


async def test_referrers_are_filtered_in_any_case(hello: Repository) -> None:
    about = changed(IMAGE, artifactType=ARTIFACT, subject=descriptor(IMAGE, OCI_MANIFEST))
    await hello.manifests.put(about)
    for artifact_type in (ARTIFACT, ARTIFACT.lower(), ARTIFACT.upper()):
        page = await hello.referrers.list(str(descriptor(IMAGE)["digest"]), artifact_type=artifact_type)
        assert [each.descriptor.artifact_type for each in page.referrers] == [ARTIFACT]


async def test_content_type_and_accept_over_http_are_read_in_any_case(
    registry: Registry, hello: Repository
) -> None:
    document = changed(IMAGE, mediaType=...)
    async with client_of(RegistryApp(registry)) as client:
        path = f"/v2/{hello.name}/manifests/a"
        given = {"Content-Type": OCI_MANIFEST.upper() + "; charset=utf-8"}
        assert (await client.put(path, content=document, headers=given)).status_code == 201
        answer = await client.get(path, headers={"Accept": OCI_MANIFEST.upper()})
    assert (answer.status_code, answer.content) == (200, document)
    assert answer.headers["Content-Type"] == OCI_MANIFEST
