"""Paths with a slash too many: one resource, and one path for whatever judges the request."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount

from revstore_async import Digest, Registry
from revstore_async.server import AccessLog, Everybody, Need, Principal, RegistryApp
from revstore_async.server.routes import canonical
from tests.parts.documents import image
from tests.parts.manifests_over_http import ask as ask_encoded
from tests.parts.serving import ask, client_of

DOCUMENT = image(b"{}")
D = Digest.of(DOCUMENT)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/", "/v2/"),
        ("/v2", "/v2"),
        ("//v2//", "/v2/"),
        ("/v2/a/b/manifests/c", "/v2/a/b/manifests/c"),
        ("//v2//a///b/manifests//c//", "/v2/a/b/manifests/c"),
        ("/v2/a/tags/list/", "/v2/a/tags/list"),
        ("/v2/_catalog/", "/v2/_catalog"),
        ("/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/"),
        ("/v2/a/blobs/uploads//", "/v2/a/blobs/uploads/"),
        ("/v2/a/blobs/uploads//x/", "/v2/a/blobs/uploads/x"),
        ("/v2/a/../b/", "/v2/a/../b"),
        ("", ""),
    ],
)
def test_a_path_has_single_slashes_and_one_at_its_end_only_where_the_route_has_one(path: str, expected: str):
    assert canonical(path) == expected
    assert canonical(expected) == expected


async def test_a_slash_too_many_leads_to_the_same(lenient: httpx.AsyncClient):
    put = await lenient.put("http://registry.test//v2//library/hello//manifests/latest/", content=DOCUMENT)
    assert put.status_code == 201
    assert put.headers["location"] == f"/v2/library/hello/manifests/{D}"
    for path in ("/v2/library/hello/manifests/latest/", "/v2/library//hello/manifests//latest"):
        answer = await lenient.get(path)
        assert (answer.status_code, answer.content) == (200, DOCUMENT)
    assert (await lenient.get("/v2/library/hello/tags/list/")).json()["tags"] == ["latest"]
    begun = await lenient.post("/v2/library//hello/blobs/uploads//")
    assert begun.status_code == 202
    assert (await lenient.get(begun.headers["location"] + "/")).status_code == 204


async def test_a_link_leads_on_by_the_plain_path(lenient: httpx.AsyncClient):
    for tag in ("a", "b"):
        await lenient.put(f"/v2/hello/manifests/{tag}", content=DOCUMENT)
    answer = await lenient.get("/v2//hello/tags/list/?n=1")
    assert answer.headers["link"] == '</v2/hello/tags/list?n=1&last=a>; rel="next"'


class Noting(Everybody):
    """Notes what it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    async def authenticate(self, connection: HTTPConnection) -> Principal:
        self.seen |= {connection.url.path, connection.scope["path"], connection.scope["raw_path"].decode()}
        return await super().authenticate(connection)

    async def allows(self, principal: Principal, need: Need) -> bool:
        assert need.repository == "secret/images"
        return False


@pytest.mark.parametrize(
    "path",
    ["/v2/secret/images/tags/list", "//v2//secret///images/tags/list/", "/v2/secret/images//tags/list//"],
)
async def test_a_policy_is_asked_about_the_path_that_is_answered(in_memory: Registry, path: str):
    access = Noting()
    answer = await ask(RegistryApp(in_memory, access=access), f"http://registry.test{path}")
    assert answer.status_code == 403
    assert access.seen == {"/v2/secret/images/tags/list"}


async def test_an_encoded_slash_or_dots_make_no_path_of_another(lenient_app: RegistryApp):
    for path in ("/v2/a%2F/b/manifests/v1", "/v2/a/%2Fb/manifests/v1", "/v2//a%2fb/manifests/v1/"):
        answer = await ask_encoded(lenient_app, "PUT", path, DOCUMENT)
        assert answer.status_code in {400, 404}
    for path in ("/v2//a/../b/manifests/v1", "/v2/a/./b//manifests/v1", "/v2/..//v2/a/manifests/v1/"):
        answer = await ask_encoded(lenient_app, "PUT", path, DOCUMENT)
        assert answer.status_code in {400, 404}
    assert (await lenient_app.registry.driver.list_all("")).entries == ()


async def test_it_is_so_below_a_mount(lenient_app: RegistryApp):
    program = Starlette(routes=[Mount("/images", AccessLog(lenient_app))])
    async with client_of(program) as client:
        put = await client.put("/images//v2//hello/manifests/latest/", content=DOCUMENT)
        assert (put.status_code, put.headers["location"]) == (201, f"/images/v2/hello/manifests/{D}")
        assert (await client.get(put.headers["location"])).status_code == 200
