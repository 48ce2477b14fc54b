"""The table of routes: what is answered where, and by which methods."""

import re
from pathlib import Path

import httpx
import pytest

from revstore_async import Digest
from revstore_async.errors import MethodNotAllowed, RouteUnknown
from revstore_async.server import routes
from revstore_async.server.access.policy import Action
from tests.parts.documents import image
from tests.parts.manifests_over_http import at, codes, pushed

D = Digest.of(b"")
DOCUMENT = (Path(__file__).parents[2] / "docs" / "http.md").read_text()


@pytest.mark.parametrize(
    ("path", "route", "name", "arguments"),
    [
        ("/v2/", "/v2/", None, {}),
        ("/v2", "/v2/", None, {}),
        ("/v2/_catalog", "/v2/_catalog", None, {}),
        ("/v2/a/manifests/v1", "/v2/<name>/manifests/<reference>", "a", {"reference": "v1"}),
        ("/v2/a/b/manifests/x:y", "/v2/<name>/manifests/<reference>", "a/b", {"reference": "x:y"}),
        ("/v2/a/blobs/uploads", "/v2/<name>/blobs/uploads/", "a", {}),
        ("/v2/a/blobs/uploads/", "/v2/<name>/blobs/uploads/", "a", {}),
        ("/v2/a/blobs/uploads/1", "/v2/<name>/blobs/uploads/<upload>", "a", {"upload": "1"}),
        (f"/v2/a/blobs/{D}", "/v2/<name>/blobs/<digest>", "a", {"digest": D}),
        ("/v2/a/tags/list", "/v2/<name>/tags/list", "a", {}),
        (f"/v2/a/referrers/{D}", "/v2/<name>/referrers/<digest>", "a", {"digest": D}),
        ("/v2/a/_oci/tag-history/v1", "/v2/<name>/_oci/tag-history/<tag>", "a", {"tag": "v1"}),
        # A name may hold the words of a route: the last ones count.
        ("/v2/manifests/manifests/manifests", "/v2/<name>/manifests/<reference>", "manifests", None),
        ("/v2/a/blobs/b/manifests/c", "/v2/<name>/manifests/<reference>", "a/blobs/b", None),
        ("/v2/tags/list/tags/list", "/v2/<name>/tags/list", "tags/list", None),
        ("/v2/a/blobs/uploads/manifests/b", "/v2/<name>/manifests/<reference>", "a/blobs/uploads", None),
        ("/v2/uploads/blobs/uploads/", "/v2/<name>/blobs/uploads/", "uploads", {}),
    ],
)
def test_a_path_leads_to_its_route(path: str, route: str, name: str | None, arguments: dict[str, str] | None):
    method = "POST" if route.endswith("uploads/") else "GET"
    found = routes.find(method, path)
    assert (found.route, found.name) == (route, name)
    if arguments is not None:
        assert found.arguments == arguments


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1/",
        "/v2/a",
        "/v2/manifests/v1",
        "/v2//manifests/",
        "/v2/a/manifests/",
        "/v2/a/manifests",
        "/v2/a/manifests/b/",
        "/v2/a/manifests/b/c",
        "/v2/a/tags",
        "/v2/a/tags/list/",
        "/v2/a/_oci/ext/discover",
        "/v3/a/tags/list",
        "v2/",
    ],
)
def test_other_paths_lead_nowhere(path: str):
    with pytest.raises(RouteUnknown):
        routes.find("GET", path)


@pytest.mark.parametrize("route", routes.ROUTES, ids=lambda route: route.path)
async def test_another_method_is_refused_and_told_which_there_are(
    lenient: httpx.AsyncClient, route: routes.Route
):
    path = re.sub(r"<\w+>", "x", route.path)
    expected = set(route.endpoints) | ({"HEAD"} if "GET" in route.endpoints else set())
    for method in {
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "NONSENSE",
    } - expected:
        with pytest.raises(MethodNotAllowed):
            routes.find(method, path)
        answer = await lenient.request(method, path)
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == expected


@pytest.mark.parametrize(
    "path", ["manifests/v1", f"manifests/{D}", "tags/list", f"referrers/{D}", "_oci/tag-history/v1"]
)
async def test_a_head_has_the_headers_of_the_get(lenient: httpx.AsyncClient, path: str):
    await pushed(lenient, "v1", image(b"{}"))
    get, head = await lenient.get(at(path)), await lenient.head(at(path))
    assert head.status_code == get.status_code
    assert head.headers == get.headers
    assert head.content == b""


async def test_an_unknown_path_is_told_in_the_form_of_the_spec(lenient: httpx.AsyncClient):
    answer = await lenient.get("/v2/a/b/c")
    assert answer.status_code == 404
    assert codes(answer) == ["UNSUPPORTED"]


def test_what_changes_something_needs_more_than_to_pull():
    reads = {Action.ENTER, Action.CATALOG, Action.PULL}
    for route in routes.ROUTES:
        for method, endpoint in route.endpoints.items():
            if method == "GET":
                assert endpoint.action in reads | ({Action.PUSH} if "uploads" in route.path else set())
            else:
                assert endpoint.action in {Action.PUSH, Action.DELETE}
            assert ("<name>" in route.path) is (endpoint.action not in {Action.ENTER, Action.CATALOG})


@pytest.mark.parametrize("route", routes.ROUTES, ids=lambda route: route.path)
def test_each_route_is_documented_with_its_methods_and_needs(route: routes.Route):
    (row,) = (line for line in DOCUMENT.splitlines() if line.startswith(f"| `{route.path}` |"))
    for method, endpoint in route.endpoints.items():
        assert f"{method} ({endpoint.action.value})" in row
