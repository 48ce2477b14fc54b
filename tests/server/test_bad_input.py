"""Malformed requests get an error of the spec: never a 5xx, never a traceback, and nothing is stored."""

import json
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from revstore_async import Digest, Registry
from revstore_async.server import RegistryApp
from tests.parts.documents import NAME, image
from tests.parts.manifests_over_http import CODES, ask, ask_raw, at, codes, push
from tests.parts.serving import Server

DOCUMENT = image(b"{}")
D = Digest.of(DOCUMENT)
TRAVERSALS = [
    "..",
    "../..",
    "a/../b",
    "a/./b",
    "%2e%2e",
    "%2E%2E/%2e%2e",
    "a%2f..%2fb",
    "..%2f..%2fetc",
    "..%5c..%5cetc",
    "%252e%252e",
    "%252e%252e%252f",
    "..%c0%af..",
    "%c0%ae%c0%ae",
    "%e0%80%ae",
    "\N{FULLWIDTH FULL STOP}" * 2,
    "\N{ONE DOT LEADER}" * 2,
    "a\N{FRACTION SLASH}b",
    "a\N{DIVISION SLASH}b",
    "a%00b",
    "a%00/../b",
    "_manifests",
    "a/_manifests",
    "a;/b",
    "~",
    "%2fetc%2fpasswd",
    "C:%5cwindows",
]
INJECTIONS = [
    "a%0d%0aSet-Cookie:%20x=y",
    "a%0ab",
    "a%0db",
    "a%0d%0a%0d%0abody",
    "a%00b",
    "a%e2%80%a8b",
    "%0d%0a",
]


async def stored(registry: Registry) -> list[str]:
    return [info.key for info in (await registry.driver.list_all("")).entries]


def wanted(status: int) -> bool:
    return 200 <= status < 500


@pytest.fixture
def app(lenient_app: RegistryApp) -> RegistryApp:
    return lenient_app


@pytest.mark.parametrize("name", TRAVERSALS + INJECTIONS)
async def test_a_name_never_leaves_the_store(app: RegistryApp, name: str):
    for method, rest in (
        ("GET", "manifests/v1"),
        ("PUT", "manifests/v1"),
        ("DELETE", "manifests/v1"),
        ("GET", "tags/list"),
        ("GET", f"referrers/{D}"),
        ("GET", "_oci/tag-history/v1"),
        ("POST", f"_revstore/signatures/{D}"),
    ):
        answer = await ask(app, method, f"/v2/{name}/{rest}", DOCUMENT)
        assert answer.status_code in {400, 404}
        assert codes(answer)[0] in {"NAME_INVALID", "UNSUPPORTED"}
    assert await stored(app.registry) == []


@pytest.mark.parametrize(
    "reference",
    [
        *(sorted(set(TRAVERSALS) - {"_manifests", "a/_manifests"})),  # a tag, and another path
        *INJECTIONS,
        *("-a", ".a", "a:b", "sha256:..", "a" * 129),
    ],
)
async def test_a_tag_or_digest_never_leaves_its_repository(app: RegistryApp, reference: str):
    for method, path in (
        ("GET", f"manifests/{reference}"),
        ("HEAD", f"manifests/{reference}"),
        ("PUT", f"manifests/{reference}"),
        ("DELETE", f"manifests/{reference}"),
        ("GET", f"referrers/{reference}"),
        ("GET", f"_oci/tag-history/{reference}"),
        ("GET", f"_revstore/signatures/{reference}"),
        ("PUT", f"manifests/{D}?tag={reference}"),
    ):
        answer = await ask(app, method, at(path), DOCUMENT)
        assert answer.status_code in {400, 404}
        assert codes(answer)[0] in {"TAG_INVALID", "DIGEST_INVALID", "NAME_INVALID", "UNSUPPORTED"}
    assert await stored(app.registry) == []


async def test_a_name_with_an_encoded_slash_is_refused_though_it_would_be_one_decoded(app: RegistryApp):
    answer = await ask(app, "PUT", "/v2/library%2Fhello/manifests/v1", DOCUMENT)
    assert answer.status_code == 400
    assert codes(answer) == ["NAME_INVALID"]
    assert await stored(app.registry) == []


