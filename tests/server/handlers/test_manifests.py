"""Manifests over HTTP: pulled, pushed, deleted; under conditions, with several tags, of every type."""

import json

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Message

from revstore_async import Digest, Policy, Registry, Repository, Tag, merge
from revstore_async.formats.descriptors import (
    DOCKER_SCHEMA1_SIGNED,
    DOCKER_SCHEMA2,
    MANIFEST_LIMIT,
    OCI_INDEX,
    OCI_MANIFEST,
)
from revstore_async.server import RegistryApp
from revstore_async.server.events import Event, ManifestDeleted, ManifestPulled, ManifestPushed, TagDeleted
from revstore_drivers.wrappers import TracingDriver
from tests.parts.documents import NAME, image, index, schema1, signed
from tests.parts.manifests_over_http import LAYER, ask_raw, at, codes, image_in, push, pushed
from tests.parts.serving import client_of

ONE, TWO, THREE = (image(b"{}", str(number).encode()) for number in range(3))


# ---- on every store


async def test_what_was_pushed_by_tag_is_pulled_by_tag_and_digest(
    client: httpx.AsyncClient, repository: Repository
):
    document = await image_in(repository)
    answer = await push(client, "v1", document, headers={"content-type": OCI_MANIFEST})
    digest = Digest.of(document)
    assert answer.status_code == 201
    assert answer.headers["location"] == at(f"manifests/{digest}")
    assert answer.headers["docker-content-digest"] == digest
    assert answer.headers["etag"] == f'"{digest}"'
    for reference in ("v1", digest):
        pulled = await client.get(at(f"manifests/{reference}"))
        assert pulled.status_code == 200
        assert pulled.content == document
        assert pulled.headers["content-type"] == OCI_MANIFEST
        assert pulled.headers["content-length"] == str(len(document))
        assert pulled.headers["docker-content-digest"] == digest
        assert pulled.headers["etag"] == f'"{digest}"'
        head = await client.head(at(f"manifests/{reference}"))
        assert head.content == b""
        assert head.headers == pulled.headers


async def test_a_tag_is_deleted_alone_and_a_digest_with_its_tags(
    client: httpx.AsyncClient, repository: Repository
):
    digest = await pushed(client, "v1", await image_in(repository))
    await repository.tags.set("v2", digest)
    assert (await client.delete(at("manifests/v1"))).status_code == 202
    assert (await client.get(at("manifests/v1"))).status_code == 404
    assert (await client.get(at(f"manifests/{digest}"))).status_code == 200
    deleted = await client.delete(at(f"manifests/{digest}"))
    assert (deleted.status_code, deleted.headers["docker-content-digest"]) == (202, digest)
    for reference in ("v2", digest):
        answer = await client.get(at(f"manifests/{reference}"))
        assert answer.status_code == 404
        assert codes(answer) == ["MANIFEST_UNKNOWN"]
        assert codes(await client.delete(at(f"manifests/{reference}"))) == ["MANIFEST_UNKNOWN"]


async def test_a_push_by_digest_sets_all_tags_that_it_names(
    client: httpx.AsyncClient, repository: Repository
):
    document = await image_in(repository)
    digest = Digest.of(document)
    tags = ["1.2.3", "1.2", "1", "latest"]
    answer = await push(client, digest, document, params={"tag": [*tags, "1.2"]})
    assert answer.status_code == 201
    named = [tag.strip() for value in answer.headers.get_list("oci-tag") for tag in value.split(",")]
    assert named == tags
    assert answer.headers["location"] == at(f"manifests/{digest}")
    assert [info.tag async for info in repository.tags] == sorted(tags)
    assert {await repository.tags.resolve(tag) for tag in tags} == {digest}


async def test_signatures_of_several_hosts_are_merged_and_the_merged_document_is_served(
    client: httpx.AsyncClient, repository: Repository
):
    layer = await repository.blobs.put(LAYER)
    payload = schema1(layer.digest)
    documents = [signed(payload, host) for host in (1, 2)]
    digests = {
        await pushed(client, "latest", document, headers={"content-type": DOCKER_SCHEMA1_SIGNED})
        for document in documents
    }
    assert digests == {Digest.of(payload)}
    for reference in ("latest", *digests):
        pulled = await client.get(at(f"manifests/{reference}"))
        assert pulled.content == merge(documents)
        assert pulled.headers["content-type"] == DOCKER_SCHEMA1_SIGNED
        assert pulled.headers["docker-content-digest"] == Digest.of(payload)
        head = await client.head(at(f"manifests/{reference}"))
        assert head.headers == pulled.headers


