"""Keys, URLs, JSON and parts of programs in the documents are those that the code makes or takes."""

import ast
import inspect
import json
import re
import tomllib
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import entry_points
from typing import Any, get_args

import httpx
import pytest

from revstore_async import Digest, Registry, RepositoryName, Tag, open_driver, sign
from revstore_async.collector import Retention
from revstore_async.layout import (
    CURRENT,
    BlobData,
    CollectorClock,
    CollectorState,
    LayerLink,
    Pulls,
    PullsKept,
    ReferencePack,
    ReferrerLink,
    Rescue,
    RevisionLink,
    RevisionMediaType,
    RunObject,
    ServerProbe,
    SignatureLink,
    StoredObject,
    TagClaim,
    TagCreated,
    TagCurrent,
    TagDeleted,
    TagIndex,
    TagReplaced,
    UploadData,
    UploadHashState,
    UploadSegment,
    UploadStartedAt,
    UploadState,
)
from revstore_async.server import AccessLog, RegistryApp, routes
from tests.documents.table import Kind, blocks_to_test
from tests.parts.documents import image, key, schema1
from tests.parts.serving import client_of

NAME, TAG = RepositoryName("library/hello"), Tag("latest")
ONE, TWO = Digest.of(b"one"), Digest.of(b"two")
SINCE = datetime(2026, 11, 24, 0, 6, 4, 73739, UTC)
DISTRIBUTIONS: list[StoredObject] = [
    UploadData(NAME, "id"),
    UploadStartedAt(NAME, "id"),
    UploadHashState(NAME, "id", "sha256", 5),
]
OURS: list[StoredObject] = [
    BlobData(ONE),
    RevisionLink(NAME, ONE),
    RevisionMediaType(NAME, ONE),
    SignatureLink(NAME, ONE, TWO),
    ReferrerLink(NAME, ONE, TWO),
    TagCurrent(NAME, TAG),
    TagIndex(NAME, TAG, ONE),
    LayerLink(NAME, ONE),
    UploadState(NAME, "id"),
    UploadSegment(NAME, "id", "segment"),
    TagClaim(NAME, TAG, 0),
    TagCreated(NAME, TAG, 0, ONE),
    TagReplaced(NAME, TAG, 0, SINCE, ONE, TWO),
    TagDeleted(NAME, TAG, 0, SINCE, ONE),
    CollectorState(),
    RunObject("run", "000.hashes"),
    Rescue("run", "0" * 64),
    CollectorClock(),
    ReferencePack(1, ONE),
    ServerProbe(),
    PullsKept(SINCE.date()),
    Pulls(SINCE.date(), NAME, "writer"),
]


def pattern_of(shape: str) -> re.Pattern[str]:
    """Return the pattern of a text with `<...>` for each variable part."""
    parts = {"<name>": ".+", "<n>": r"\d{9}/\d{3}"}
    return re.compile(
        "".join(
            parts.get(part, "[^/]+") if part.startswith("<") else re.escape(part)
            for part in re.split(r"(<[^>]+>)", shape)
        )
    )


