"""One store, two programs: Docker Distribution 3 and the engine serve each other's content."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from revstore_async import CURRENT, Digest, Driver, Registry, Repository
from revstore_async.errors import BlobUnknown, ManifestUnknown, TagUnknown
from revstore_async.formats.names import Tag
from revstore_async.layout import TagCurrent
from revstore_async.server import RegistryApp
from revstore_async.tags.current import new_delete_marker
from revstore_drivers.filesystem import FilesystemDriver
from revstore_drivers.s3 import S3Driver
from tests.conftest import Tick
from tests.parts import distribution
from tests.parts.distribution import image_in, skopeo
from tests.parts.docker_registry import Answer, DockerRegistry
from tests.parts.documents import DOCKER_SCHEMA2, OCI_INDEX, OCI_MANIFEST
from tests.parts.images import Image, build, index_of
from tests.parts.minio import MinIO
from tests.parts.serving import serving

SMALL, LARGE = "a small layer", "a layer of more than one read " * 100_000
IMAGE = build(SMALL, LARGE)
OTHER = build("another layer", SMALL)
ARM = build("a layer of the other architecture", SMALL, architecture="arm64")
DOCKER = build(SMALL, media_type=DOCKER_SCHEMA2)
INDEX = index_of(amd64=IMAGE, arm64=ARM)
ALL_TYPES = {"Accept": f"{OCI_INDEX}, {OCI_MANIFEST}, {DOCKER_SCHEMA2}"}


@dataclass(frozen=True)
class Shared:
    """A store with Distribution at work on it."""

    driver: Driver
    distribution: DockerRegistry

    async def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask Distribution."""
        return await asyncio.to_thread(self.distribution.ask, method, f"/v2/{path}", b"", headers)


