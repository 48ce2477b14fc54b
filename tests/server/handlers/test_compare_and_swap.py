"""Conditions on manifests over HTTP: what is not sent again, and compare-and-swap of tags."""

import asyncio

import httpx
import pytest

from revstore_async import Digest, Policy, Registry, Repository, tags_matching
from revstore_async.server import RegistryApp
from tests.parts.documents import NAME, image, schema1, signed
from tests.parts.manifests_over_http import LAYER, at, codes, image_in, push, pushed
from tests.parts.serving import client_of

ONE, TWO, THREE = (image(b"{}", str(number).encode()) for number in range(3))


async def test_a_push_by_tag_is_a_compare_and_swap(client: httpx.AsyncClient, repository: Repository):
    first = await image_in(repository)
    second = await image_in(repository, annotations={"second": "yes"})
    absent = {"if-none-match": "*"}
    assert (await push(client, "v1", first, headers=absent)).status_code == 201
    refused = await push(client, "v1", second, headers=absent)
    assert refused.status_code == 412
    assert codes(refused) == ["PRECONDITION_FAILED"]
    etag = (await client.head(at("manifests/v1"))).headers["etag"]
    assert (await push(client, "v1", second, headers={"if-match": etag})).status_code == 201
    assert (await push(client, "v1", first, headers={"if-match": etag})).status_code == 412
    assert (await client.get(at("manifests/v1"))).content == second


async def test_a_deletion_by_tag_is_a_compare_and_swap_where_the_storage_can_do_it(
    client: httpx.AsyncClient, registry: Registry, repository: Repository
):
    digest = await pushed(client, "v1", await image_in(repository))
    answers = [
        await client.delete(at("manifests/v1"), headers={"if-match": f'"{expected}"'})
        for expected in (Digest.of(b"another"), digest)
    ]
    left = await client.head(at("manifests/v1"))
    if registry.driver.capabilities.conditional_put:
        assert [answer.status_code for answer in answers] == [412, 202]
        assert left.status_code == 404
    else:  # it is not made up by looking first
        assert [answer.status_code for answer in answers] == [501, 501]
        assert left.status_code == 200


async def test_of_many_who_push_over_one_version_exactly_one_succeeds(
    client: httpx.AsyncClient, repository: Repository
):
    old = await pushed(client, "v1", await image_in(repository))
    documents = [await image_in(repository, annotations={"by": str(number)}) for number in range(8)]
    answers = await asyncio.gather(
        *(push(client, "v1", document, headers={"if-match": f'"{old}"'}) for document in documents)
    )
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [201, *[412] * 7]
    assert (await client.get(at("manifests/v1"))).content == documents[statuses.index(201)]


async def test_a_manifest_that_the_reader_has_is_not_sent_again(lenient: httpx.AsyncClient):
    digest = await pushed(lenient, "v1", ONE)
    for method in ("GET", "HEAD"):
        for known in (f'"{digest}"', f'W/"{digest}"', f'"other", "{digest}"', "*"):
            for reference in ("v1", digest):
                answer = await lenient.request(
                    method, at(f"manifests/{reference}"), headers={"if-none-match": known}
                )
                assert answer.status_code == 304
                assert answer.content == b""
                assert answer.headers["etag"] == f'"{digest}"'
                assert answer.headers["docker-content-digest"] == digest
        other = await lenient.request(method, at("manifests/v1"), headers={"if-none-match": '"other"'})
        assert other.status_code == 200
        failed = await lenient.request(method, at("manifests/v1"), headers={"if-match": '"other"'})
        assert failed.status_code == 412
    missing = await lenient.get(at("manifests/v2"), headers={"if-none-match": "*"})
    assert missing.status_code == 404


async def test_the_etag_of_a_signed_manifest_changes_with_its_signatures(lenient: httpx.AsyncClient):
    payload = schema1(Digest.of(LAYER))
    await pushed(lenient, "latest", signed(payload, 1))
    before = (await lenient.get(at("manifests/latest"))).headers["etag"]
    put = await push(lenient, "latest", signed(payload, 2))
    assert "etag" not in put.headers  # what is served is not what was sent
    after = await lenient.get(at("manifests/latest"), headers={"if-none-match": before})
    assert after.status_code == 200
    assert after.headers["etag"] != before
    known = await lenient.get(at("manifests/latest"), headers={"if-none-match": after.headers["etag"]})
    assert known.status_code == 304
    # A compare-and-swap is on the revision: signatures that came meanwhile are not lost by it.
    swapped = await push(
        lenient, "latest", schema1(Digest.of(LAYER), Digest.of(LAYER)), headers={"if-match": before}
    )
    assert swapped.status_code == 201


