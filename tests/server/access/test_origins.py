"""Web pages as clients: which may use a registry, and what a page that may not can't make a browser do."""

from pathlib import Path

import httpx
import pytest

from revstore_async import Registry
from revstore_async.errors import InvalidArgument
from revstore_async.server import Htpasswd, RegistryApp, ServerOptions
from tests.parts.documents import image
from tests.parts.passwords import line
from tests.parts.serve_command import serving
from tests.parts.serving import client_of, error_code

PAGE = "https://ui.example"
OTHER = "https://evil.example"
DOCUMENT = image(b"{}")
PATH = "/v2/hello/manifests/latest"


@pytest.fixture
async def users(tmp_path: Path) -> Htpasswd:
    file = tmp_path / "users"
    file.write_text(f"{line('ann')}\n")
    return Htpasswd(file)


# ---- pages that may


def app_for(lenient_app: RegistryApp, *origins: str, access: Htpasswd | None = None) -> RegistryApp:
    return RegistryApp(lenient_app.registry, access=access, options=ServerOptions(origins=origins))


async def test_a_page_of_a_named_origin_may_ask_before_it_has_credentials(
    lenient_app: RegistryApp, users: Htpasswd
):
    app = app_for(lenient_app, PAGE, "http://localhost:8080", access=users)
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "POST"):
        headers = {
            "Origin": PAGE,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization, content-type, if-match",
        }
        async with client_of(app) as client:
            answer = await client.options(PATH, headers=headers)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert method in answer.headers["access-control-allow-methods"].split(", ")


async def test_a_page_of_a_named_origin_reads_answers_and_writes(lenient_app: RegistryApp, users: Htpasswd):
    async with client_of(app_for(lenient_app, PAGE, access=users)) as client:
        headers = {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"}
        refused = await client.get(PATH, headers=headers)
        assert refused.status_code == 401
        put = await client.put(PATH, content=DOCUMENT, headers=headers, auth=("ann", "secret"))
        assert put.status_code == 201
        got = await client.get(PATH, headers=headers, auth=("ann", "secret"))
        assert (got.status_code, got.content) == (200, DOCUMENT)
        for answer in (refused, put, got):
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert "Origin" in answer.headers["vary"]
            exposed = answer.headers["access-control-expose-headers"].split(", ")
            assert {"Docker-Content-Digest", "Link", "Location", "Range", "WWW-Authenticate"} <= set(exposed)


async def test_a_page_of_another_origin_gets_no_leave(lenient_app: RegistryApp):
    async with client_of(app_for(lenient_app, PAGE)) as client:
        asked = {"Origin": OTHER, "Access-Control-Request-Method": "GET"}
        for answer in (
            await client.options(PATH, headers=asked),
            await client.get("/v2/", headers={"Origin": OTHER}),
        ):
            assert "access-control-allow-origin" not in answer.headers


async def test_without_the_option_no_answer_speaks_of_origins(lenient: httpx.AsyncClient):
    answer = await lenient.get("/v2/", headers={"Origin": PAGE})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_where_every_page_may_read_none_may_write_or_bring_credentials(lenient_app: RegistryApp):
    async with client_of(app_for(lenient_app, "*")) as client:
        await client.put(PATH, content=DOCUMENT)
        got = await client.get(PATH, headers={"Origin": OTHER})
        assert (got.status_code, got.headers["access-control-allow-origin"]) == (200, "*")
        assert "access-control-allow-credentials" not in got.headers
        asked = {"Origin": OTHER, "Access-Control-Request-Method": "PUT"}
        assert (await client.options(PATH, headers=asked)).status_code == 400
        put = await client.put(PATH, content=DOCUMENT, headers={"Origin": OTHER})
        assert (put.status_code, error_code(put)) == (403, "DENIED")


@pytest.mark.parametrize(
    "origins", [("",), ("ui.example",), ("https://ui.example/",), ("null",), ("https://*",), ("*", PAGE)]
)
def test_what_is_no_origin_is_refused(origins: tuple[str, ...]):
    with pytest.raises(InvalidArgument):
        ServerOptions(origins=origins)


# ---- pages that may not

REQUESTS = [
    ("POST", "/v2/hello/blobs/uploads/"),
    ("PUT", PATH),
    ("DELETE", PATH),
    ("PATCH", "/v2/hello/blobs/uploads/x"),
    ("POST", "/v2/hello/_revstore/signatures/sha256:" + "0" * 64),
]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": OTHER},
        {"Origin": "null"},
        {"Origin": OTHER, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://other.registry.test", "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://registry.test:1234"},
        {"Origin": "http://registry.test", "Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_a_page_of_another_origin_changes_nothing(lenient_app: RegistryApp, headers: dict[str, str]):
    async with client_of(lenient_app) as client:
        for method, path in REQUESTS:
            answer = await client.request(method, path, content=DOCUMENT, headers=headers)
            assert (answer.status_code, error_code(answer)) == (403, "DENIED")
            assert "a page of another origin" in answer.text
        assert (await client.get("/v2/", headers=headers)).status_code == 200
    assert (await lenient_app.registry.driver.list_all("")).entries == ()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://registry.test"},
        {"Origin": "https://registry.test"},  # a proxy takes TLS off
        {"Origin": "https://registry.test", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://registry.public", "Sec-Fetch-Site": "same-origin"},  # a proxy has another Host
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_clients_that_are_no_browser_and_pages_of_the_same_origin_push(
    lenient_app: RegistryApp, headers: dict[str, str]
):
    async with client_of(lenient_app) as client:
        assert (await client.put(PATH, content=DOCUMENT, headers=headers)).status_code == 201


# ---- the command


def test_the_command_lets_pages_in_by_option(tmp_path: Path, in_memory: Registry):
    with serving(tmp_path, "--cors-origin", PAGE, "--cors-origin", "http://localhost:8080") as server:
        for origin, allowed in ((PAGE, True), ("http://localhost:8080", True), (OTHER, False)):
            headers = {"Origin": origin}
            answer = httpx.get(f"{server.url}/v2/", headers=headers)
            assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
            begun = httpx.post(f"{server.url}/v2/a/blobs/uploads/", headers=headers)
            assert begun.status_code == (202 if allowed else 403)
        asked = httpx.options(
            f"{server.url}/v2/", headers={"Origin": PAGE, "Access-Control-Request-Method": "GET"}
        )
        assert asked.status_code == 200
        assert server.end() == 0
        assert [line["method"] for line in server.lines()].count("OPTIONS") == 1