# ---- what can't differ


@pytest.mark.parametrize(
    ("accept", "listed"),
    [
        (None, True),
        ("*/*", True),
        ("application/json", True),
        (f"{OCI_INDEX}, {DOCKER_SCHEMA1_SIGNED}", True),
        (f"{OCI_INDEX}, application/vnd.docker.distribution.manifest.v1+json", True),
        (DOCKER_SCHEMA2, False),
        (OCI_MANIFEST, False),
        (f"{OCI_INDEX};q=0.1, */*", False),
    ],
)
async def test_signatures_are_asked_for_where_the_client_may_have_come_for_them(
    in_memory: Registry, accept: str | None, listed: bool
):
    tracing = TracingDriver(in_memory.driver)
    registry = Registry(tracing, policy=Policy(check_layers=False))
    digest = (await registry.repository(NAME).manifests.put(ONE)).digest
    fresh = Registry(tracing)
    tracing.reset()
    accepted = {} if accept is None else {b"accept": accept.encode()}
    answer = await ask_raw(RegistryApp(fresh), "GET", at(f"manifests/{digest}"), headers=accepted)
    assert answer.body == ONE
    assert (tracing.counts["list_all"] > 0) == listed


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", DOCKER_SCHEMA2, f"{OCI_INDEX};q=0.1"])
async def test_a_manifest_is_served_as_it_is_stored_whatever_is_accepted(
    lenient: httpx.AsyncClient, accept: str | None
):
    await pushed(lenient, "v1", ONE)
    answer = await lenient.get(at("manifests/v1"), headers={"accept": accept} if accept else {})
    assert answer.content == ONE
    assert answer.headers["content-type"] == OCI_MANIFEST


@pytest.mark.parametrize(
    ("document", "given", "served"),
    [
        (ONE, None, OCI_MANIFEST),
        (ONE, "", OCI_MANIFEST),
        (ONE, f"{OCI_MANIFEST}; charset=utf-8", OCI_MANIFEST),
        (image(b"{}", media_type=DOCKER_SCHEMA2), DOCKER_SCHEMA2, DOCKER_SCHEMA2),
        (image(b"{}", media_type=None), OCI_MANIFEST, OCI_MANIFEST),
        (image(b"{}", media_type=None), None, OCI_MANIFEST),
        (index(ONE), OCI_INDEX, OCI_INDEX),
        (b'{"a": 1}', "application/vnd.example+json", "application/vnd.example+json"),
        (b'{"a": 1}', "text/x-example", "text/x-example"),
    ],
)
async def test_a_manifest_keeps_its_type(
    lenient: httpx.AsyncClient, document: bytes, given: str | None, served: str
):
    headers = {} if given is None else {"content-type": given}
    digest = await pushed(lenient, "v1", document, headers=headers)
    for method in ("GET", "HEAD"):
        answer = await lenient.request(method, at(f"manifests/{digest}"))
        assert answer.headers["content-type"] == served
        assert answer.headers["content-length"] == str(len(document))