@pytest.fixture(scope="module", params=["s3", "file"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    folder = tmp_path_factory.mktemp("distribution")
    driver: Driver
    if request.param == "s3":
        minio: MinIO = request.getfixturevalue("minio")
        bucket = minio.new_bucket()
        driver = S3Driver(bucket, "root", **minio.options())
        storage = distribution.on_s3(minio, bucket, "root")
    else:
        driver = FilesystemDriver(folder / "store")
        storage = distribution.on_files(folder / "store")
    with distribution.running(folder, storage) as registry:
        yield Shared(driver, registry)


@pytest.fixture
async def driver(store: Shared) -> AsyncIterator[Driver]:
    async with store.driver:
        yield store.driver


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A repository of the test's own."""
    return f"library/{request.function.__name__.removeprefix('test_').replace('_', '-')}"


@pytest.fixture
def ours(registry: Registry, name: str) -> Repository:
    return registry.repository(name)


async def write(repository: Repository, image: Image, tag: str | None = None) -> Digest:
    for blob in image.blobs:
        await repository.blobs.put(blob)
    return (await repository.manifests.put(image.manifest, tag=tag)).digest


async def push(store: Shared, folder: Path, image: Image, target: str) -> Digest:
    """Push an image into Distribution by skopeo."""
    image.write_to(folder)
    options = ["--dest-tls-verify=false", "--preserve-digests"]
    await asyncio.to_thread(
        skopeo, "copy", *options, f"dir:{folder}", image_in(store.distribution, target), home=folder.parent
    )
    return Digest.of(image.manifest)


async def serves_blobs(store: Shared, name: str, image: Image) -> None:
    for blob in image.blobs:
        got = await store.ask("GET", f"{name}/blobs/{Digest.of(blob)}")
        assert got.status == 200
        assert (len(got.body), Digest.of(got.body)) == (len(blob), Digest.of(blob))
        head = await store.ask("HEAD", f"{name}/blobs/{Digest.of(blob)}")
        assert (head.status, head.headers["content-length"]) == (200, str(len(blob)))


async def serves_manifest(store: Shared, path: str, document: bytes, media_type: str) -> None:
    for reference in ("latest", Digest.of(document)):
        for method, body in [("GET", document), ("HEAD", b"")]:
            answer = await store.ask(method, f"{path}/manifests/{reference}", ALL_TYPES)
            assert (answer.status, answer.body) == (200, body)
            assert answer.headers["content-type"] == media_type
            assert answer.headers["docker-content-digest"] == Digest.of(document)
            assert answer.headers["content-length"] == str(len(document))


async def has(repository: Repository, image: Image) -> None:
    """The engine reads an image: manifest and blobs, as bytes and as streams."""
    manifest = await repository.manifests.get(Digest.of(image.manifest))
    assert (manifest.content, manifest.media_type) == (image.manifest, image.media_type)
    for blob in image.blobs:
        digest = Digest.of(blob)
        assert (await repository.blobs.stat(digest)).size == len(blob)
        assert Digest.of(await repository.blobs.get(digest)) == digest
        async with repository.blobs.open(digest) as reader:
            assert Digest.of(b"".join([piece async for piece in reader])) == digest


# ---- what the engine wrote


@pytest.mark.parametrize("image", [IMAGE, DOCKER], ids=["OCI", "Docker schema 2"])
async def test_distribution_serves_our_image(store: Shared, registry: Registry, image: Image) -> None:
    name = f"ours/image-{len(image.blobs)}"
    await write(registry.repository(name), image, "latest")
    await serves_manifest(store, name, image.manifest, image.media_type)
    await serves_blobs(store, name, image)
    assert json.loads((await store.ask("GET", f"{name}/tags/list")).body) == {
        "name": name,
        "tags": ["latest"],
    }
    assert name in json.loads((await store.ask("GET", "_catalog")).body)["repositories"]


async def test_distribution_serves_our_index(
    store: Shared, ours: Repository, name: str, tmp_path: Path
) -> None:
    for image in (IMAGE, ARM):
        await write(ours, image)
    await ours.manifests.put(INDEX, tag="latest")
    await serves_manifest(store, name, INDEX, OCI_INDEX)
    await serves_blobs(store, name, ARM)

    # skopeo pulls all of it
    options = ["--all", "--preserve-digests", "--src-tls-verify=false"]
    source = image_in(store.distribution, f"{name}:latest")
    await asyncio.to_thread(skopeo, "copy", *options, source, f"dir:{tmp_path / 'copy'}", home=tmp_path)
    files = {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()}
    assert files.pop("version")
    assert files.pop("manifest.json") == INDEX
    for image in (IMAGE, ARM):
        assert files.pop(f"{Digest.of(image.manifest).hex}.manifest.json") == image.manifest
    assert {*files} == {Digest.of(blob).hex for image in (IMAGE, ARM) for blob in image.blobs}
    assert all(Digest.of(content).hex == stated for stated, content in files.items())


async def test_distribution_sees_a_tag_move_and_lists_all_tags(
    store: Shared, ours: Repository, name: str
) -> None:
    await write(ours, IMAGE, "latest")
    await write(ours, OTHER, "v1")
    for tag in ("v1.0", "v1-rc", "2"):
        await ours.tags.set(tag, Digest.of(IMAGE.manifest))
    await ours.tags.set("latest", Digest.of(OTHER.manifest))
    assert (await store.ask("GET", f"{name}/manifests/latest", ALL_TYPES)).body == OTHER.manifest
    tags = json.loads((await store.ask("GET", f"{name}/tags/list")).body)["tags"]
    assert sorted(tags) == [info.tag async for info in ours.tags]


async def test_distribution_sees_our_deletions(store: Shared, ours: Repository, name: str) -> None:
    digest = await write(ours, IMAGE, "latest")
    await ours.tags.set("kept", digest)
    await ours.tags.delete("latest")
    assert (await store.ask("GET", f"{name}/manifests/latest", ALL_TYPES)).status == 404
    assert json.loads((await store.ask("GET", f"{name}/tags/list")).body)["tags"] == ["kept"]
    assert (await store.ask("GET", f"{name}/manifests/{digest}", ALL_TYPES)).status == 200
    await ours.manifests.delete(digest)
    for reference in ("kept", digest):
        assert (await store.ask("HEAD", f"{name}/manifests/{reference}", ALL_TYPES)).status == 404


# ---- what Distribution wrote


@pytest.mark.parametrize("image", [IMAGE, DOCKER], ids=["OCI", "Docker schema 2"])
async def test_we_read_what_skopeo_pushed(
    store: Shared, registry: Registry, image: Image, tmp_path: Path
) -> None:
    name = f"theirs/image-{len(image.blobs)}"
    digest = await push(store, tmp_path / "image", image, f"{name}:latest")
    repository = registry.repository(name)
    manifest = await repository.manifests.get("latest")
    assert (manifest.content, manifest.media_type) == (image.manifest, image.media_type)
    await has(repository, image)
    assert [info.tag async for info in repository.tags] == ["latest"]
    assert await repository.tags.resolve("latest") == digest
    assert [revision.digest async for revision in repository.revisions.enumerate()] == [digest]
    assert name in [str(found) async for found in registry.repositories()]
    with pytest.raises(BlobUnknown):
        await registry.repository("theirs/other").blobs.get(Digest.of(image.blobs[0]))


async def test_we_read_an_index_that_skopeo_pushed(
    store: Shared, registry: Registry, ours: Repository, name: str, tmp_path: Path
) -> None:
    """From a repository of ours, by Distribution, to another one."""
    for image in (IMAGE, ARM):
        await write(ours, image)
    await ours.manifests.put(INDEX, tag="latest")
    options = ["--all", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"]
    source, target = (image_in(store.distribution, f"{each}:latest") for each in (name, f"{name}/copy"))
    await asyncio.to_thread(skopeo, "copy", *options, source, target, home=tmp_path)
    copied = registry.repository(f"{name}/copy")
    manifest = await copied.manifests.get("latest")
    assert (manifest.content, manifest.media_type) == (INDEX, OCI_INDEX)
    for image in (IMAGE, ARM):
        await has(copied, image)


async def test_a_tag_that_both_move_has_one_history(
    store: Shared, ours: Repository, name: str, tmp_path: Path, tick: Tick
) -> None:
    a = await push(store, tmp_path / "a", IMAGE, f"{name}:latest")
    await tick()
    b = await push(store, tmp_path / "b", OTHER, f"{name}:latest")
    events = await ours.tags.history("latest")
    assert [event.digest for event in events] == [a, b]
    assert events[0].since < events[1].since
    await tick()
    c = await write(ours, ARM, "latest")
    await tick()
    await push(store, tmp_path / "d", DOCKER, f"{name}:latest")
    assert [event.digest for event in await ours.tags.history("latest")] == [
        a,
        b,
        c,
        Digest.of(DOCKER.manifest),
    ]
    assert await ours.tags.restore("latest", events[1].since) == b
    assert (await store.ask("GET", f"{name}/manifests/latest", ALL_TYPES)).body == OTHER.manifest


async def test_a_revision_that_distribution_gives_a_tag_again_is_told_once(
    store: Shared, ours: Repository, name: str, tmp_path: Path, tick: Tick
) -> None:
    """It writes the index link anew, and with it the time: index links can't tell more."""
    for number, image in enumerate((IMAGE, OTHER, IMAGE)):
        await push(store, tmp_path / str(number), image, f"{name}:latest")
        await tick()
    assert [event.digest for event in await ours.tags.history("latest")] == [
        Digest.of(OTHER.manifest),
        Digest.of(IMAGE.manifest),
    ]


async def test_distribution_takes_a_delete_marker_for_an_unknown_manifest(
    store: Shared, ours: Repository, name: str
) -> None:
    """A deletion that died leaves it on MinIO."""
    await write(ours, IMAGE, "latest")
    link = CURRENT.key(TagCurrent(ours.name, Tag("latest")))
    await store.driver.put(link, new_delete_marker().encode())
    for method in ("GET", "HEAD"):
        assert (await store.ask(method, f"{name}/manifests/latest", ALL_TYPES)).status == 404
    assert json.loads((await store.ask("GET", f"{name}/tags/list")).body)["tags"] == ["latest"]
    with pytest.raises(TagUnknown):
        await ours.manifests.get("latest")


async def test_we_see_distributions_deletions(
    store: Shared, ours: Repository, name: str, tmp_path: Path
) -> None:
    digest = await push(store, tmp_path / "image", IMAGE, f"{name}:latest")
    await push(store, tmp_path / "again", IMAGE, f"{name}:kept")
    assert (await store.ask("DELETE", f"{name}/manifests/latest")).status == 202
    with pytest.raises(TagUnknown):
        await ours.manifests.get("latest")
    assert [info.tag async for info in ours.tags] == ["kept"]
    assert (await ours.manifests.get("kept")).content == IMAGE.manifest

    assert (await store.ask("DELETE", f"{name}/manifests/{digest}")).status == 202
    with pytest.raises(ManifestUnknown):
        await ours.manifests.get(digest)
    assert [revision async for revision in ours.revisions.enumerate()] == []

    layer = Digest.of(IMAGE.blobs[1])
    assert (await store.ask("DELETE", f"{name}/blobs/{layer}")).status == 202
    with pytest.raises(BlobUnknown):
        await ours.blobs.get(layer)

    # and what is put again is there for both
    await write(ours, IMAGE, "latest")
    await serves_manifest(store, name, IMAGE.manifest, IMAGE.media_type)
    await serves_blobs(store, name, IMAGE)


# ---- two servers on one store


async def test_what_is_pushed_to_one_server_is_pulled_from_the_other(
    store: Shared, registry: Registry, name: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()

    async def copy(*arguments: str) -> None:
        options = ["--src-tls-verify=false", "--dest-tls-verify=false", "--preserve-digests"]
        await asyncio.to_thread(skopeo, "copy", *options, *arguments, home=home)

    async with serving(RegistryApp(registry)) as server:
        ours, theirs = f"docker://{server.host}/{name}", image_in(store.distribution, name)
        for number, (to, back) in enumerate([(ours, theirs), (theirs, ours)]):
            image = build(f"layer {number}", LARGE)
            pushed, pulled = tmp_path / f"pushed-{number}", tmp_path / f"pulled-{number}"
            image.write_to(pushed)
            await copy(f"dir:{pushed}", f"{to}:both")
            await copy(f"{back}:both", f"dir:{pulled}")
            assert (pulled / "manifest.json").read_bytes() == image.manifest
            for blob in image.blobs:
                assert Digest.of((pulled / Digest.of(blob).hex).read_bytes()) == Digest.of(blob)
