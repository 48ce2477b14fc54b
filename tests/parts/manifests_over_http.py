"""Manifests over HTTP, as a client pushes and pulls them; and requests that no client library would send."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import httpx
from starlette.types import ASGIApp, Message

from revstore_async import Digest, Repository

from .documents import NAME, image

CONFIG, LAYER = b"{}", b"what the image is made of"

CODES = {
    # OCI distribution spec 1.1, "Error Codes"
    *(
        "BLOB_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "BLOB_UPLOAD_UNKNOWN",
        "DIGEST_INVALID",
        "MANIFEST_BLOB_UNKNOWN",
    ),
    *("MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED"),
    *("DENIED", "UNSUPPORTED", "TOOMANYREQUESTS"),
    # Docker Distribution's
    *("MANIFEST_UNVERIFIED", "TAG_INVALID", "RANGE_INVALID", "UNAVAILABLE", "UNKNOWN"),
    # ours
    "PRECONDITION_FAILED",
}


def at(path: str, name: str = NAME) -> str:
    return f"/v2/{name}/{path}"


async def push(
    client: httpx.AsyncClient, reference: str, document: bytes, name: str = NAME, **options: Any
) -> httpx.Response:
    return await client.put(at(f"manifests/{reference}", name), content=document, **options)


async def pushed(
    client: httpx.AsyncClient, reference: str, document: bytes, name: str = NAME, **options: Any
) -> Digest:
    """Push, and return the digest that was answered."""
    answer = await push(client, reference, document, name, **options)
    assert answer.status_code == 201, answer.text
    return Digest(answer.headers["docker-content-digest"])


async def image_in(repository: Repository, **more: Any) -> bytes:
    """Store the config and the layers of an image, and return its manifest."""
    await repository.blobs.put(CONFIG)
    await repository.blobs.put(LAYER)
    return image(CONFIG, LAYER, **more)


def codes(answer: httpx.Response) -> list[str]:
    """Check the form of an answer's errors, and return their codes."""
    assert answer.headers["content-type"] == "application/json"
    errors = answer.json()["errors"]
    assert all(isinstance(error["message"], str) for error in errors)
    assert "Traceback" not in answer.text
    return [error["code"] for error in errors]


async def all_pages(client: httpx.AsyncClient, url: str, member: str) -> list[list[Any]]:
    """Follow the `Link` headers from a page to the last one, and return the entries of each."""
    pages = []
    following: str | None = url
    while following:
        answer = await client.get(following)
        assert answer.status_code == 200, answer.text
        pages.append(answer.json()[member])
        following = answer.links["next"]["url"] if "next" in answer.links else None
        assert len(pages) < 100
    return pages


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """The messages of an application, as it sent them."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


async def ask_raw(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    raw_path: bytes | None = None,
    query: bytes = b"",
    headers: dict[bytes, bytes] | None = None,
    body: bytes = b"",
) -> RawAnswer:
    """Ask an application past any client: the path is the decoded one, as a server gives it."""
    sent: list[Message] = []
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": raw_path if raw_path is not None else path.encode(errors="replace"),
        "query_string": query,
        "root_path": "",
        "headers": list(({b"host": b"registry.test"} | (headers or {})).items()),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 5000),
    }
    await app(scope, receive, send)
    start, *rest = sent
    return RawAnswer(
        start["status"], list(start["headers"]), b"".join(message.get("body", b"") for message in rest)
    )


async def ask(app: ASGIApp, method: str, raw: str, body: bytes = b"") -> httpx.Response:
    """Ask as a server passes it on: the path decoded once, and as it came beside it."""
    path, _, query = raw.partition("?")
    answer = await ask_raw(
        app,
        method,
        unquote(path),
        raw_path=quote(path, safe="/%:;~").encode(),
        query=quote(query, safe="=&%").encode(),
        body=body,
    )
    for name, value in answer.headers:
        assert not {b"\r"[0], b"\n"[0], 0} & {*name, *value}
    return httpx.Response(answer.status, headers=answer.headers, content=answer.body)