@pytest.mark.parametrize(
    ("document", "given", "code"),
    [
        (ONE, OCI_INDEX, "MANIFEST_INVALID"),
        (ONE, "no media type", "MANIFEST_INVALID"),
        (b"", OCI_MANIFEST, "MANIFEST_INVALID"),
        (b"{", OCI_MANIFEST, "MANIFEST_INVALID"),
        (b"\xff\xfe{}", OCI_MANIFEST, "MANIFEST_INVALID"),
        (b'{"a": "\xff"}', "application/vnd.example+json", "MANIFEST_INVALID"),
        (b'{"a": "\\ud800", "a": 1}', "application/vnd.example+json", "MANIFEST_INVALID"),
        (b"[" * 100_000, OCI_MANIFEST, "MANIFEST_INVALID"),
        (b"[]", OCI_MANIFEST, "MANIFEST_INVALID"),
        (b'{"a": 1}', None, "MANIFEST_INVALID"),
        (ONE.replace(b"sha256:", b"md5:"), OCI_MANIFEST, "MANIFEST_INVALID"),
        (schema1(Digest.of(LAYER), name="other/name"), None, "NAME_INVALID"),
        (schema1(Digest.of(LAYER), tag="other"), None, "TAG_INVALID"),
        (signed(schema1(Digest.of(LAYER)), 1).replace(b'"amd64"', b'"arm64"'), None, "MANIFEST_UNVERIFIED"),
    ],
)
async def test_a_document_that_is_not_as_it_must_be_is_refused(
    lenient: httpx.AsyncClient, document: bytes, given: str | None, code: str
):
    answer = await push(lenient, "latest", document, headers={"content-type": given} if given else {})
    assert answer.status_code == 400
    assert codes(answer) == [code]
    assert (await lenient.get(at("manifests/latest"))).status_code == 404


async def test_a_manifest_that_refers_to_what_the_repository_lacks_is_refused(client: httpx.AsyncClient):
    answer = await push(client, "v1", image(b"{}", b"1", b"2"))
    assert answer.status_code == 400
    assert codes(answer) == ["MANIFEST_BLOB_UNKNOWN"] * 3
    assert codes(await push(client, "v1", index(ONE, TWO))) == ["MANIFEST_BLOB_UNKNOWN"] * 2
    assert (await client.get(at("manifests/v1"))).status_code == 404


async def test_a_manifest_of_another_digest_is_refused(lenient: httpx.AsyncClient):
    for digest in (Digest.of(TWO), Digest.of(TWO, "sha512")):
        answer = await push(lenient, digest, ONE)
        assert answer.status_code == 400
        assert codes(answer) == ["DIGEST_INVALID"]
        assert (await lenient.get(at(f"manifests/{digest}"))).status_code == 404


async def test_a_manifest_is_stored_under_the_algorithm_of_the_digest_that_it_is_pushed_by(
    lenient: httpx.AsyncClient,
):
    digest = Digest.of(ONE, "sha512")
    assert await pushed(lenient, digest, ONE, params={"tag": "v1"}) == digest
    assert (await lenient.get(at("manifests/v1"))).headers["docker-content-digest"] == digest
    assert (await lenient.get(at(f"manifests/{Digest.of(ONE)}"))).status_code == 404


async def test_a_manifest_over_the_limit_is_refused_before_it_is_read(lenient: httpx.AsyncClient):
    filling = "x" * (MANIFEST_LIMIT - len(json.dumps({"a": ""})))
    largest = json.dumps({"a": filling}).encode()
    kind = {"content-type": "application/vnd.example+json"}
    await pushed(lenient, "largest", largest, headers=kind)
    answer = await push(lenient, "v1", largest + b" ", headers=kind)
    assert answer.status_code == 413
    assert codes(answer) == ["SIZE_INVALID"]

    taken = 0

    async def endless():
        nonlocal taken
        while True:
            taken += 1 << 16
            yield b" " * (1 << 16)

    answer = await lenient.put(at("manifests/v1"), content=endless(), headers=kind)
    assert answer.status_code == 413
    assert taken <= MANIFEST_LIMIT + (2 << 16)


async def test_a_push_with_a_subject_says_that_it_was_noted(lenient: httpx.AsyncClient):
    subject = Digest.of(b"not here yet")
    document = image(
        b"{}", subject={"mediaType": OCI_MANIFEST, "digest": subject, "size": len(b"not here yet")}
    )
    answer = await push(lenient, "v1", document)
    assert answer.headers["oci-subject"] == subject
    assert "oci-subject" not in (await push(lenient, "v2", ONE)).headers


