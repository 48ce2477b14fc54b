"""What a bearer token lets its bearer do, and for how long it is believed."""

from typing import Any

import pytest
from jwcrypto.jws import JWS

from revstore_async import Registry, RepositoryName
from revstore_async.server import Action, Need, Principal, RegistryApp
from revstore_async.server.access.challenges import scope_of
from revstore_async.server.access.grants import grants_of
from tests.parts.serving import client_of
from tests.parts.tokens import NOW, REALM, SERVICE, Clock, ask, claims, policy, reason_of, token, who


@pytest.fixture
def clock() -> Clock:
    return Clock()


# ---- what a token grants


def test_grants_are_those_of_dockers_scheme():
    a, b = RepositoryName("a"), RepositoryName("b/c")
    granted = grants_of(
        [
            {"type": "repository", "name": "a", "actions": ["pull", "fly"]},
            {"type": "repository", "name": "b/c", "actions": ["*"], "class": "image"},
            {"type": "repository", "name": "../a", "actions": ["pull"]},
            {"type": "repository(plugin)", "name": "a", "actions": ["push"]},
            {"type": "registry", "name": "catalog", "actions": ["*"]},
            {"type": "registry", "name": "other", "actions": ["*"]},
        ]
    )
    everything = {Need(action, b) for action in (Action.PULL, Action.PUSH, Action.DELETE)}
    assert granted == {Need(Action.PULL, a), Need(Action.CATALOG), *everything}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/", 200),
        ("GET", "/v2/library/hello/tags/list", 404),
        ("POST", "/v2/library/hello/blobs/uploads/", 202),
        ("DELETE", f"/v2/library/hello/manifests/sha256:{'0' * 64}", 401),
        ("GET", "/v2/library/other/tags/list", 401),
        ("GET", "/v2/_catalog", 401),
    ],
)
async def test_a_token_opens_what_it_grants_and_nothing_else(
    in_memory: Registry, method: str, path: str, status: int
):
    answer = await ask(in_memory, path, token(), method=method)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v2/", ""),
        ("GET", "/v2/_catalog", "registry:catalog:*"),
        ("GET", "/v2/a/b/tags/list", "repository:a/b:pull"),
        ("HEAD", "/v2/a/b/manifests/latest", "repository:a/b:pull"),
        ("PUT", "/v2/a/b/manifests/latest", "repository:a/b:pull,push"),
        ("POST", "/v2/a/b/blobs/uploads/", "repository:a/b:pull,push"),
        ("DELETE", "/v2/a/b/manifests/latest", "repository:a/b:delete"),
    ],
)
async def test_who_brings_no_token_is_told_where_to_get_one_and_its_scope(
    in_memory: Registry, method: str, path: str, scope: str
):
    answer = await ask(in_memory, path, None, method=method)
    assert answer.status_code == 401
    told = f',scope="{scope}"' if scope else ""
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="{REALM}",service="{SERVICE}"{told}'


async def test_a_token_that_does_not_reach_is_told_the_scope_that_would(in_memory: Registry):
    answer = await ask(in_memory, "/v2/library/other/tags/list", token())
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].endswith(
        ',scope="repository:library/other:pull",error="insufficient_scope"'
    )


async def test_a_token_that_does_not_count_is_told_so(in_memory: Registry):
    expired = token(claims(exp=NOW - 100))
    answer = await ask(in_memory, "/v2/", expired)
    assert answer.status_code == 401
    start = f'Bearer realm="{REALM}",service="{SERVICE}"'
    assert answer.headers["WWW-Authenticate"] == f'{start},error="invalid_token"'
    answer = await ask(in_memory, "/v2/library/other/tags/list", expired)
    scope = 'scope="repository:library/other:pull"'
    assert answer.headers["WWW-Authenticate"] == f'{start},{scope},error="invalid_token"'


def test_a_scope_names_each_repository_once():
    a, b = RepositoryName("a"), RepositoryName("b")
    needs = [Need(Action.PUSH, a), Need(Action.PULL, b), Need(Action.PUSH, a), Need(Action.ENTER)]
    assert scope_of(needs) == "repository:a:pull,push repository:b:pull"


async def test_what_a_rule_forbids_no_token_opens(in_memory: Registry):
    async def rule(principal: Principal, need: Need) -> bool:
        return principal.name == "bob" and need.action is Action.PULL

    judge = policy(authorize=rule)
    path = "/v2/library/hello/tags/list"
    refused = await ask(in_memory, path, token(), judge)
    assert (refused.status_code, "WWW-Authenticate" in refused.headers) == (403, False)
    assert (await ask(in_memory, path, token(claims(sub="bob")), judge)).status_code == 404
    assert (await ask(in_memory, "/v2/", token(), judge)).status_code == 200


async def test_an_anonymous_token_does_what_it_grants(in_memory: Registry):
    text = token(claims(sub=None))
    assert (await ask(in_memory, "/v2/library/hello/tags/list", text)).status_code == 404
    assert (await ask(in_memory, "/v2/", text)).status_code == 200
    assert (await ask(in_memory, "/v2/", token(claims(sub=None, access=None)))).status_code == 200


async def test_basic_credentials_are_refused(in_memory: Registry):
    async with client_of(RegistryApp(in_memory, access=policy())) as client:
        answer = await client.get("/v2/", auth=("ann", "secret"))
    assert answer.status_code == 401


# ---- what is remembered


async def test_a_token_is_verified_once_and_ends_all_the_same(clock: Clock, monkeypatch: pytest.MonkeyPatch):
    verified = []
    real = JWS.verify

    def counted(*given: Any, **named: Any) -> None:
        verified.append(given)
        real(*given, **named)

    monkeypatch.setattr(JWS, "verify", counted)
    judge, text = policy(clock=clock), token()
    for _ in range(3):
        await who(text, judge)
    assert len(verified) == 1
    clock.now = NOW + 330
    assert "expired" in await reason_of(text, judge)


async def test_a_refused_token_is_not_remembered(clock: Clock):
    judge = policy(clock=clock)
    early = token(claims(nbf=NOW + 100))
    assert "nbf" in await reason_of(early, judge)
    clock.now = NOW + 100
    assert (await who(early, judge)).name == "ann"