@pytest.mark.parametrize(
    ("tag", "condition", "status"),
    [
        ("v1", {"if-match": "*"}, 201),
        ("new", {"if-match": "*"}, 412),
        ("v1", {"if-match": f'"{Digest.of(TWO)}", "{Digest.of(ONE)}"'}, 201),
        ("v1", {"if-match": f'"{Digest.of(TWO)}"'}, 412),
        ("v1", {"if-match": f'W/"{Digest.of(ONE)}"'}, 412),
        ("v1", {"if-match": '"not a digest"'}, 400),
        ("v1", {"if-match": '"not-a-digest"'}, 412),
        ("v1", {"if-match": Digest.of(ONE)}, 400),
        ("new", {"if-match": f'"{Digest.of(ONE)}"'}, 412),
        ("v1", {"if-none-match": f'"{Digest.of(ONE)}"'}, 412),
        ("v1", {"if-none-match": f'"{Digest.of(TWO)}"'}, 201),
        ("new", {"if-none-match": f'"{Digest.of(TWO)}"'}, 201),
        ("new", {"if-none-match": "*"}, 201),
        ("v1", {"if-none-match": "*"}, 412),
        ("v1", {"if-match": "*", "if-none-match": f'"{Digest.of(ONE)}"'}, 412),
    ],
)
async def test_a_push_by_tag_under_a_condition(
    lenient: httpx.AsyncClient, tag: str, condition: dict[str, str], status: int
):
    await pushed(lenient, "v1", ONE)
    answer = await push(lenient, tag, THREE, headers=condition)
    assert answer.status_code == status
    now = await lenient.get(at(f"manifests/{tag}"))
    assert now.status_code == (200 if tag == "v1" or status == 201 else 404)
    assert (now.content == THREE) is (status == 201)


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"if-match": "*"}, 202),
        ({"if-match": f'"{Digest.of(ONE)}"'}, 202),
        ({"if-match": f'"{Digest.of(TWO)}", "{Digest.of(ONE)}"'}, 202),
        ({"if-match": f'"{Digest.of(TWO)}"'}, 412),
        ({"if-none-match": "*"}, 412),
        ({"if-none-match": f'"{Digest.of(TWO)}"'}, 202),
    ],
)
async def test_a_deletion_under_a_condition(
    lenient: httpx.AsyncClient, condition: dict[str, str], status: int
):
    digest = await pushed(lenient, "v1", ONE)
    for reference in ("v1", digest):
        answer = await lenient.delete(at(f"manifests/{reference}"), headers=condition)
        assert answer.status_code == status
        assert (await lenient.head(at(f"manifests/{reference}"))).status_code == (
            404 if status == 202 else 200
        )
        absent = await lenient.delete(at("manifests/absent"), headers=condition)
        assert absent.status_code == 404  # as without a condition (RFC 9110, 13.2.1)
    absent = await lenient.delete(at(f"manifests/{Digest.of(b'')}"), headers=condition)
    assert absent.status_code == 404


async def test_a_push_by_digest_under_a_condition(lenient: httpx.AsyncClient):
    digest = Digest.of(ONE)
    assert (await push(lenient, digest, ONE, headers={"if-match": "*"})).status_code == 412
    assert (await lenient.get(at(f"manifests/{digest}"))).status_code == 404
    assert (await push(lenient, digest, ONE, headers={"if-none-match": "*"})).status_code == 201
    assert (await push(lenient, digest, ONE, headers={"if-none-match": "*"})).status_code == 412
    assert (await push(lenient, digest, ONE, headers={"if-match": f'"{digest}"'})).status_code == 201


async def test_a_condition_that_holds_of_several_values_is_judged_anew_when_another_writer_is_first(
    in_memory: Registry,
):
    registry = Registry(in_memory.driver, policy=Policy(check_layers=False))
    repository = registry.repository(NAME)
    for document in (ONE, TWO):
        await repository.manifests.put(document)
    await repository.tags.set("v1", Digest.of(ONE))
    async with client_of(RegistryApp(registry)) as client:
        pushes = [push(client, "v1", THREE, headers={"if-match": "*"}) for _ in range(3)]
        moves = [repository.tags.set("v1", Digest.of(document)) for document in (TWO, ONE, TWO)]
        answers = (await asyncio.gather(*pushes, *moves))[:3]
    assert [answer.status_code for answer in answers] == [201] * 3


async def test_an_immutable_tag_stays(in_memory: Registry):
    policy = Policy(check_layers=False, immutable=tags_matching("v*"))
    registry = Registry(in_memory.driver, policy=policy)
    async with client_of(RegistryApp(registry)) as client:
        digest = await pushed(client, "v1", ONE)
        for answer in (
            await push(client, "v1", TWO),
            await push(client, Digest.of(TWO), TWO, params={"tag": ["other", "v1"]}),
            await client.delete(at("manifests/v1")),
            await client.delete(at(f"manifests/{digest}")),
        ):
            assert answer.status_code == 409
            assert codes(answer) == ["DENIED"]
        assert (await client.get(at("manifests/v1"))).content == ONE
        assert (await client.get(at("manifests/other"))).status_code == 404
