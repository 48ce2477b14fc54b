"""Uploads over HTTP: in one request, in two, in chunks, by stream; resumed, cancelled, mounted instead."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from revstore_async import Digest, Driver, Registry, Repository, RepositoryName
from revstore_async.errors import BlobUnknown
from revstore_async.server import Action, Everybody, Need, Principal, RegistryApp, ServerOptions
from revstore_async.server.events import BlobMounted, BlobPushed, Event
from tests.conftest import Tick
from tests.parts.serving import client_of, error_code

NAME = RepositoryName("library/hello")
BEGIN = f"/v2/{NAME}/blobs/uploads/"
CONTENT = bytes(range(256)) * 12
DIGEST = Digest.of(CONTENT)


async def begin(client: httpx.AsyncClient, query: str = "") -> str:
    answer = await client.post(BEGIN + query)
    assert answer.status_code == 202
    location = answer.headers["location"]
    assert location == BEGIN + answer.headers["docker-upload-uuid"]
    assert answer.headers["range"] == "0-0"
    return location


async def pieces(content: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def chunk(start: int, end: int) -> dict[str, str]:
    """Return the header of the bytes from `start` to before `end`."""
    return {"Content-Range": f"{start}-{end - 1}"}


async def is_stored(answer: httpx.Response, repository: Repository, digest: Digest = DIGEST) -> None:
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v2/{NAME}/blobs/{digest}"
    assert answer.headers["docker-content-digest"] == digest
    assert Digest.of(await repository.blobs.get(digest), digest.algorithm) == digest


async def nothing_is_left(driver: Driver) -> None:
    """No upload is there any more, nor a part of one."""
    page = await driver.list_all("")
    assert [info.key for info in page.entries if "upload" in info.key] == []


# ---- the ways in


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
    answer = await client.patch(location, content=pieces(CONTENT))
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


async def test_locations_are_below_the_place_where_the_server_is_mounted(in_memory: Registry) -> None:
    async with client_of(RegistryApp(in_memory)) as client:
        client._transport = httpx.ASGITransport(RegistryApp(in_memory), root_path="/registries/one")
        answer = await client.post(f"/registries/one{BEGIN}")
        location = answer.headers["location"]
        assert location.startswith(f"/registries/one{BEGIN}")
        answer = await client.put(f"{location}?digest={DIGEST}", content=CONTENT)
        assert answer.headers["location"] == f"/registries/one/v2/{NAME}/blobs/{DIGEST}"


# ---- what is refused, and loses nothing


async def test_a_chunk_out_of_order_is_refused_and_the_client_told_where_to_go_on(
    client: httpx.AsyncClient, repository: Repository
) -> None:
    location = await begin(client)
    await client.patch(location, content=CONTENT[:1000], headers=chunk(0, 1000))
    for method, url in [("PATCH", location), ("PUT", f"{location}?digest={DIGEST}")]:
        for start, end in [(0, 1000), (999, 1500), (2000, len(CONTENT))]:
            answer = await client.request(method, url, content=CONTENT[start:end], headers=chunk(start, end))
            assert (answer.status_code, error_code(answer)) == (416, "BLOB_UPLOAD_INVALID")
            assert answer.headers["range"] == "0-999"
            assert answer.headers["location"] == location
    answer = await client.put(
        f"{location}?digest={DIGEST}", content=CONTENT[1000:], headers=chunk(1000, len(CONTENT))
    )
    await is_stored(answer, repository)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Range": "0-499"}, 400, "SIZE_INVALID"),
        ({"Content-Range": "0-1499"}, 400, "SIZE_INVALID"),
        ({"Content-Range": "0-1499", "Content-Length": "1500"}, 400, "SIZE_INVALID"),
        ({"Content-Range": "0-499", "Content-Length": "500"}, 400, "SIZE_INVALID"),
        ({"Content-Length": "1500"}, 400, "SIZE_INVALID"),
        ({"Content-Length": "500"}, 400, "SIZE_INVALID"),
        ({"Content-Length": "-1"}, 400, "UNSUPPORTED"),
        ({"Content-Length": "1e3"}, 400, "UNSUPPORTED"),
        ({"Content-Range": "0"}, 400, "UNSUPPORTED"),
        ({"Content-Range": "999-0"}, 400, "UNSUPPORTED"),
        ({"Content-Range": "a-b"}, 400, "UNSUPPORTED"),
    ],
)
async def test_a_length_that_lies_is_refused(
    client: httpx.AsyncClient, repository: Repository, headers: dict[str, str], status: int, code: str
) -> None:
    location = await begin(client)
    for method, url in [("PATCH", location), ("PUT", f"{location}?digest={DIGEST}")]:
        answer = await client.request(method, url, content=CONTENT[:1000], headers=headers)
        assert (answer.status_code, error_code(answer)) == (status, code)
    assert (await client.get(location)).headers["range"] == "0-0"
    await is_stored(await client.put(f"{location}?digest={DIGEST}", content=CONTENT), repository)


@pytest.mark.parametrize("length", ["3000", "4000"])
async def test_a_length_that_lies_is_refused_of_a_push_in_one_request(
    client: httpx.AsyncClient, repository: Repository, length: str
) -> None:
    answer = await client.post(
        f"{BEGIN}?digest={DIGEST}", content=CONTENT, headers={"Content-Length": length}
    )
    assert (answer.status_code, error_code(answer)) == (400, "SIZE_INVALID")
    assert not await repository.blobs.exists(DIGEST)


@pytest.mark.parametrize("headers", [chunk(0, 2000), {}], ids=["at an offset", "at the end"])
async def test_of_two_writers_at_once_nothing_acknowledged_is_lost(
    client: httpx.AsyncClient, repository: Repository, headers: dict[str, str]
) -> None:
    location = await begin(client)

    async def write() -> httpx.Response:
        return await client.patch(location, content=CONTENT[:2000], headers=headers)

    answers = await asyncio.gather(write(), write())
    acknowledged = [answer for answer in answers if answer.status_code == 202]
    for answer in answers:
        if answer.status_code == 409:
            assert int(answer.headers["retry-after"]) > 0
        elif answer.status_code == 416:
            assert answer.headers["range"] == "0-1999"
    assert {answer.status_code for answer in answers} <= {202, 409, 416}
    assert acknowledged
    assert not headers or len(acknowledged) == 1
    content = CONTENT[:2000] * len(acknowledged) + b"the end"
    digest = Digest.of(content)
    await is_stored(await client.put(f"{location}?digest={digest}", content=b"the end"), repository, digest)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_content_of_another_digest_is_refused_and_the_upload_stays(
    client: httpx.AsyncClient, repository: Repository, algorithm: str
) -> None:
    wrong = Digest.of(b"another", algorithm)
    answer = await client.post(f"{BEGIN}?digest={wrong}", content=CONTENT)
    assert (answer.status_code, error_code(answer)) == (400, "DIGEST_INVALID")
    location = await begin(client)
    await client.patch(location, content=CONTENT[:2000], headers=chunk(0, 2000))
    answer = await client.put(f"{location}?digest={wrong}", content=CONTENT[2000:])
    assert (answer.status_code, error_code(answer)) == (400, "DIGEST_INVALID")
    assert not await repository.blobs.exists(wrong)
    await is_stored(await client.put(f"{location}?digest={DIGEST}", content=CONTENT[2000:]), repository)


@pytest.mark.parametrize(
    "digest",
    ["", "sha256", "sha256:abc", "md5:" + "0" * 32, f"tarsum.v1%2Bsha256:{DIGEST.hex}", "a%0d%0ab:c", "%00"],
)
async def test_what_is_no_digest_is_refused(client: httpx.AsyncClient, digest: str) -> None:
    location = await begin(client)
    for method, url in [
        ("POST", f"{BEGIN}?digest={digest}"),
        ("POST", f"{BEGIN}?mount={digest}&from=other"),
        ("PUT", f"{location}?digest={digest}"),
    ]:
        answer = await client.request(method, url, content=CONTENT)
        if "mount" in url and "tarsum" in url:
            assert answer.status_code == 202  # a name that nothing is stored under
        else:
            assert (answer.status_code, error_code(answer)) == (400, "DIGEST_INVALID")
    assert (await client.put(location)).status_code == 400
    assert (await client.get(location)).status_code == 204


@pytest.mark.parametrize("algorithm", ["", "md5", "SHA256", "sha256 "])
async def test_an_algorithm_that_cannot_be_computed_is_refused(
    client: httpx.AsyncClient, algorithm: str
) -> None:
    answer = await client.post(BEGIN, params={"digest-algorithm": algorithm})
    assert answer.status_code == 400


@pytest.mark.parametrize("upload", ["x", "00000000-0000-4000-8000-000000000000", "%2e%2e", "a%00b", "~"])
async def test_an_upload_that_is_not_there_is_not_known(
    client: httpx.AsyncClient, driver: Driver, upload: str
) -> None:
    for method in ("GET", "HEAD", "PATCH", "PUT", "DELETE"):
        content = CONTENT if method in {"PATCH", "PUT"} else b""
        answer = await client.request(method, f"{BEGIN}{upload}?digest={DIGEST}", content=content)
        assert answer.status_code == 404
        if method != "HEAD":
            assert error_code(answer) == "BLOB_UPLOAD_UNKNOWN"
    await nothing_is_left(driver)


async def test_an_upload_is_that_of_one_repository(client: httpx.AsyncClient) -> None:
    location = await begin(client)
    for method in ("GET", "PATCH", "DELETE"):
        elsewhere = location.replace(NAME, "other")
        assert (await client.request(method, elsewhere)).status_code == 404
    assert (await client.get(location)).status_code == 204


async def test_a_cancelled_upload_is_gone(client: httpx.AsyncClient, driver: Driver) -> None:
    location = await begin(client)
    await client.patch(location, content=CONTENT)
    answer = await client.delete(location)
    assert (answer.status_code, answer.content) == (204, b"")
    for method in ("GET", "PATCH", "DELETE"):
        answer = await client.request(method, location)
        assert (answer.status_code, error_code(answer)) == (404, "BLOB_UPLOAD_UNKNOWN")
    await nothing_is_left(driver)


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_blob_over_the_limit_is_refused_however_it_comes(in_memory: Registry, streamed: bool) -> None:
    options = ServerOptions(blob_limit=len(CONTENT))
    repository = in_memory.repository(NAME)

    def sent(content: bytes) -> bytes | AsyncIterator[bytes]:
        return pieces(content) if streamed else content

    def refused(answer: httpx.Response) -> None:
        assert (answer.status_code, error_code(answer)) == (413, "SIZE_INVALID")

    larger = CONTENT + b"!"
    async with client_of(RegistryApp(in_memory, options=options)) as client:
        refused(await client.post(f"{BEGIN}?digest={Digest.of(larger)}", content=sent(larger)))
        location = await begin(client)
        refused(await client.put(f"{location}?digest={Digest.of(larger)}", content=sent(larger)))
        await client.patch(location, content=sent(CONTENT[:2000]))
        refused(await client.patch(location, content=sent(larger[2000:]), headers=chunk(2000, len(larger))))
        url = f"{location}?digest={Digest.of(larger)}"
        for headers in ({}, chunk(2000, len(larger)), chunk(len(larger), len(larger) + 1073)):
            refused(await client.put(url, content=sent(larger[2000:]), headers=headers))
        assert not await repository.blobs.exists(Digest.of(larger))
        # what was taken before is there, and what just fits is taken
        offset = int((await client.get(location)).headers["range"].removeprefix("0-")) + 1
        assert offset >= 2000
        await is_stored(
            await client.put(f"{location}?digest={DIGEST}", content=sent(CONTENT[offset:])), repository
        )


# ---- mounted


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


async def test_a_source_that_is_no_name_is_refused(client: httpx.AsyncClient) -> None:
    for name in ("UPPER", "../other", "a//b", "", "a\r\nb"):
        answer = await client.post(BEGIN, params={"mount": DIGEST, "from": name})
        assert (answer.status_code, error_code(answer)) == (400, "NAME_INVALID")


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
