"""skopeo, a real client: images go in and come out, as OCI and in both of Docker's forms."""

import asyncio
import json
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from revstore_async import Digest, Registry, Repository, verify_document
from revstore_async.errors import ManifestUnknown
from revstore_async.server import Delegation, RegistryApp, ServerOptions
from revstore_async.server.events import BlobPulled, Event
from revstore_drivers.s3 import S3Driver
from tests.parts.distribution import skopeo
from tests.parts.docker_registry import SIGNED_MANIFEST
from tests.parts.documents import DOCKER_SCHEMA2, OCI_MANIFEST
from tests.parts.images import Image, build, index_of
from tests.parts.minio import MinIO
from tests.parts.serving import Server, replicas, serving

RANDOM = random.Random(6).randbytes(9 << 20).hex()  # a layer that takes several parts, compressed or not
TEXTS = ("a small layer", RANDOM, "another layer")
FORMS = pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_SCHEMA2], ids=["OCI", "schema 2"])
IMAGES = {media_type: build(*TEXTS, media_type=media_type) for media_type in (OCI_MANIFEST, DOCKER_SCHEMA2)}
FROM, TO = "--src-tls-verify=false", "--dest-tls-verify=false"


@dataclass(frozen=True)
class Client:
    """skopeo with a registry and a home."""

    server: Server
    home: Path

    def name(self, reference: str) -> str:
        return f"docker://{self.server.host}/library/hello{reference}"

    async def run(self, *arguments: str) -> str:
        return await asyncio.to_thread(skopeo, *arguments, home=self.home)

    async def push(self, image: Image, reference: str, *options: str) -> None:
        folder = self.home / f"in-{len(list(self.home.iterdir()))}"
        image.write_to(folder)
        await self.run("copy", TO, *options, f"dir:{folder}", self.name(reference))

    async def pull(self, reference: str, *options: str) -> dict[str, bytes]:
        """Return the files of an image: `manifest.json`, and each blob under its digest's hexadecimals."""
        folder = self.home / f"out-{len(list(self.home.iterdir()))}"
        await self.run("copy", FROM, *options, self.name(reference), f"dir:{folder}")
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        del files["version"]
        return files


@pytest.fixture
async def client(app, tmp_path: Path):
    home = tmp_path / "home"
    home.mkdir()
    async with serving(app) as server:
        yield Client(server, home)


def is_image(files: dict[str, bytes], image: Image) -> None:
    assert files.pop("manifest.json") == image.manifest
    assert {*files} == {Digest.of(blob).hex for blob in image.blobs}
    assert all(Digest.of(content).hex == stated for stated, content in files.items())


@FORMS
async def test_an_image_comes_back_by_tag_and_digest(
    client: Client, repository: Repository, media_type: str
) -> None:
    image = IMAGES[media_type]
    await client.push(image, ":latest", "--preserve-digests")
    for reference in (":latest", f"@{Digest.of(image.manifest)}"):
        is_image(await client.pull(reference, "--preserve-digests"), image)
    manifest = await repository.manifests.get("latest")
    assert (manifest.content, manifest.media_type) == (image.manifest, media_type)


async def test_an_index_comes_back_with_all_its_images(client: Client, repository: Repository) -> None:
    images = {
        "amd64": build("one", "both"),
        "arm64": build("other", "both", architecture="arm64"),
    }
    for architecture, image in images.items():
        await client.push(image, f":{architecture}", "--preserve-digests")
    index = index_of(**images)
    await repository.manifests.put(index, tag="all")
    files = await client.pull(":all", "--all", "--preserve-digests")
    assert files.pop("manifest.json") == index
    for image in images.values():
        assert files.pop(f"{Digest.of(image.manifest).hex}.manifest.json") == image.manifest
    assert {*files} == {Digest.of(blob).hex for image in images.values() for blob in image.blobs}
    # and from repository to repository, where layers are mounted
    await client.run("copy", "--all", FROM, TO, client.name(":all"), client.name("/copy:all"))
    assert (await client.pull("/copy:all", "--all"))["manifest.json"] == index


