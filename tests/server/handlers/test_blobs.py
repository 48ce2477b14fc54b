"""Blobs over HTTP: read whole, in part, on a condition; asked about; deleted."""

import httpx
import pytest

from revstore_async import Digest, Driver, Registry, Repository
from revstore_async.server import Action, Everybody, Need, Principal, RegistryApp
from revstore_async.server.events import BlobDeleted, BlobPulled, Event
from revstore_async.server.exchange import PIECE
from tests.parts.serving import client_of, error_code

CONTENT = bytes(range(256)) * 8
ABSENT = Digest.of(b"absent")


@pytest.fixture
async def path(repository: Repository) -> str:
    """Where the content is."""
    descriptor = await repository.blobs.put(CONTENT)
    return f"/v2/{repository.name}/blobs/{descriptor.digest}"


# ---- whole


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 5 * PIECE - 1])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_a_blob_of_any_size_comes_back(
    client: httpx.AsyncClient, repository: Repository, size: int, algorithm: str
) -> None:
    content = bytes(size)
    digest = Digest.of(content, algorithm)
    await repository.blobs.put(content, digest=digest)
    for method in ("GET", "HEAD"):
        answer = await client.request(method, f"/v2/{repository.name}/blobs/{digest}")
        assert answer.status_code == 200
        assert answer.headers["content-length"] == str(size)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["docker-content-digest"] == digest
        assert answer.headers["etag"] == f'"{digest}"'
        assert answer.headers["accept-ranges"] == "bytes"
        assert "immutable" in answer.headers["cache-control"]
        assert Digest.of(answer.content, algorithm) == (
            digest if method == "GET" else Digest.of(b"", algorithm)
        )


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_a_blob_is_reached_only_through_a_repository_that_links_it(
    client: httpx.AsyncClient, registry: Registry, path: str, method: str
) -> None:
    await registry.repository("other").blobs.put(b"something else")
    paths = [f"/v2/other/blobs/{path.rpartition('/')[2]}", f"/v2/library/hello/blobs/{ABSENT}"]
    for each in paths:
        answer = await client.request(method, each)
        assert answer.status_code == 404
        if method != "HEAD":
            assert error_code(answer) == "BLOB_UNKNOWN"


@pytest.mark.parametrize("digest", ["sha256:abc", "sha256", "md5:" + "0" * 32, "sha256:" + "A" * 64, "x"])
async def test_what_is_no_digest_is_refused(client: httpx.AsyncClient, digest: str) -> None:
    for method in ("GET", "DELETE"):
        answer = await client.request(method, f"/v2/library/hello/blobs/{digest}")
        assert (answer.status_code, error_code(answer)) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_content_that_is_lost_is_not_found_and_no_key_is_told(
    client: httpx.AsyncClient, registry: Registry, driver: Driver, path: str, method: str
) -> None:
    await driver.delete(registry.blobs.path(Digest.of(CONTENT)))
    answer = await client.request(method, path)
    assert answer.status_code == 404
    assert "_layers" not in answer.text
    if method == "GET":
        assert error_code(answer) == "BLOB_UNKNOWN"


async def test_a_small_blob_that_is_damaged_is_not_handed_out(
    client: httpx.AsyncClient, registry: Registry, driver: Driver, path: str
) -> None:
    for damaged in (b"", CONTENT[:-1], CONTENT[:-1] + b"?"):
        await driver.put(registry.blobs.path(Digest.of(CONTENT)), damaged)
        answer = await client.get(path)
        assert (answer.status_code, error_code(answer)) == (500, "UNKNOWN")
        assert "sha256" not in answer.text


# ---- in part


@pytest.mark.parametrize(
    ("asked", "begin", "end"),
    [
        ("0-0", 0, 1),
        ("500-1499", 500, 1500),
        ("500-", 500, 2048),
        ("-500", 1548, 2048),
        ("2000-5000", 2000, 2048),
    ],
)
async def test_a_range_is_served(
    client: httpx.AsyncClient, path: str, asked: str, begin: int, end: int
) -> None:
    answer = await client.get(path, headers={"Range": f"bytes={asked}"})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/2048"
    assert answer.headers["content-length"] == str(end - begin)
    assert answer.headers["docker-content-digest"] == Digest.of(CONTENT)
    assert answer.content == CONTENT[begin:end]


