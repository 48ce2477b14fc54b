"""Uploads over HTTP: in one request, in two, in chunks, by stream; resumed, cancelled, purged."""

from datetime import timedelta

import httpx
import pytest

from revstore_async import Digest, Driver, Registry, Repository
from revstore_async.server import RegistryApp, ServerOptions
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import Fault, FaultsDriver, Rule, Script
from tests.conftest import Tick
from tests.parts.pushing import BEGIN, CONTENT, DIGEST, NAME, begin, chunk, is_stored, nothing_is_left
from tests.parts.serving import client_of, error_code
from tests.parts.uploads import left_of_uploads, pieces


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("content", [CONTENT, b""], ids=["content", "nothing"])
async def test_a_blob_is_pushed_in_one_request(
    client: httpx.AsyncClient, repository: Repository, content: bytes, algorithm: str
) -> None:
    digest = Digest.of(content, algorithm)
    answer = await client.post(f"{BEGIN}?digest={digest}", content=content)
    await is_stored(answer, repository, digest)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("content", [CONTENT, b""], ids=["content", "nothing"])
async def test_a_blob_is_pushed_in_two_requests(
    client: httpx.AsyncClient,
    repository: Repository,
    driver: Driver,
    content: bytes,
    algorithm: str,
    announced: bool,
) -> None:
    digest = Digest.of(content, algorithm)
    location = await begin(client, f"?digest-algorithm={algorithm}" if announced else "")
    await is_stored(await client.put(f"{location}?digest={digest}", content=content), repository, digest)
    await nothing_is_left(driver)


@pytest.mark.parametrize("last", [True, False], ids=["the last chunk by PUT", "all chunks by PATCH"])
async def test_a_blob_is_pushed_in_chunks(
    client: httpx.AsyncClient, repository: Repository, driver: Driver, last: bool
) -> None:
    location = await begin(client)
    for start, end in [(0, 1000), (1000, 1001), (1001, 2000)]:
        answer = await client.patch(location, content=CONTENT[start:end], headers=chunk(start, end))
        assert (answer.status_code, answer.headers["range"]) == (202, f"0-{end - 1}")
        assert answer.headers["location"] == location
        for method in ("GET", "HEAD"):
            status = await client.request(method, location)
            assert (status.status_code, status.headers["range"]) == (204, f"0-{end - 1}")
            assert status.headers["location"] == location
            assert location.endswith(status.headers["docker-upload-uuid"])
    rest, headers = CONTENT[2000:], chunk(2000, len(CONTENT))
    if not last:
        assert (await client.patch(location, content=rest, headers=headers)).status_code == 202
        rest, headers = b"", {}
    answer = await client.put(f"{location}?digest={DIGEST}", content=rest, headers=headers)
    await is_stored(answer, repository)
    await nothing_is_left(driver)


async def test_a_blob_is_pushed_as_docker_does(client: httpx.AsyncClient, repository: Repository) -> None:
    """One PATCH of unknown length, and a PUT without a body."""
    location = await begin(client)
    answer = await client.patch(location, content=pieces(CONTENT, 1000))
    assert (answer.status_code, answer.headers["range"]) == (202, f"0-{len(CONTENT) - 1}")
    await is_stored(await client.put(f"{location}?digest={DIGEST}"), repository)


async def test_an_upload_goes_on_at_any_replica(
    client: httpx.AsyncClient, driver: Driver, repository: Repository
) -> None:
    async with client_of(RegistryApp(Registry(driver))) as other:
        location = await begin(client)
        turns = [other, client, other]
        for number, turn in enumerate(turns):
            start, end = number * 1000, (number + 1) * 1000
            answer = await turn.patch(location, content=CONTENT[start:end], headers=chunk(start, end))
            assert answer.status_code == 202
        answer = await client.put(
            f"{location}?digest={DIGEST}", content=CONTENT[3000:], headers=chunk(3000, len(CONTENT))
        )
        await is_stored(answer, repository)


async def test_a_finish_may_be_repeated(client: httpx.AsyncClient, repository: Repository) -> None:
    """The first answer may have been lost."""
    location = await begin(client)
    for _ in range(2):
        await is_stored(await client.put(f"{location}?digest={DIGEST}", content=CONTENT), repository)


@pytest.mark.parametrize("limit", [None, 10_000])
async def test_a_last_chunk_may_be_sent_again_also_where_blobs_are_limited(
    in_memory: Registry, limit: int | None
) -> None:
    async with client_of(RegistryApp(in_memory, options=ServerOptions(blob_limit=limit))) as client:
        location = await begin(client)
        await client.patch(location, content=CONTENT[:1000])
        for _ in range(2):
            answer = await client.put(f"{location}?digest={DIGEST}", content=CONTENT[1000:])
            await is_stored(answer, in_memory.repository(NAME))
        answer = await client.patch(location, content=CONTENT)
        assert (answer.status_code, error_code(answer)) == (404, "BLOB_UPLOAD_UNKNOWN")