def keys_of_a_store(text: str) -> None:
    assert {*map(type, OURS), *map(type, DISTRIBUTIONS)} == set(get_args(StoredObject))
    folders: list[str] = []
    shapes = []
    for line in text.splitlines():
        part = line.split()[0]
        folders[(len(line) - len(line.lstrip())) // 2 :] = [part]
        if not part.endswith("/"):
            shapes.append(pattern_of("".join(folders)))
    keys = [*map(CURRENT.key, OURS)]
    for each in keys:
        assert any(shape.fullmatch(each) for shape in shapes), each
    for shape in shapes:
        assert any(map(shape.fullmatch, keys)), shape


def keys_of_distributions_uploads(text: str) -> None:
    shapes = [
        pattern_of(f"docker/registry/v2/repositories/<name>/{shape}") for shape in text.strip().split(", ")
    ]
    for item, shape in zip(DISTRIBUTIONS, shapes, strict=True):
        assert shape.fullmatch(CURRENT.key(item))


def keys_of_tarsums(text: str) -> None:
    blob, layer = (pattern_of(f"<name>/{shape}") for shape in text.split())
    assert blob.fullmatch(CURRENT.key(BlobData(Digest(f"tarsum.v1+sha256:{'a' * 64}"))))
    assert layer.fullmatch(CURRENT.key(LayerLink(NAME, Digest(f"tarsum+sha256:{'a' * 64}"))))


def keys_of_a_history(text: str) -> None:
    def item_of(line: str) -> StoredObject | None:
        whole = re.sub(r"sha256/(\w+)", lambda match: f"sha256/{match[1]:0<64}", line)
        return CURRENT.parse(f"docker/registry/revstore/history/library/hello/_tags/{whole}")

    a, b = Digest(f"sha256:{'6194dbd9':0<64}"), Digest(f"sha256:{'3d60eec7':0<64}")
    tag = Tag("stable")
    created, replaced, restored = map(item_of, text.split())
    assert created == TagCreated(NAME, tag, 0, a)
    assert replaced == TagReplaced(NAME, tag, 1, SINCE, a, b)
    assert isinstance(restored, TagReplaced)
    assert (restored.sequence, restored.digest, restored.successor) == (2, b, a)


def a_protected_header(text: str) -> None:
    entry = json.loads(sign(schema1(ONE), key(0)).blob)
    header = urlsafe_b64decode(entry["protected"] + "==").decode()
    assert re.fullmatch(re.sub(r"<[^>]+>", '[^"]+', re.escape(text.strip()).replace(r"\<", "<")), header)


def a_signature_blob(text: str) -> None:
    blob = sign(schema1(ONE), key(0)).blob.decode()
    shape = re.escape(text.strip()).replace("…", "[^}]+")
    assert re.fullmatch(re.sub(r"<[^>]+>", r"[\\w-]+", shape), blob)


async def parts_of_a_registry(text: str) -> None:
    async with Registry.open("memory:") as registry:
        owners = {"registry": registry, "": registry.repository("library/hello")}
        for owner, attribute, kind in re.findall(r"^\s*(\w*)\.(\w+) +([A-Z]\w+)", text, re.MULTILINE):
            assert type(getattr(owners[owner], attribute)).__name__ == kind
        assert len(re.findall(r"[A-Z]\w+(?:Store|Service)\b", text)) == 7


def urls_of_stores(text: str) -> None:
    for line in text.splitlines():
        for url in re.split(r"\s{2,}", line)[0].split(", "):
            assert open_driver(url)


def schemes(text: str) -> None:
    offered = entry_points(group="revstore_async.drivers").names
    for line in text.splitlines():
        assert line.partition(":")[0] in offered
    if "OPTION" not in text and "[" in text:
        url = re.sub(r"FOLDER|N\b", "9", text.strip()).replace("SECONDS", "9")
        assert open_driver(re.sub(r"[][]", "", url))


def entry_points_of_drivers(text: str) -> None:
    assert list(tomllib.loads(text)["project"]["entry-points"]) == ["revstore_async.drivers"]


def shape_of(value: Any) -> Any:
    """Return the names of members, at each level, and the types of the other values."""
    if isinstance(value, dict):
        return {name: shape_of(each) for name, each in value.items()}
    return [shape_of(each) for each in value[:1]] if isinstance(value, list) else type(value)


async def a_history_over_http(text: str) -> None:
    async with Registry.open("memory:") as registry, client_of(RegistryApp(registry)) as client:
        stored = await registry.repository("library/hello").manifests.put(
            image(b"{}"), tag="latest", check_layers=False
        )
        answer = await client.get("/v2/library/hello/_oci/tag-history/latest")
        assert shape_of(answer.json()) == shape_of(json.loads(text))
        assert answer.json()["manifests"][0]["digest"] == stored.digest


async def signatures_over_http(text: str) -> None:
    document = "".join(line for line in text.splitlines() if line.startswith("{"))
    for method, path, _ in re.findall(r"^(GET|POST) +(\S+) +(\d+)", text, re.MULTILINE):
        assert routes.find(method, pattern_free(path))
    async with Registry.open("memory:") as registry, client_of(RegistryApp(registry)) as client:
        stored = await registry.repository("library/hello").manifests.put(image(b"{}"), check_layers=False)
        url = f"/v2/library/hello/_revstore/signatures/{stored.digest}"
        entry = json.loads(sign(image(b"{}"), key(0)).blob)
        posted = await client.post(url, json={"signatures": [entry]})
        assert (posted.status_code, posted.headers["location"]) == (201, url)
        (listed,) = (await client.get(url)).json()["signatures"]
        assert list(json.loads(document.replace("...", "0"))["signatures"][0]) == list(listed) == list(entry)


def pattern_free(path: str) -> str:
    return re.sub(r"<\w+>", "x", path)


async def a_line_of_the_access_log(text: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "revstore_async.access"):
        async with (
            Registry.open("memory:") as registry,
            client_of(AccessLog(RegistryApp(registry))) as client,
        ):
            await client.get("/v2/hello/manifests/latest")
    (line,) = (record.message for record in caplog.records if record.name == "revstore_async.access")
    documented, logged = json.loads(text), json.loads(line)
    assert list(documented) == list(logged)
    same = ("method", "route", "path", "repository", "principal", "complete")
    assert [documented[name] for name in same] == [logged[name] for name in same]


def arguments_of_a_registry_app(text: str) -> None:
    call = ast.parse(text.strip(), mode="eval").body
    assert isinstance(call, ast.Call)
    parameters = inspect.signature(RegistryApp).parameters
    assert {keyword.arg for keyword in call.keywords} == set(parameters) - {"registry"}


async def a_fetch_of_keys(text: str) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, content=b'{"keys": []}')

    names: dict[str, Any] = {"client": httpx.AsyncClient(transport=httpx.MockTransport(answer))}
    exec(text, names)
    assert await names["fetch"]() == b'{"keys": []}'
    assert asked == ["https://issuer.example/jwks.json"]
    await names["client"].aclose()


