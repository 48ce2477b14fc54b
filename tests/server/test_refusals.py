"""What a refusal tells, to whom, and whose fault it is."""

import pytest

from revstore_async import Digest, Policy, Registry, Repository, tags_matching
from revstore_async.errors import TagContended
from revstore_async.formats.descriptors import OCI_INDEX, OCI_MANIFEST
from revstore_async.formats.names import Tag
from revstore_async.layout import LayerLink, RevisionLink, TagCurrent
from revstore_async.server import Action, Everybody, Need, Principal, RegistryApp, ServerOptions
from revstore_async.server.error_answers import TOLD_LIMIT, respond
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import TracingDriver
from tests.parts.documents import NAME, image, index, schema1, signed
from tests.parts.manifests_over_http import CONFIG, LAYER, at, codes, image_in, push, pushed
from tests.parts.serving import client_of


@pytest.fixture
def hello(in_memory: Registry) -> Repository:
    return in_memory.repository(NAME)


# ---- a condition that is judged


async def test_a_damaged_tag_is_there_and_the_push_is_refused_at_once(hello: Repository) -> None:
    driver = TracingDriver(MemoryDriver())
    registry = Registry(driver, policy=Policy(check_layers=False))
    async with registry, client_of(RegistryApp(registry)) as client:
        await pushed(client, "v1", image(b"{}"))
        await driver.put(registry.layout.key(TagCurrent(hello.name, Tag("v1"))), b"garbage")
        driver.reset()
        refused = await push(client, "v1", image(b"another"), headers={"if-none-match": "*"})
        assert refused.status_code == 412
        assert codes(refused) == ["PRECONDITION_FAILED"]
        assert driver.counts["put"] == 1  # its content, beside the look at the tag
        healed = await push(client, "v1", image(b"another"))
        assert healed.status_code == 201


class PushOnly(Everybody):
    async def allows(self, principal: Principal, need: Need) -> bool:
        return need.action is not Action.PULL


@pytest.mark.parametrize("may_pull", [True, False])
async def test_who_may_not_pull_is_not_told_what_a_tag_is(in_memory: Registry, may_pull: bool) -> None:
    registry = Registry(in_memory.driver, policy=Policy(check_layers=False, immutable=tags_matching("v*")))
    repository = registry.repository(NAME)
    first, second = image(b"1"), image(b"2")
    for tag in ("v1", "latest"):
        await repository.manifests.put(first, tag=tag)
    access = Everybody() if may_pull else PushOnly()
    other = {"if-match": f'"{Digest.of(second)}"'}
    async with client_of(RegistryApp(registry, access=access)) as client:
        answers = [
            await push(client, "v1", second),
            await push(client, "latest", second, headers=other),
            await push(client, "latest", second, headers={"if-none-match": "*"}),
            await client.delete(at("manifests/v1")),
            await client.delete(at("manifests/latest"), headers=other),
        ]
        assert [answer.status_code for answer in answers] == [409, 412, 412, 409, 412]
        for answer in answers:
            assert (Digest.of(first) in answer.text) == may_pull, answer.text


def test_a_contended_tag_is_worth_another_try() -> None:
    answer = respond(TagContended(NAME, "latest"), ServerOptions(), {"headers": []})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1


# ---- what is damaged in the store


async def test_a_damaged_link_to_a_layer_makes_a_client_upload_it_again(
    in_memory: Registry, hello: Repository
) -> None:
    document = await image_in(hello)
    layer = Digest.of(LAYER)
    link = in_memory.layout.key(LayerLink(hello.name, layer))
    async with client_of(RegistryApp(in_memory)) as client:
        for content in (b"garbage", Digest.of(CONFIG).encode()):
            await in_memory.driver.put(link, content)
            refused = await push(client, "v1", document)
            assert refused.status_code == 400
            assert codes(refused) == ["MANIFEST_BLOB_UNKNOWN"]
            assert (await client.head(at(f"blobs/{layer}"))).status_code == 404
            uploaded = await client.post(at(f"blobs/uploads/?digest={layer}"), content=LAYER)
            assert uploaded.status_code == 201
            await pushed(client, "v1", document)


