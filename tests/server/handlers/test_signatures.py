"""Signatures of a revision, listed and added apart from it."""

import httpx
import pytest

from revstore_async import Digest, Policy, Registry, Repository, sign, verify_document
from revstore_async.server import RegistryApp
from revstore_async.server.events import Event, SignaturesAdded
from revstore_async.signatures import LIST_BYTES, parse_signatures, serialise_signatures
from tests.parts.documents import NAME, image, key, schema1, signed
from tests.parts.manifests_over_http import LAYER, at, codes, image_in, pushed
from tests.parts.serving import client_of


def at_signatures(digest: str) -> str:
    return at(f"_revstore/signatures/{digest}")


async def test_an_oci_manifest_is_signed_and_stays_as_it_was_pushed(
    client: httpx.AsyncClient, repository: Repository
):
    document = await image_in(repository)
    digest = await pushed(client, "v1", document)
    empty = await client.get(at_signatures(digest))
    assert empty.status_code == 200
    assert empty.json() == {"signatures": []}
    added = [sign(document, key(host)) for host in (1, 2)]
    for signature in added:
        answer = await client.post(at_signatures(digest), content=serialise_signatures([signature]))
        assert answer.status_code == 201
        assert answer.headers["location"] == at_signatures(digest)
    listed = await client.get(at_signatures(digest))
    assert listed.headers["content-type"] == "application/json"
    assert listed.headers["docker-content-digest"] == digest
    assert set(parse_signatures(listed.content)) == set(added)
    for reference in ("v1", digest):
        pulled = await client.get(at(f"manifests/{reference}"))
        assert pulled.content == document
        assert pulled.headers["etag"] == f'"{digest}"'


async def test_signatures_added_to_a_schema_1_manifest_are_merged_into_it(
    client: httpx.AsyncClient, repository: Repository
):
    layer = await repository.blobs.put(LAYER)
    payload = schema1(layer.digest)
    digest = await pushed(client, "latest", signed(payload, 1))
    content = serialise_signatures([sign(payload, key(2))])
    assert (await client.post(at_signatures(digest), content=content)).status_code == 201
    served = verify_document((await client.get(at("manifests/latest"))).content)
    assert {signature.kid for signature in served.signatures} == {key(1).public.kid, key(2).public.kid}
    listed = (await client.get(at_signatures(digest))).content
    assert parse_signatures(listed) == served.signatures


async def test_a_signature_that_does_not_verify_adds_nothing(lenient: httpx.AsyncClient):
    document = image(b"{}")
    digest = await pushed(lenient, "v1", document)
    good, bad = sign(document, key(1)), sign(image(b"another"), key(1))
    answer = await lenient.post(at_signatures(digest), content=serialise_signatures([good, bad]))
    assert answer.status_code == 400
    assert codes(answer) == ["MANIFEST_UNVERIFIED"]
    assert (await lenient.get(at_signatures(digest))).json() == {"signatures": []}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "MANIFEST_INVALID"),
        (b"[]", "MANIFEST_INVALID"),
        (b"\xff", "MANIFEST_INVALID"),
        (b"{}", "MANIFEST_UNVERIFIED"),
        (b'{"signatures": null}', "MANIFEST_UNVERIFIED"),
        (b'{"signatures": [1]}', "MANIFEST_UNVERIFIED"),
        (b'{"signatures": [], "more": 1}', "MANIFEST_UNVERIFIED"),
        (b'{"signatures": [], "signatures": []}', "MANIFEST_UNVERIFIED"),
    ],
)
async def test_what_is_no_list_of_signatures_is_refused(
    lenient: httpx.AsyncClient, content: bytes, code: str
):
    digest = await pushed(lenient, "v1", image(b"{}"))
    answer = await lenient.post(at_signatures(digest), content=content)
    assert answer.status_code == 400
    assert codes(answer) == [code]


async def test_a_list_over_the_limit_is_refused(lenient: httpx.AsyncClient):
    digest = await pushed(lenient, "v1", image(b"{}"))
    answer = await lenient.post(at_signatures(digest), content=b" " * (LIST_BYTES + 1))
    assert answer.status_code == 413
    assert codes(answer) == ["SIZE_INVALID"]


async def test_what_is_not_there_has_no_signatures(lenient: httpx.AsyncClient):
    await pushed(lenient, "v1", image(b"{}"))
    absent = at_signatures(Digest.of(b"absent"))
    assert codes(await lenient.get(absent)) == ["MANIFEST_UNKNOWN"]
    content = serialise_signatures([sign(image(b"{}"), key(1))])
    answer = await lenient.post(absent, content=content)
    assert answer.status_code == 404
    assert codes(answer) == ["MANIFEST_UNKNOWN"]
    assert codes(await lenient.get(at_signatures("v1"))) == ["DIGEST_INVALID"]


async def test_a_program_is_told_of_added_signatures(in_memory: Registry):
    events: list[Event] = []

    async def listen(event: Event) -> None:
        events.append(event)

    registry = Registry(in_memory.driver, policy=Policy(check_layers=False))
    document = image(b"{}")
    stored = await registry.repository(NAME).manifests.put(document)
    async with client_of(RegistryApp(registry, listener=listen)) as client:
        content = serialise_signatures([sign(document, key(host)) for host in (1, 2)])
        await client.post(at_signatures(stored.digest), content=content)
        await client.post(at_signatures(stored.digest), content=b"{}")
    assert events == [SignaturesAdded(registry.repository(NAME).name, "", stored.digest, 2)]