async def test_tags_as_parameters_come_with_a_digest_and_in_bounds(lenient: httpx.AsyncClient):
    by_tag = await push(lenient, "v1", ONE, params={"tag": "v2"})
    assert by_tag.status_code == 400
    invalid = await push(lenient, Digest.of(ONE), ONE, params={"tag": ["v1", "-v2"]})
    assert invalid.status_code == 400
    assert codes(invalid) == ["TAG_INVALID"]
    many = await push(lenient, Digest.of(ONE), ONE, params={"tag": [f"v{number}" for number in range(101)]})
    assert many.status_code == 414
    assert (await lenient.get(at("tags/list"))).status_code == 404  # nothing was stored
    most = await push(lenient, Digest.of(ONE), ONE, params={"tag": [f"v{number}" for number in range(100)]})
    assert most.status_code == 201
    assert len((await lenient.get(at("tags/list"))).json()["tags"]) == 100


async def test_a_program_is_told_of_what_happens_to_manifests(in_memory: Registry):
    events: list[Event] = []

    async def listen(event: Event) -> None:
        events.append(event)

    registry = Registry(in_memory.driver, policy=Policy(check_layers=False))
    async with client_of(RegistryApp(registry, listener=listen)) as client:
        digest = await pushed(client, Digest.of(ONE), ONE, params={"tag": ["v1", "v2"]})
        await client.get(at("manifests/v1"))
        await client.head(at("manifests/v1"))  # no pull
        await client.get(at("manifests/v1"), headers={"if-none-match": f'"{digest}"'})  # neither
        await client.get(at("manifests/v3"))
        await push(client, "v1", TWO, headers={"if-none-match": "*"})  # refused
        await client.delete(at("manifests/v1"))
        await client.delete(at(f"manifests/{digest}"))
    name = registry.repository(NAME).name
    assert events == [
        ManifestPushed(name, "", digest, OCI_MANIFEST, (Tag("v1"), Tag("v2"))),
        ManifestPulled(name, "", digest, OCI_MANIFEST, "v1"),
        TagDeleted(name, "", Tag("v1")),
        ManifestDeleted(name, "", digest),
    ]


async def test_locations_begin_with_the_path_where_the_application_is_mounted(in_memory: Registry):
    registry = Registry(in_memory.driver, policy=Policy(check_layers=False))
    app = Starlette(routes=[Mount("/images für alle", RegistryApp(registry))])
    async with client_of(app) as client:
        answer = await client.put("/images%20f%C3%BCr%20alle" + at("manifests/v1"), content=ONE)
        assert answer.status_code == 201
        assert answer.headers["location"].startswith("/images%20f%C3%BCr%20alle/v2/")
        assert (await client.get(answer.headers["location"])).content == ONE
        listed = await client.put("/images%20f%C3%BCr%20alle" + at("manifests/v2"), content=ONE)
        assert listed.status_code == 201
        page = await client.get("/images%20f%C3%BCr%20alle" + at("tags/list?n=1"))
        assert (await client.get(page.links["next"]["url"])).json()["tags"] == ["v2"]


async def test_links_begin_with_what_a_proxy_has_taken_off_the_path(in_memory: Registry):
    registry = Registry(in_memory.driver, policy=Policy(check_layers=False))
    for tag in ("v1", "v2"):
        await registry.repository(NAME).manifests.put(ONE, tag=tag)
    behind = httpx.ASGITransport(RegistryApp(registry), root_path="/api")
    async with httpx.AsyncClient(transport=behind, base_url="http://registry") as client:
        page = await client.get(at("tags/list?n=1"))
        assert page.links["next"]["url"].startswith("/api" + at("tags/list?"))


async def test_a_browser_neither_guesses_a_type_nor_runs_what_was_pushed(lenient: httpx.AsyncClient):
    page = b'{"a": "<script>alert(1)</script>"}'
    put = await lenient.put(at("manifests/v1"), content=page, headers={"content-type": "text/html"})
    assert put.status_code == 201
    answer = await lenient.get(at("manifests/v1"))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_a_websocket_is_closed(in_memory: Registry):
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await RegistryApp(in_memory)({"type": "websocket", "path": "/v2/", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_a_head_sends_no_body_itself(in_memory: Registry):
    registry = Registry(in_memory.driver, policy=Policy(check_layers=False))
    await registry.repository(NAME).manifests.put(ONE, tag="v1")
    answer = await ask_raw(RegistryApp(registry), "HEAD", at("manifests/v1"))
    assert answer.status == 200
    assert answer.body == b""
    assert dict(answer.headers)[b"content-length"] == str(len(ONE)).encode()