async def test_a_lost_layer_makes_a_client_upload_it_again(in_memory: Registry, hello: Repository) -> None:
    document = await image_in(hello)
    layer = Digest.of(LAYER)
    await in_memory.driver.delete(in_memory.blobs.path(layer))
    async with client_of(RegistryApp(in_memory)) as client:
        assert codes(await push(client, "v1", document)) == ["MANIFEST_BLOB_UNKNOWN"]
        assert (await client.head(at(f"blobs/{layer}"))).status_code == 404


async def test_a_damaged_manifest_that_an_index_needs_makes_a_client_push_it_again(
    in_memory: Registry, hello: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    document = await image_in(hello)
    digest = (await hello.manifests.put(document)).digest
    await in_memory.driver.put(in_memory.layout.key(RevisionLink(hello.name, digest)), b"garbage")
    async with client_of(RegistryApp(in_memory)) as client:
        refused = await push(client, "v1", index(image(b"absent"), document))
        assert refused.status_code == 400
        assert codes(refused) == ["MANIFEST_BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"]
        assert "docker/registry" not in refused.text
        assert "LinkDamaged" in caplog.text  # the operator is told what the client is not
        assert (await client.head(at(f"manifests/{digest}"))).status_code == 404
        await pushed(client, str(digest), document)
        await pushed(client, "v1", index(document))


# ---- what would be too much to tell, or to do


async def test_no_more_than_a_hundred_errors_are_told(in_memory: Registry) -> None:
    manifests = [{"mediaType": OCI_MANIFEST, "digest": f"sha256:{n:064x}", "size": 1} for n in range(150)]
    async with client_of(RegistryApp(in_memory)) as client:
        refused = await push(client, "v1", index(manifests=manifests))
        assert refused.status_code == 400
        assert len(codes(refused)) == TOLD_LIMIT + 1
        assert "50 more" in refused.json()["errors"][-1]["message"]
        few = await push(client, "v1", index(manifests=manifests[:100]))
        assert codes(few) == ["MANIFEST_BLOB_UNKNOWN"] * 100


async def test_a_manifest_that_refers_to_too_much_is_refused_without_asking_the_store() -> None:
    driver = TracingDriver(MemoryDriver())
    registry = Registry(driver)
    manifests = [{"mediaType": OCI_MANIFEST, "digest": f"sha256:{n:064x}", "size": 1} for n in range(5000)]
    async with registry, client_of(RegistryApp(registry)) as client:
        refused = await push(client, "v1", index(manifests=manifests), headers={"content-type": OCI_INDEX})
        assert refused.status_code == 400
        assert codes(refused) == ["MANIFEST_INVALID"]
        assert driver.requests == ()


async def test_a_type_that_another_push_settled_is_a_conflict(hello: Repository, in_memory: Registry) -> None:
    odd = b'{"some": "thing"}'
    async with client_of(RegistryApp(in_memory)) as client:
        await pushed(client, "v1", odd, headers={"content-type": "application/vnd.example.one+json"})
        other = {"content-type": "application/vnd.example.other+json"}
        refused = await push(client, "v1", odd, headers=other)
        assert refused.status_code == 409
        assert codes(refused) == ["MANIFEST_INVALID"]
        served = await client.get(at("manifests/v1"))
        assert served.headers["content-type"] == "application/vnd.example.one+json"
        assert (await client.delete(at(f"manifests/{Digest.of(odd)}"))).status_code == 202
        await pushed(client, "v1", odd, headers=other)


# ---- a HEAD of what must be merged


async def test_the_head_of_a_signed_document_merges_it_once() -> None:
    driver = TracingDriver(MemoryDriver())
    registry = Registry(driver, policy=Policy(check_layers=False), cache_size=0)
    async with registry, client_of(RegistryApp(registry)) as client:
        digest = await pushed(client, "latest", signed(schema1(Digest.of(LAYER)), 1, 2))
        for _ in range(2):
            driver.reset()
            head = await client.head(at(f"manifests/{digest}"))
            # link, payload; link, listing; two signatures
            assert len(driver.requests) == 2 + 2 + 2
        get = await client.get(at(f"manifests/{digest}"))
        for name in ("etag", "content-length", "content-type", "docker-content-digest"):
            assert head.headers[name] == get.headers[name]