async def test_an_encoded_colon_is_a_colon(app: RegistryApp):
    answer = await ask(app, "PUT", at(f"manifests/{D}").replace(":", "%3A"), DOCUMENT)
    assert answer.status_code == 201


async def test_a_real_server_answers_hostile_request_lines(server: Server):
    for path in [
        *(f"/v2/{name}/manifests/v1" for name in TRAVERSALS + INJECTIONS),
        "/v2/../../etc",
        "/%ff/%fe",
    ]:
        reader, writer = await server.connect()
        line = quote(path, safe="/%:;~")
        writer.write(f"GET {line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.split()[1] in {b"400", b"404"}, path
        assert b"set-cookie" not in head.lower()
        assert json.loads(body)["errors"]


@pytest.mark.parametrize(
    "headers",
    [
        {"if-match": "x"},
        {"if-none-match": '"'},
        {"content-type": "a/b/c"},
        {"content-type": "\x7f"},
        {"content-type": "application/x\u00e4"},
    ],
)
async def test_a_malformed_header_is_refused(lenient: httpx.AsyncClient, headers: dict[str, str]):
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = await push(lenient, "v1", DOCUMENT, headers=raw)
    assert answer.status_code == 400
    assert codes(answer)[0] in {"UNSUPPORTED", "MANIFEST_INVALID"}
    assert (await lenient.get(at("manifests/v1"))).status_code == 404


async def test_a_length_that_is_no_number_is_refused(app: RegistryApp):
    for length in (b"-1", b"1e3", b"x", "\u0663".encode(), b"9" * 5000):
        answer = await ask_raw(
            app, "PUT", at("manifests/v1"), headers={b"content-length": length}, body=DOCUMENT
        )
        assert answer.status in {400, 413}
    assert await stored(app.registry) == []


# ---- anything at all

SEGMENT = st.one_of(
    st.sampled_from(
        ["v2", "a", "manifests", "blobs", "uploads", "tags", "list", "_catalog", "_oci", "referrers"]
    ),
    st.sampled_from(["tag-history", "_revstore", "signatures", "..", ".", "", D, "sha256:", "v1", NAME]),
    st.text(max_size=8),
)
METHOD = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    method=METHOD,
    segments=st.lists(SEGMENT, max_size=7),
    query=st.one_of(
        st.binary(max_size=30), st.sampled_from([b"n=1", b"n=-1", b"last=%ff", b"tag=%00", b"before=1"])
    ),
    body=st.one_of(st.binary(max_size=60), st.just(DOCUMENT)),
)
@example(method="GET", segments=["v2", "\ud800", "manifests", "\ud800"], query=b"", body=b"")
@example(method="PUT", segments=["v2", "a", "manifests", "v1"], query=b"", body=b'{"mediaType": "\\ud800"}')
async def test_no_request_makes_the_server_fail(
    app: RegistryApp, method: str, segments: list[str], query: bytes, body: bytes
):
    answer = await ask_raw(app, method, "/" + "/".join(segments), query=query, body=body)
    assert wanted(answer.status)
    assert b"Traceback" not in answer.body
    if answer.status >= 400:
        assert {error["code"] for error in json.loads(answer.body)["errors"]} <= CODES


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "schemaVersion",
                    "mediaType",
                    "config",
                    "layers",
                    "manifests",
                    "subject",
                    "digest",
                    "size",
                    "name",
                ]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    members=st.dictionaries(
        st.sampled_from(
            ["schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "signatures"]
        ),
        st.one_of(JSON, st.sampled_from([1, 2, "application/vnd.oci.image.manifest.v1+json", [], {}])),
        max_size=6,
    )
)
async def test_no_document_makes_the_server_fail(app: RegistryApp, members: dict[str, object]):
    body = json.dumps(members).encode()
    for path in ("manifests/v1", f"manifests/{Digest.of(body)}"):
        answer = await ask_raw(app, "PUT", at(path), body=body)
        assert wanted(answer.status)
        if answer.status == 201:
            served = await ask_raw(app, "GET", at(path))
            assert served.status == 200
            assert served.body == body
    answer = await ask_raw(app, "POST", at(f"_revstore/signatures/{D}"), body=body)
    assert 400 <= answer.status < 500
