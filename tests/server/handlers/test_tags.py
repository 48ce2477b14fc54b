"""The list of tags, by pages."""

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from revstore_async import Policy, Registry, Repository
from revstore_async.server import RegistryApp, ServerOptions
from tests.parts.documents import NAME, image
from tests.parts.manifests_over_http import all_pages, at, codes, image_in, pushed
from tests.parts.serving import client_of

DOCUMENT = image(b"{}")
TAGS = ["1.0", "1.0-rc", "Latest", "_x", "latest", "v1", "v1-rc", "v1.0", "v10"]


async def test_tags_are_listed_in_lexical_order_and_by_pages(
    client: httpx.AsyncClient, repository: Repository
):
    digest = await pushed(client, "v1", await image_in(repository))
    for tag in reversed(TAGS):
        await repository.tags.set(tag, digest)
    answer = await client.get(at("tags/list"))
    assert answer.json() == {"name": NAME, "tags": TAGS}
    assert "link" not in answer.headers
    assert await all_pages(client, at("tags/list?n=4"), "tags") == [TAGS[:4], TAGS[4:8], TAGS[8:]]
    assert (await client.get(at("tags/list?n=2&last=latest"))).json()["tags"] == ["v1", "v1-rc"]
    assert (await client.get(at("tags/list?last=v1.0"))).json()["tags"] == ["v10"]
    assert (await client.get(at("tags/list?last=nothing-of-this-name"))).json()["tags"] == TAGS[5:]
    assert (await client.get(at("tags/list?last=v10"))).json()["tags"] == []


async def test_a_page_of_none_is_empty_and_leads_nowhere(client: httpx.AsyncClient, repository: Repository):
    await pushed(client, "v1", await image_in(repository))
    answer = await client.get(at("tags/list?n=0"))
    assert answer.status_code == 200
    assert answer.json() == {"name": NAME, "tags": []}
    assert "link" not in answer.headers


async def test_a_repository_that_is_not_there_has_no_list(client: httpx.AsyncClient, repository: Repository):
    await pushed(client, "v1", await image_in(repository))
    for name in ("library", "library/hell", "library/hello/deeper", "other"):
        for query in ("", "?n=0", "?n=1&last=a"):
            answer = await client.get(at(f"tags/list{query}", name))
            assert answer.status_code == 404
            assert codes(answer) == ["NAME_UNKNOWN"]


async def test_a_repository_without_tags_has_an_empty_list(client: httpx.AsyncClient, repository: Repository):
    await pushed(client, "v1", await image_in(repository))
    await client.delete(at("manifests/v1"))
    answer = await client.get(at("tags/list"))
    assert answer.status_code == 200
    assert answer.json() == {"name": NAME, "tags": []}


async def test_a_page_has_no_more_entries_than_the_server_allows(in_memory: Registry):
    registry = Registry(in_memory.driver, policy=Policy(check_layers=False))
    for tag in TAGS:
        await registry.repository(NAME).manifests.put(DOCUMENT, tag=tag)
    async with client_of(RegistryApp(registry, options=ServerOptions(page_limit=5))) as client:
        for query in ("", "?n=1000", "?n=999999999999999999"):
            assert await all_pages(client, at(f"tags/list{query}"), "tags") == [TAGS[:5], TAGS[5:]]


@pytest.mark.parametrize(
    "query",
    [
        "n=-1",
        "n=1.5",
        "n=ten",
        "n=%31%00",
        "n=+1",
        "n=1e3",
        "n=%D9%A1",
        "n=" + "9" * 5000,
        "n=1&n=2",
        "last=a&last=b",
        "last=-a",
        "last=a%2Fb",
        "last=a%0D%0Ab",
        "last=" + "a" * 129,
    ],
)
async def test_a_page_that_can_t_be_is_refused(lenient: httpx.AsyncClient, query: str):
    await pushed(lenient, "v1", DOCUMENT)
    answer = await lenient.get(at(f"tags/list?{query}"))
    assert answer.status_code == 400
    assert codes(answer)[0] in {"UNSUPPORTED", "TAG_INVALID"}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tags=st.sets(st.from_regex(r"[a-c_][a-c.-]{0,3}", fullmatch=True), min_size=1, max_size=12),
    limit=st.integers(1, 5),
)
async def test_the_pages_together_are_the_list(tags: set[str], limit: int):
    async with Registry.open("memory:", policy=Policy(check_layers=False)) as registry:
        for tag in tags:
            await registry.repository(NAME).manifests.put(DOCUMENT, tag=tag)
        async with client_of(RegistryApp(registry)) as client:
            pages = await all_pages(client, at(f"tags/list?n={limit}"), "tags")
    assert [tag for page in pages for tag in page] == sorted(tags)
    assert all(len(page) == limit for page in pages[:-1])
    assert 0 < len(pages[-1]) <= limit