async def test_a_range_of_many_pieces_is_served(client: httpx.AsyncClient, repository: Repository) -> None:
    content = bytes(range(251)) * (5 * PIECE // 251)
    digest = (await repository.blobs.put(content)).digest
    asked = {"Range": f"bytes=7-{3 * PIECE}"}
    answer = await client.get(f"/v2/{repository.name}/blobs/{digest}", headers=asked)
    assert answer.status_code == 206
    assert Digest.of(answer.content) == Digest.of(content[7 : 3 * PIECE + 1])


@pytest.mark.parametrize("asked", ["2048-", "5000-10000", "-0", "500-0", "a-b", "9" * 30 + "-"])
async def test_a_range_that_cannot_be_served_is_refused(
    client: httpx.AsyncClient, path: str, asked: str
) -> None:
    answer = await client.get(path, headers={"Range": f"bytes={asked}"})
    assert (answer.status_code, error_code(answer)) == (416, "RANGE_INVALID")
    assert answer.headers["content-range"] == "bytes */2048"


async def test_an_empty_blob_is_served_whole_to_clients_that_always_send_a_range(
    client: httpx.AsyncClient, repository: Repository
) -> None:
    digest = (await repository.blobs.put(b"")).digest
    path = f"/v2/{repository.name}/blobs/{digest}"
    for asked in ("0-", "0-0", "0-99", "-1"):
        answer = await client.get(path, headers={"Range": f"bytes={asked}"})
        assert (answer.status_code, answer.content) == (200, b"")
        assert "content-range" not in answer.headers
    for asked in ("1-", "5-9", "-0", "a-b"):
        answer = await client.get(path, headers={"Range": f"bytes={asked}"})
        assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */0")


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "items=0-1"},
        {"Range": "bytes=0-1,5-6"},
        {"Range": "bytes=0-1", "If-Range": '"another"'},
        {"Range": "bytes=0-1", "If-Range": f'W/"{Digest.of(CONTENT)}"'},
        {"Range": "bytes=0-1", "If-Range": "Sat, 29 Oct 1994 19:43:31 GMT"},
    ],
)
async def test_a_range_that_does_not_count_is_ignored(
    client: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    answer = await client.get(path, headers=headers)
    assert (answer.status_code, answer.content) == (200, CONTENT)


async def test_a_range_counts_where_the_client_has_the_rest_of_this_blob(
    client: httpx.AsyncClient, path: str
) -> None:
    headers = {"Range": "bytes=2-4", "If-Range": f'"{Digest.of(CONTENT)}"'}
    answer = await client.get(path, headers=headers)
    assert (answer.status_code, answer.content) == (206, CONTENT[2:5])


async def test_a_head_has_no_ranges(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.head(path, headers={"Range": "bytes=5000-"})
    assert (answer.status_code, answer.headers["content-length"]) == (200, "2048")


# ---- on a condition


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_client_that_has_the_blob_is_told_so(
    client: httpx.AsyncClient, path: str, method: str
) -> None:
    etag = f'"{Digest.of(CONTENT)}"'
    for condition in (etag, f"W/{etag}", f'"a", {etag}', "*"):
        answer = await client.request(method, path, headers={"If-None-Match": condition})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    for headers in ({"If-None-Match": '"a"'}, {"If-Match": etag}):
        answer = await client.request(method, path, headers=headers)
        assert answer.status_code == 200
    answer = await client.request(method, path, headers={"If-Match": '"a"'})
    assert answer.status_code == 412


async def test_a_condition_on_what_is_not_there_is_not_judged(client: httpx.AsyncClient) -> None:
    for headers in ({"If-None-Match": "*"}, {"If-None-Match": f'"{ABSENT}"'}, {"If-Match": "*"}):
        answer = await client.get(f"/v2/library/hello/blobs/{ABSENT}", headers=headers)
        assert answer.status_code == 404


# ---- deleted


async def test_a_deleted_blob_is_gone_from_that_repository_only(
    client: httpx.AsyncClient, registry: Registry, path: str
) -> None:
    other = registry.repository("other")
    await other.blobs.put(CONTENT)
    answer = await client.delete(path)
    assert (answer.status_code, answer.content) == (202, b"")
    for method in ("GET", "HEAD", "DELETE"):
        assert (await client.request(method, path)).status_code == 404
    assert await other.blobs.get(Digest.of(CONTENT)) == CONTENT


# ---- what the program around is told, and asked


async def test_pulls_and_deletes_are_told(in_memory: Registry) -> None:
    told: list[Event] = []

    async def listener(event: Event) -> None:
        told.append(event)

    repository = in_memory.repository("library/hello")
    digest = (await repository.blobs.put(CONTENT)).digest
    path = f"/v2/{repository.name}/blobs/{digest}"
    async with client_of(RegistryApp(in_memory, listener=listener)) as client:
        await client.head(path)
        assert not told
        await client.get(path)
        await client.get(path, headers={"Range": "bytes=5000-"})
        await client.get(path, headers={"If-None-Match": "*"})
        await client.delete(path)
    name = repository.name
    assert told == [BlobPulled(name, "", digest, len(CONTENT), False), BlobDeleted(name, "", digest)]


class Puller(Everybody):
    async def allows(self, principal: Principal, need: Need) -> bool:
        return need.action is Action.PULL


async def test_who_may_only_pull_can_ask_about_a_blob(in_memory: Registry) -> None:
    digest = (await in_memory.repository("library/hello").blobs.put(CONTENT)).digest
    async with client_of(RegistryApp(in_memory, access=Puller())) as client:
        assert (await client.head(f"/v2/library/hello/blobs/{digest}")).status_code == 200
        assert (await client.head(f"/v2/library/hello/blobs/{ABSENT}")).status_code == 404
        assert (await client.delete(f"/v2/library/hello/blobs/{digest}")).status_code == 403
