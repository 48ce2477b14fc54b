"""Uploads that are refused: out of order, of another size or digest, too large; and lose nothing."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from revstore_async import Digest, Driver, Registry, Repository
from revstore_async.server import RegistryApp, ServerOptions
from tests.parts.pushing import BEGIN, CONTENT, DIGEST, NAME, begin, chunk, is_stored, nothing_is_left
from tests.parts.serving import client_of, error_code
from tests.parts.uploads import pieces


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


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_blob_over_the_limit_is_refused_however_it_comes(in_memory: Registry, streamed: bool) -> None:
    options = ServerOptions(blob_limit=len(CONTENT))
    repository = in_memory.repository(NAME)

    def sent(content: bytes) -> bytes | AsyncIterator[bytes]:
        return pieces(content, 1000) if streamed else content

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