async def test_a_finish_of_what_is_no_upload_is_not_answered_by_a_blob_that_is_there(
    client: httpx.AsyncClient, repository: Repository
) -> None:
    await repository.blobs.put(CONTENT)
    answer = await client.put(f"{BEGIN}nonsense?digest={DIGEST}")
    assert (answer.status_code, error_code(answer)) == (404, "BLOB_UPLOAD_UNKNOWN")
    gone = f"{BEGIN}00000000-0000-4000-8000-000000000000?digest={DIGEST}"
    answer = await client.put(gone, content=b"other", headers=chunk(0, 5))
    assert (answer.status_code, error_code(answer)) == (400, "DIGEST_INVALID")


async def test_a_chunk_out_of_order_is_told_where_the_upload_is_though_the_store_fails_to_clean_up() -> None:
    driver = FaultsDriver(MemoryDriver(), Script(Rule("delete_many", Fault.BEFORE, nth=0)))
    async with Registry(driver) as registry, client_of(RegistryApp(registry)) as client:
        location = await begin(client)
        await client.patch(location, content=CONTENT[:7])
        answer = await client.patch(location, content=b"abc", headers=chunk(2, 5))
        assert (answer.status_code, answer.headers["range"]) == (416, "0-6")
        assert answer.headers["location"] == location


async def test_an_upload_that_is_being_finished_says_so_to_who_would_add_to_it() -> None:
    driver = FaultsDriver(MemoryDriver(), Script(Rule("compose", Fault.BEFORE)))
    async with Registry(driver) as registry, client_of(RegistryApp(registry)) as client:
        location = await begin(client)
        await client.patch(location, content=CONTENT)
        assert (await client.put(f"{location}?digest={DIGEST}")).status_code == 503
        answer = await client.patch(location, content=b"more")
        assert (answer.status_code, error_code(answer)) == (409, "BLOB_UPLOAD_INVALID")
        assert DIGEST in answer.text
        assert "retry-after" not in answer.headers
        await is_stored(await client.put(f"{location}?digest={DIGEST}"), registry.repository(NAME))


async def test_an_upload_that_rots_in_the_storage_is_told_to_the_client_and_to_the_operator(
    in_memory: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    async with client_of(RegistryApp(in_memory)) as client:
        location = await begin(client)
        await client.patch(location, content=CONTENT)
        (segment,) = [key for key in await left_of_uploads(in_memory) if "/segments/" in key]
        await in_memory.driver.put(segment, b"rotten".ljust(len(CONTENT)))
        answer = await client.put(f"{location}?digest={DIGEST}")
        assert (answer.status_code, error_code(answer)) == (500, "BLOB_UPLOAD_INVALID")
        assert "start another" in answer.text
        assert "docker/registry" not in answer.text
        (record,) = caplog.records
        assert record.getMessage().rpartition(" ")[2] in answer.text
        location = await begin(client)
        await client.patch(location, content=CONTENT)
        await is_stored(await client.put(f"{location}?digest={DIGEST}"), in_memory.repository(NAME))


async def test_locations_are_below_the_place_where_the_server_is_mounted(in_memory: Registry) -> None:
    async with client_of(RegistryApp(in_memory)) as client:
        client._transport = httpx.ASGITransport(RegistryApp(in_memory), root_path="/registries/one")
        answer = await client.post(f"/registries/one{BEGIN}")
        location = answer.headers["location"]
        assert location.startswith(f"/registries/one{BEGIN}")
        answer = await client.put(f"{location}?digest={DIGEST}", content=CONTENT)
        assert answer.headers["location"] == f"/registries/one/v2/{NAME}/blobs/{DIGEST}"


async def test_a_cancelled_upload_is_gone(client: httpx.AsyncClient, driver: Driver) -> None:
    location = await begin(client)
    await client.patch(location, content=CONTENT)
    answer = await client.delete(location)
    assert (answer.status_code, answer.content) == (204, b"")
    for method in ("GET", "PATCH", "DELETE"):
        answer = await client.request(method, location)
        assert (answer.status_code, error_code(answer)) == (404, "BLOB_UPLOAD_UNKNOWN")
    await nothing_is_left(driver)


async def test_abandoned_uploads_are_purged(
    client: httpx.AsyncClient, registry: Registry, tick: Tick
) -> None:
    location = await begin(client)
    await client.patch(location, content=CONTENT)
    assert await registry.purge_uploads(timedelta(hours=1)) == 0
    assert (await client.get(location)).status_code == 204
    await tick()
    assert await registry.purge_uploads(timedelta(0)) == 1
    assert (await client.get(location)).status_code == 404
