"""Blobs that are mounted instead of uploaded; and who is told of what."""

import httpx
import pytest

from revstore_async import Digest, Registry, Repository, RepositoryName
from revstore_async.errors import BlobUnknown
from revstore_async.layout import LayerLink
from revstore_async.server import Action, Everybody, Need, Principal, RegistryApp, ServerOptions
from revstore_async.server.events import BlobMounted, BlobPushed, Event
from tests.parts.pushing import BEGIN, CONTENT, DIGEST, NAME, begin, is_stored
from tests.parts.serving import client_of


async def mount(client: httpx.AsyncClient, digest: str, source: str | None) -> httpx.Response:
    return await client.post(BEGIN, params={"mount": digest, **({"from": source} if source else {})})


@pytest.mark.parametrize("source", ["other", None], ids=["from a repository", "from anywhere"])
async def test_a_blob_is_mounted(
    client: httpx.AsyncClient, registry: Registry, repository: Repository, source: str | None
) -> None:
    await registry.repository("other").blobs.put(CONTENT)
    await is_stored(await mount(client, DIGEST, source), repository)


@pytest.mark.parametrize("source", ["other", "absent", NAME, None])
async def test_a_blob_that_is_not_there_has_to_be_uploaded(
    client: httpx.AsyncClient, registry: Registry, repository: Repository, source: str | None
) -> None:
    await registry.repository("other").blobs.put(b"something else")
    answer = await mount(client, DIGEST, source)
    assert answer.status_code == 202
    location = answer.headers["location"]
    await is_stored(await client.put(f"{location}?digest={DIGEST}", content=CONTENT), repository)


async def test_a_blob_of_this_repository_need_not_be_uploaded(
    client: httpx.AsyncClient, repository: Repository
) -> None:
    await repository.blobs.put(CONTENT)
    for source in (NAME, None):
        await is_stored(await mount(client, DIGEST, source), repository)


async def test_a_failed_mount_with_a_digest_stores_the_body(
    client: httpx.AsyncClient, repository: Repository
) -> None:
    parameters = {"mount": DIGEST, "from": "other", "digest": DIGEST}
    await is_stored(await client.post(BEGIN, params=parameters, content=CONTENT), repository)


async def test_a_source_that_is_no_name_has_nothing_to_mount(client: httpx.AsyncClient) -> None:
    for name in ("UPPER", "../other", "a//b", "", "a\r\nb"):
        answer = await client.post(BEGIN, params={"mount": DIGEST, "from": name})
        assert answer.status_code == 202
        assert answer.headers["location"].startswith(BEGIN)


async def test_a_source_whose_link_is_damaged_has_nothing_to_mount(in_memory: Registry) -> None:
    await in_memory.repository("other").blobs.put(CONTENT)
    link = in_memory.layout.key(LayerLink(RepositoryName("other"), DIGEST))
    await in_memory.driver.put(link, b"garbage")
    async with client_of(RegistryApp(in_memory)) as client:
        assert (await mount(client, DIGEST, "other")).status_code == 202


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_an_upload_after_a_failed_mount_is_of_the_algorithm_of_the_mounts_digest(
    client: httpx.AsyncClient, repository: Repository, algorithm: str
) -> None:
    location = (await mount(client, Digest.of(CONTENT, algorithm), "other")).headers["location"]
    assert (await repository.uploads.status(location.rpartition("/")[2])).algorithm == algorithm
    tarsum = await mount(client, "tarsum.v1+sha256:" + "0" * 64, "other")
    assert tarsum.status_code == 202


class OwnOnly(Everybody):
    """Lets everybody into `library/hello` and what begins with `open`."""

    async def allows(self, principal: Principal, need: Need) -> bool:
        return need.repository == NAME or (
            need.action is Action.PULL and (need.repository or "").startswith("open")
        )


async def test_nothing_is_mounted_that_the_caller_may_not_read(in_memory: Registry) -> None:
    await in_memory.repository("closed").blobs.put(CONTENT)
    async with client_of(RegistryApp(in_memory, access=OwnOnly())) as client:
        for source in ("closed", None):
            assert (await mount(client, DIGEST, source)).status_code == 202
        with pytest.raises(BlobUnknown):
            await in_memory.repository(NAME).blobs.stat(DIGEST)
        await in_memory.repository("open").blobs.put(CONTENT)
        await is_stored(await mount(client, DIGEST, None), in_memory.repository(NAME))


@pytest.mark.parametrize(("search", "status"), [(0, 202), (1, 202), (3, 202), (4, 201), (100, 201)])
async def test_the_search_for_a_blob_is_bounded(in_memory: Registry, search: int, status: int) -> None:
    for name in ("a", "b", "c"):
        await in_memory.repository(name).blobs.put(CONTENT if name == "c" else b"something else")
    options = ServerOptions(mount_search=search)
    async with client_of(RegistryApp(in_memory, options=options)) as client:
        assert (await mount(client, DIGEST, None)).status_code == status


# ---- told


async def test_pushes_and_mounts_are_told_and_uploads_are_not(in_memory: Registry) -> None:
    told: list[Event] = []

    async def listener(event: Event) -> None:
        told.append(event)

    await in_memory.repository("other").blobs.put(b"mounted")
    mounted = Digest.of(b"mounted")
    async with client_of(RegistryApp(in_memory, listener=listener)) as client:
        location = await begin(client)
        await client.patch(location, content=CONTENT)
        await client.put(f"{location}?digest={Digest.of(b'wrong')}")
        await client.delete(await begin(client))
        assert not told
        await client.put(f"{location}?digest={DIGEST}")
        await client.post(f"{BEGIN}?digest={Digest.of(b'one')}", content=b"one")
        await mount(client, mounted, "other")
    assert told == [
        BlobPushed(NAME, "", DIGEST, len(CONTENT)),
        BlobPushed(NAME, "", Digest.of(b"one"), 3),
        BlobMounted(NAME, "", mounted, RepositoryName("other")),
    ]
