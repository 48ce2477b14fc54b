"""Whatever headers and queries come with a blob or an upload: an answer of the spec, and nothing wrong stored."""

from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from revstore_async import Digest, Registry
from revstore_async.server import RegistryApp
from tests.parts.bare import Bare
from tests.parts.pushing import BEGIN, CONTENT, DIGEST, NAME
from tests.parts.serving import client_of

# One application for all examples: what one of them leaves must not harm the next.
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

VALUES = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20),
    st.from_regex(r"(bytes[= ])?-?[0-9]{0,25}-[0-9]{0,25}(/[0-9*]{1,3})?", fullmatch=True),
    st.sampled_from(["*", '"a"', f'"{DIGEST}"', "bytes=0-1,2-3", "0-99", "chunked", "100", "-1", "٣"]),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Range", "If-Range", "If-Match", "If-None-Match", "Content-Range", "Content-Length", "Content-Type"]
    ),
    VALUES.filter(lambda text: text.isascii()),
    max_size=4,
)
QUERIES = st.dictionaries(
    st.sampled_from(["digest", "mount", "from", "digest-algorithm", "state", "x"]),
    st.one_of(
        st.sampled_from(
            [DIGEST, Digest.of(b"other"), Digest.of(CONTENT, "sha512"), NAME, "sha512", "%00", ""]
        ),
        st.from_regex(r"[a-z0-9:%+/]{0,20}", fullmatch=True),
    ),
    max_size=3,
)


@pytest.fixture
async def places(in_memory: Registry) -> tuple[RegistryApp, list[str]]:
    blob = (await in_memory.repository(NAME).blobs.put(b"a blob")).digest
    return RegistryApp(in_memory), [BEGIN, f"/v2/{NAME}/blobs/{blob}"]


@SHARED
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
    place=st.integers(0, 2),
    headers=HEADERS,
    query=QUERIES,
    body=st.sampled_from([b"", CONTENT, CONTENT[:100]]),
)
async def test_no_request_makes_the_server_fail(
    places: tuple[RegistryApp, list[str]],
    in_memory: Registry,
    method: str,
    place: int,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    body: bytes,
) -> None:
    app, paths = places
    upload = await in_memory.repository(NAME).uploads.start()
    paths = [*paths, f"{BEGIN}{upload.id}"]
    text = "&".join(f"{name}={value}" for name, value in query.items())
    request = Bare(app, method, paths[place], headers, query=text)
    request.body(body)
    await request.whole()
    assert request.status < 500
    for digest in (DIGEST, Digest.of(CONTENT, "sha512"), Digest.of(b"other")):
        if await in_memory.repository(NAME).blobs.exists(digest):
            stored = await in_memory.repository(NAME).blobs.get(digest)
            assert Digest.of(stored, digest.algorithm) == digest


@SHARED
@given(
    content=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=6), last_by_put=st.booleans()
)
async def test_any_chunks_in_order_make_the_blob(
    in_memory: Registry, content: bytes, cuts: list[int], last_by_put: bool
) -> None:
    ends = [*sorted({cut for cut in cuts if 0 < cut < len(content)}), *([len(content)] if content else [])]
    digest = Digest.of(content)
    async with client_of(RegistryApp(in_memory)) as client:
        location = (await client.post(BEGIN)).headers["location"]
        begin = 0
        for end in ends:
            headers = {"Content-Range": f"{begin}-{end - 1}"}
            if last_by_put and end == len(content):
                break
            answer = await client.patch(location, content=content[begin:end], headers=headers)
            assert (answer.status_code, answer.headers["range"]) == (202, f"0-{end - 1}")
            begin = end
        answer = await client.put(f"{location}?digest={digest}", content=content[begin:])
        assert answer.status_code == 201
    assert Digest.of(await in_memory.repository(NAME).blobs.get(digest)) == digest
