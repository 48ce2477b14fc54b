"""Pushes over HTTP, for several modules of tests."""

import httpx

from revstore_async import Digest, Driver, Repository, RepositoryName

from .uploads import is_mark

NAME = RepositoryName("library/hello")
BEGIN = f"/v2/{NAME}/blobs/uploads/"
CONTENT = bytes(range(256)) * 12
DIGEST = Digest.of(CONTENT)


async def begin(client: httpx.AsyncClient, query: str = "") -> str:
    """Begin an upload; return its location."""
    answer = await client.post(BEGIN + query)
    assert answer.status_code == 202
    location = answer.headers["location"]
    assert location == BEGIN + answer.headers["docker-upload-uuid"]
    assert answer.headers["range"] == "0-0"
    return location


def chunk(start: int, end: int) -> dict[str, str]:
    """Return the header of the bytes from `start` to before `end`."""
    return {"Content-Range": f"{start}-{end - 1}"}


async def is_stored(answer: httpx.Response, repository: Repository, digest: Digest = DIGEST) -> None:
    """An answer tells that a blob was stored, and it was."""
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v2/{NAME}/blobs/{digest}"
    assert answer.headers["docker-content-digest"] == digest
    assert Digest.of(await repository.blobs.get(digest), digest.algorithm) == digest


async def nothing_is_left(driver: Driver) -> None:
    """No upload is there any more, nor a part of one."""
    page = await driver.list_all("")
    keys = [info.key for info in page.entries if "upload" in info.key]
    assert [key for key in keys if not await is_mark(driver, key)] == []
