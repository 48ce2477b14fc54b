"""The registry as a whole: its door, and the list of repositories."""

import httpx
import pytest

from revstore_async import Policy, Registry, RepositoryName
from revstore_async.server import Action, Everybody, Need, Principal, RegistryApp, ServerOptions
from tests.parts.documents import image
from tests.parts.manifests_over_http import all_pages, codes
from tests.parts.serving import client_of
from tests.parts.tokens import ask, claims, policy, token

NAMES = ["a", "a-b", "a/b", "a/c", "library/hello", "private/one", "private/two", "z"]


class OnlyPublic(Everybody):
    """Nobody may pull what is private."""

    async def allows(self, principal: Principal, need: Need) -> bool:
        return need.action != Action.PULL or not str(need.repository).startswith("private/")


async def fill(registry: Registry) -> None:
    for name in NAMES:
        await registry.repository(name).manifests.put(image(b"{}"), check_layers=False)


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
async def test_the_door_says_that_there_is_a_registry(lenient: httpx.AsyncClient, path: str):
    for method in ("GET", "HEAD"):
        answer = await lenient.request(method, path)
        assert answer.status_code == 200
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
        assert answer.headers["content-type"] == "application/json"
    assert (await lenient.get(path)).json() == {}


async def test_repositories_are_listed_in_lexical_order_and_by_pages(
    client: httpx.AsyncClient, registry: Registry
):
    assert (await client.get("/v2/_catalog")).json() == {"repositories": []}
    await fill(registry)
    answer = await client.get("/v2/_catalog")
    assert answer.json() == {"repositories": NAMES}
    assert "link" not in answer.headers
    assert await all_pages(client, "/v2/_catalog?n=3", "repositories") == [NAMES[:3], NAMES[3:6], NAMES[6:]]
    assert await all_pages(client, "/v2/_catalog?n=4", "repositories") == [NAMES[:4], NAMES[4:]]
    assert (await client.get("/v2/_catalog?n=1&last=a/bb")).json() == {"repositories": ["a/c"]}
    assert (await client.get("/v2/_catalog?last=z")).json() == {"repositories": []}
    none = await client.get("/v2/_catalog?n=0")
    assert none.json() == {"repositories": []}
    assert "link" not in none.headers


async def test_only_repositories_that_the_caller_may_pull_from_are_listed(in_memory: Registry):
    registry = Registry(in_memory.driver, policy=Policy(check_layers=False))
    await fill(registry)
    public = [name for name in NAMES if not name.startswith("private/")]
    options = ServerOptions(page_limit=5)
    async with client_of(RegistryApp(registry, access=OnlyPublic(), options=options)) as client:
        assert await all_pages(client, "/v2/_catalog", "repositories") == [public[:5], public[5:]]
        # Whether a page follows does not tell that something private does.
        assert await all_pages(client, "/v2/_catalog?n=3", "repositories") == [public[:3], public[3:]]
        last = await client.get("/v2/_catalog?last=library/hello&n=1")
        assert last.json() == {"repositories": ["z"]}
        assert "link" not in last.headers


async def test_who_is_granted_the_catalog_sees_all_of_it(in_memory: Registry):
    await fill(in_memory)
    catalog = [{"type": "registry", "name": "catalog", "actions": ["*"]}]
    answer = await ask(in_memory, "/v2/_catalog", token(claims(access=catalog)))
    assert answer.json() == {"repositories": NAMES}

    async def public_only(_principal: Principal, need: Need) -> bool:
        return need.action is Action.CATALOG or not str(need.repository).startswith("private/")

    ruled = await ask(in_memory, "/v2/_catalog", token(claims(access=catalog)), policy(authorize=public_only))
    assert ruled.json() == {"repositories": [name for name in NAMES if not name.startswith("private/")]}


async def test_a_page_ends_where_enough_was_looked_at(in_memory: Registry, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("revstore_async.server.handlers.catalog.LOOK_LIMIT", 3)
    await fill(in_memory)
    async with client_of(RegistryApp(in_memory, access=OnlyPublic())) as client:
        pages = await all_pages(client, "/v2/_catalog", "repositories")
        assert pages == [NAMES[:3], ["a/c", "library/hello"], ["z"]]
        assert (await all_pages(client, "/v2/_catalog?n=2", "repositories"))[0] == NAMES[:2]


async def links(client: httpx.AsyncClient, url: str) -> list[str]:
    """Follow the `Link` headers to the last page, and return what each of them says."""
    said = []
    answer = await client.get(url)
    while "next" in answer.links:
        said.append(answer.headers["link"])
        assert len(said) < 100
        answer = await client.get(answer.links["next"]["url"])
    assert answer.status_code == 200, answer.text
    return said


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
@pytest.mark.parametrize("query", ["", "?n=1", "?n=2", "?last=library/hello", "?last=m"])
async def test_no_cursor_names_a_repository_that_the_caller_may_not_know_of(
    in_memory: Registry, monkeypatch: pytest.MonkeyPatch, limit: int, query: str
):
    """A page may end among repositories that are hidden, or show none at all."""
    monkeypatch.setattr("revstore_async.server.handlers.catalog.LOOK_LIMIT", limit)
    monkeypatch.setattr("revstore_async.server.handlers.catalog.SKIP_LIMIT", 10 * limit)
    await fill(in_memory)
    public = [name for name in NAMES if not name.startswith("private/")]
    after = query.removeprefix("?last=") if "last" in query else ""
    async with client_of(RegistryApp(in_memory, access=OnlyPublic())) as client:
        told = "".join(await links(client, f"/v2/_catalog{query}"))
        assert "private" not in told
        pages = await all_pages(client, f"/v2/_catalog{query}", "repositories")
        assert [name for page in pages for name in page] == [name for name in public if name > after]


async def test_a_caller_who_sees_too_few_repositories_is_told_of_no_further_page(
    in_memory: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("revstore_async.server.handlers.catalog.LOOK_LIMIT", 1)
    monkeypatch.setattr("revstore_async.server.handlers.catalog.SKIP_LIMIT", 1)
    await fill(in_memory)
    async with client_of(RegistryApp(in_memory, access=OnlyPublic())) as client:
        assert await all_pages(client, "/v2/_catalog?last=library/hello", "repositories") == [[], []]
        assert "catalog" in caplog.text
        refused = await client.get("/v2/_catalog?skip=2")
        assert (refused.status_code, codes(refused)) == (400, ["UNSUPPORTED"])


@pytest.mark.parametrize(
    "query",
    [
        "n=-1",
        "n=a",
        "n=1&n=2",
        "last=A",
        "last=..%2F..",
        "last=a%0D%0Ab",
        "skip=-1",
        "skip=a",
        "skip=1&skip=2",
    ],
)
async def test_a_page_that_can_t_be_is_refused(lenient: httpx.AsyncClient, query: str):
    answer = await lenient.get(f"/v2/_catalog?{query}")
    assert answer.status_code == 400
    assert codes(answer)[0] in {"UNSUPPORTED", "NAME_INVALID"}


def test_the_names_are_in_the_order_of_the_engine():
    assert sorted(map(RepositoryName, NAMES)) == NAMES