def retention_rules(text: str) -> None:
    assert Retention.parse(text)


Check = Callable[..., Awaitable[None] | None]
CHECKS: Mapping[tuple[str, str], Check] = {
    ("docs/collector.md", 'history = "7d"'): retention_rules,
    ("docs/concepts.md", "Registry.open(url)"): parts_of_a_registry,
    ("docs/drivers.md", "memory:  "): urls_of_stores,
    ("docs/drivers.md", "memory:\n"): urls_of_stores,
    ("docs/drivers.md", "file:FOLDER"): schemes,
    ("docs/drivers.md", "s3://BUCKET"): schemes,
    ("docs/drivers.md", "obstore+s3://BUCKET"): schemes,
    ("docs/drivers.md", "[project.entry-points."): entry_points_of_drivers,
    ("docs/http.md", '{"schemaVersion": 2'): a_history_over_http,
    ("docs/http.md", "GET  /v2/<name>/_revstore"): signatures_over_http,
    ("docs/operations.md", '{"time": '): a_line_of_the_access_log,
    ("docs/quickstart.md", "RegistryApp("): arguments_of_a_registry_app,
    ("docs/security.md", "async def fetch()"): a_fetch_of_keys,
    ("docs/storage-format.md", "docker/registry/"): keys_of_a_store,
    ("docs/storage-format.md", "    _uploads/<id>"): keys_of_distributions_uploads,
    ("docs/storage-format.md", "blobs/tarsum/"): keys_of_tarsums,
    ("docs/storage-format.md", "stable/999999999/"): keys_of_a_history,
    ("docs/storage-format.md", '{"formatLength"'): a_protected_header,
    ("docs/storage-format.md", '{"header"'): a_signature_blob,
    ("drivers/README.md", "[project.entry-points."): entry_points_of_drivers,
}


@pytest.mark.parametrize(
    ("document", "first"), CHECKS, ids=[f"{name}: {first.strip()}" for name, first in CHECKS]
)
async def test_a_shape_in_a_document_is_that_of_the_code(
    document: str, first: str, caplog: pytest.LogCaptureFixture
):
    (text,) = (
        block.text
        for block in blocks_to_test(Kind.SHAPE)
        if block.document == document and block.text.startswith(first)
    )
    check = CHECKS[document, first]
    arguments = (text, caplog) if "caplog" in inspect.signature(check).parameters else (text,)
    checking = check(*arguments)
    if checking is not None:
        await checking


def test_each_shape_has_a_check():
    assert len(blocks_to_test(Kind.SHAPE)) == len(CHECKS)