async def test_a_schema_1_image_comes_back_with_the_signatures_of_all_who_pushed_it(
    client: Client, repository: Repository
) -> None:
    """Each skopeo signs with a key that it makes for the occasion."""
    image = IMAGES[DOCKER_SCHEMA2]
    for _ in range(2):
        await client.push(image, ":signed", "--format", "v2s1")
    manifest = await repository.manifests.get("signed")
    assert manifest.media_type == SIGNED_MANIFEST
    signed = verify_document(manifest.content)
    assert len(signed.signatures) == 2
    assert len({signature.kid for signature in signed.signatures}) == 2

    layers = {Digest.of(blob).hex: blob for blob in image.blobs[1:]}
    for reference in (":signed", f"@{manifest.digest}"):
        files = await client.pull(reference)
        assert files.pop("manifest.json") == manifest.content
        assert {*files} == {*layers}
        assert all(Digest.of(content).hex == stated for stated, content in files.items())
    # a client that wants no such thing converts it
    converted = json.loads((await client.pull(":signed", "--format", "v2s2"))["manifest.json"])
    assert converted["mediaType"] == DOCKER_SCHEMA2
    assert [layer["digest"] for layer in converted["layers"]] == [Digest.of(blob) for blob in image.blobs[1:]]


async def test_tags_are_listed_and_an_image_is_looked_at_and_deleted(
    client: Client, repository: Repository
) -> None:
    image, other = build("an image"), build("another image")
    for tag in ("v1.0", "latest", "v1-rc"):
        await client.push(image, f":{tag}", "--preserve-digests")
    await client.push(other, ":other", "--preserve-digests")
    told = json.loads(await client.run("list-tags", "--tls-verify=false", client.name("")))
    assert told["Tags"] == ["latest", "other", "v1-rc", "v1.0"]
    looked_at = json.loads(await client.run("inspect", "--tls-verify=false", client.name(":v1.0")))
    assert looked_at["Digest"] == Digest.of(image.manifest)
    assert looked_at["RepoTags"] == told["Tags"]

    await client.run("delete", "--tls-verify=false", client.name(":v1.0"))
    with pytest.raises(ManifestUnknown):
        await repository.manifests.get(Digest.of(image.manifest))
    with pytest.raises(AssertionError, match="manifest unknown"):
        await client.pull(":v1.0")
    is_image(await client.pull(":other", "--preserve-digests"), other)


@pytest.mark.parametrize("store_url", ["file", "s3"], indirect=True)
async def test_replicas_that_take_turns_serve_one_client(store_url: str, tmp_path: Path) -> None:
    """One replica begins each upload, another takes the content, and the first finishes it."""
    image = IMAGES[OCI_MANIFEST]
    async with replicas(store_url, 2) as balancer:
        client = Client(balancer, tmp_path)
        await client.push(image, ":latest", "--preserve-digests")
        is_image(await client.pull(":latest", "--preserve-digests"), image)


async def test_layers_are_pulled_from_the_storage_where_the_server_sends_a_client_there(
    minio: MinIO, tmp_path: Path
) -> None:
    image, told = IMAGES[OCI_MANIFEST], list[BlobPulled]()

    async def listener(event: Event) -> None:
        if isinstance(event, BlobPulled):
            told.append(event)

    options = ServerOptions(delegation=Delegation(minimum_size=1 << 20))
    async with S3Driver(minio.new_bucket(), "root", **minio.options()) as driver:
        async with serving(RegistryApp(Registry(driver), options=options, listener=listener)) as server:
            client = Client(server, tmp_path)
            await client.push(image, ":latest", "--preserve-digests")
            is_image(await client.pull(":latest", "--preserve-digests"), image)
    assert {event.digest: event.redirected for event in told} == {
        Digest.of(blob): len(blob) >= 1 << 20 for blob in image.blobs
    }
    assert len({event.redirected for event in told}) == 2
