"""What a caller may do, whatever policy says so, and what one is told who may not."""

import httpx
import pytest
from starlette.requests import HTTPConnection

from revstore_async import Registry, RepositoryName
from revstore_async.server import (
    ANONYMOUS,
    AccessPolicy,
    Action,
    Everybody,
    Need,
    Principal,
    ReadOnly,
    RegistryApp,
)
from revstore_async.server.access.policy import BASIC
from tests.parts.serving import client_of

DIGEST = "sha256:" + "0" * 64
WRITES = [
    ("PUT", "/v2/library/hello/manifests/latest"),
    ("DELETE", f"/v2/library/hello/manifests/{DIGEST}"),
    ("POST", "/v2/library/hello/blobs/uploads/"),
    ("PATCH", "/v2/library/hello/blobs/uploads/some"),
    ("PUT", "/v2/library/hello/blobs/uploads/some"),
    ("DELETE", "/v2/library/hello/blobs/uploads/some"),
    ("DELETE", f"/v2/library/hello/blobs/{DIGEST}"),
    ("POST", f"/v2/library/hello/_revstore/signatures/{DIGEST}"),
]
READS = [
    "/v2/",
    "/v2/_catalog",
    "/v2/library/hello/manifests/latest",
    f"/v2/library/hello/blobs/{DIGEST}",
    "/v2/library/hello/tags/list",
    f"/v2/library/hello/referrers/{DIGEST}",
    "/v2/library/hello/_oci/tag-history/latest",
    f"/v2/library/hello/_revstore/signatures/{DIGEST}",
]


def code_of(answer: httpx.Response) -> str:
    (error,) = answer.json()["errors"]
    return str(error["code"])


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_read_only_lets_nobody_write(in_memory: Registry, method: str, path: str):
    async with client_of(RegistryApp(in_memory, access=ReadOnly())) as client:
        answer = await client.request(method, path)
    assert (answer.status_code, code_of(answer)) == (403, "DENIED")
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize("path", READS)
async def test_read_only_lets_everybody_read(in_memory: Registry, path: str):
    async with client_of(RegistryApp(in_memory, access=ReadOnly())) as client:
        assert (await client.get(path)).status_code in {200, 404}


@pytest.mark.parametrize("policy", [Everybody, ReadOnly])
async def test_a_rule_is_asked_besides_the_policy_but_not_about_the_entrance(
    in_memory: Registry, policy: type[Everybody]
):
    asked: list[tuple[Principal, Need]] = []

    async def rule(principal: Principal, need: Need) -> bool:
        asked.append((principal, need))
        return need.repository == "public/image"

    async with client_of(RegistryApp(in_memory, access=policy(rule))) as client:
        entered = await client.get("/v2/")
        mine = await client.get("/v2/public/image/tags/list")
        other = await client.get("/v2/private/image/tags/list")
    assert [entered.status_code, mine.status_code, other.status_code] == [200, 404, 403]
    assert asked == [
        (ANONYMOUS, Need(Action.PULL, RepositoryName("public/image"))),
        (ANONYMOUS, Need(Action.PULL, RepositoryName("private/image"))),
    ]


async def test_a_rule_can_not_open_what_the_policy_closes(in_memory: Registry):
    async def rule(_principal: Principal, _need: Need) -> bool:
        return True

    async with client_of(RegistryApp(in_memory, access=ReadOnly(rule))) as client:
        assert (await client.post("/v2/library/hello/blobs/uploads/")).status_code == 403


async def test_each_handler_runs_only_after_the_policy_said_yes(in_memory: Registry):
    class Nobody(AccessPolicy):
        async def authenticate(self, connection: object) -> Principal:
            return ANONYMOUS

        async def allows(self, principal: Principal, need: Need) -> bool:
            return False

    async with client_of(RegistryApp(in_memory, access=Nobody())) as client:
        answers = [await client.get(path) for path in READS]
        answers += [await client.request(method, path) for method, path in WRITES]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {BASIC}


class Members(AccessPolicy):
    """A program's own policy, with the two methods that it must have: members may read."""

    async def authenticate(self, connection: HTTPConnection) -> Principal:
        name = connection.headers.get("x-member", "")
        return Principal(name) if name else ANONYMOUS

    async def allows(self, principal: Principal, need: Need) -> bool:
        return principal != ANONYMOUS and need.action in {Action.ENTER, Action.PULL}


async def test_a_programs_own_policy_asks_the_anonymous_for_credentials_and_forbids_the_others(
    in_memory: Registry,
):
    member = {"X-Member": "alice"}
    async with client_of(RegistryApp(in_memory, access=Members())) as client:
        anonymous = await client.get("/v2/")
        entered = await client.get("/v2/", headers=member)
        refused = await client.post("/v2/a/blobs/uploads/", headers=member)
    assert (anonymous.status_code, anonymous.headers["WWW-Authenticate"]) == (401, BASIC)
    assert (entered.status_code, refused.status_code) == (200, 403)
    assert "WWW-Authenticate" not in refused.headers


async def test_an_error_of_a_programs_own_policy_tells_the_client_nothing(in_memory: Registry):
    async def rule(_principal: Principal, _need: Need) -> bool:
        raise LookupError("the password of the directory is hunter2")

    async with client_of(RegistryApp(in_memory, access=Everybody(rule))) as client:
        answer = await client.get("/v2/_catalog")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
