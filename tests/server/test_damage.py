"""Damage in the store is absence to one who may push, so that an ordinary client's push heals it.

Each kind of damage is made behind the registry's back, and two servers come upon it: the one that took the content,
which knows its sizes, and one that starts afterwards and knows nothing.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from revstore_async import Digest, Driver, Registry, RepositoryName, open_driver, verify_document
from revstore_async.errors import BlobDamaged
from revstore_async.formats.names import Tag
from revstore_async.layout import (
    CURRENT,
    LayerLink,
    ReferrerLink,
    RevisionLink,
    SignatureLink,
    StoredObject,
    TagCurrent,
    TagIndex,
)
from revstore_async.layout import BlobData as Content
from revstore_async.server import ReadOnly, RegistryApp, ServerOptions
from tests.parts.documents import OCI_INDEX, OCI_MANIFEST, image, index, schema1, signed
from tests.parts.manifests_over_http import at, codes
from tests.parts.referring import about
from tests.parts.serving import client_of

NAME = RepositoryName("library/hello")
OTHER = RepositoryName("library/other")
LATEST = Tag("latest")
CONFIG = b'{"architecture":"amd64"}'
LAYER, LARGE = b"a layer of some bytes", bytes(range(256)) * 4096
CHILD = image(CONFIG, LAYER, LARGE)
INDEX = index(CHILD)
REFERRER = about(CHILD)
OLD = schema1(Digest.of(LAYER), tag="old")
HOSTS = {host: signed(OLD, host) for host in (1, 2)}
SIGNED_TYPE = "application/vnd.docker.distribution.manifest.v1+prettyjws"
SIGNATURE = Digest.of(verify_document(HOSTS[1]).signatures[0].blob)

CUT: Callable[[bytes], bytes] = lambda content: content[:-1]  # noqa: E731
GROWN: Callable[[bytes], bytes] = lambda content: content + b"!"  # noqa: E731
FLIPPED: Callable[[bytes], bytes] = lambda content: content[:-1] + b"\0"  # noqa: E731
EMPTIED: Callable[[bytes], bytes] = lambda _: b""  # noqa: E731
GARBAGE: Callable[[bytes], bytes] = lambda _: b"garbage"  # noqa: E731
DAMAGES = {"cut": CUT, "grown": GROWN, "flipped": FLIPPED, "emptied": EMPTIED, "garbage": GARBAGE}


OBJECTS: dict[str, StoredObject] = {
    "layer": Content(Digest.of(LAYER)),
    "large layer": Content(Digest.of(LARGE)),
    "config": Content(Digest.of(CONFIG)),
    "manifest": Content(Digest.of(CHILD)),
    "index": Content(Digest.of(INDEX)),
    "referrer": Content(Digest.of(REFERRER)),
    "schema 1 payload": Content(Digest.of(OLD)),
    "signature": Content(SIGNATURE),
    "layer link": LayerLink(NAME, Digest.of(LAYER)),
    "config link": LayerLink(NAME, Digest.of(CONFIG)),
    "tag link": TagCurrent(NAME, LATEST),
    "tag index link": TagIndex(NAME, LATEST, Digest.of(INDEX)),
    "revision link": RevisionLink(NAME, Digest.of(INDEX)),
    "child's revision link": RevisionLink(NAME, Digest.of(CHILD)),
    "referrer's revision link": RevisionLink(NAME, Digest.of(REFERRER)),
    "referrer link": ReferrerLink(NAME, Digest.of(CHILD), Digest.of(REFERRER)),
    "schema 1 revision link": RevisionLink(NAME, Digest.of(OLD)),
    "signature link": SignatureLink(NAME, Digest.of(OLD), SIGNATURE),
}
ROWS = [
    *(("memory", kind, damage) for kind in OBJECTS for damage in DAMAGES if damage != "grown"),
    *(
        ("memory", kind, "grown") for kind in ("layer", "manifest", "tag link")
    ),  # any other size is the same damage
    *(("file", kind, damage) for kind in ("layer", "manifest", "tag link") for damage in ("cut", "emptied")),
]


# ---- a client


@dataclass
class Client:
    """A client by the book: it looks before it uploads, and takes any answer but 200 and 404 for a failure."""

    http: httpx.AsyncClient
    looks: bool = True

    async def has(self, path: str) -> bool:
        answer = await self.http.head(at(path, NAME))
        assert answer.status_code in {200, 404}, (path, answer.status_code)
        return answer.status_code == 200

    async def push_blob(self, content: bytes, source: RepositoryName | None = None) -> None:
        digest = Digest.of(content)
        if await self.has(f"blobs/{digest}"):
            return
        query = f"?mount={digest}&from={source}" if source else ""
        begun = await self.http.post(at(f"blobs/uploads/{query}", NAME))
        if begun.status_code == 201:
            return
        assert begun.status_code == 202
        location = begun.headers["location"]
        location = (await self.http.patch(location, content=content)).headers["location"]
        answer = await self.http.put(f"{location}?digest={digest}")
        assert answer.status_code == 201, answer.text

    async def push_manifest(self, reference: str, document: bytes, media_type: str) -> bool:
        """Push, unless it is there as it is; say whether it is there now."""
        seen = await self.http.head(at(f"manifests/{reference}", NAME))
        assert seen.status_code in {200, 404}, (reference, seen.status_code)
        if (
            self.looks
            and seen.status_code == 200
            and seen.headers["docker-content-digest"] == Digest.of(document)
        ):
            return True
        return await self.put(reference, document, media_type)

    async def put(self, reference: str, document: bytes, media_type: str) -> bool:
        path = at(f"manifests/{reference}", NAME)
        answer = await self.http.put(path, content=document, headers={"content-type": media_type})
        assert answer.status_code in {201, 400}, answer.text
        if answer.status_code == 400:
            assert set(codes(answer)) == {"MANIFEST_BLOB_UNKNOWN"}
        return answer.status_code == 201

    async def push(self, source: RepositoryName | None = None) -> bool:
        """Push all of it; say whether the registry took it."""
        for content in (LAYER, LARGE, CONFIG):
            await self.push_blob(content, source)
        await self.push_blob(b"{}", source)  # the referrer's config
        return (
            await self.push_manifest(Digest.of(CHILD), CHILD, OCI_MANIFEST)
            and await self.push_manifest(LATEST, INDEX, OCI_INDEX)
            and await self.push_manifest(Digest.of(REFERRER), REFERRER, OCI_MANIFEST)
            and await self.put("old", HOSTS[1], SIGNED_TYPE)
        )

    async def pull(self) -> None:
        """Pull all of it, and compare."""
        for reference, document in (
            (LATEST, INDEX),
            (Digest.of(INDEX), INDEX),
            (Digest.of(CHILD), CHILD),
            (Digest.of(REFERRER), REFERRER),
        ):
            answer = await self.http.get(at(f"manifests/{reference}", NAME))
            assert (answer.status_code, answer.content) == (200, document)
        for content in (LAYER, LARGE, CONFIG):
            answer = await self.http.get(at(f"blobs/{Digest.of(content)}", NAME))
            assert (answer.status_code, answer.content) == (200, content)
        answer = await self.http.get(at("manifests/old", NAME))
        assert answer.status_code == 200
        assert len(answer.json()["signatures"]) == 2
        answer = await self.http.get(at(f"referrers/{Digest.of(CHILD)}", NAME))
        assert [each["digest"] for each in answer.json()["manifests"]] == [Digest.of(REFERRER)]


# ---- a store


@pytest.fixture(params=["memory", "file"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    url = "memory:" if request.param == "memory" else (tmp_path / "store").as_uri()
    async with open_driver(url) as opened:
        yield opened


@dataclass
class Store:
    """A store with an image in it, and the server that took it."""

    driver: Driver
    app: RegistryApp

    @asynccontextmanager
    async def client(self, *, fresh: bool) -> AsyncIterator[Client]:
        app = RegistryApp(Registry(self.driver)) if fresh else self.app
        async with client_of(app) as http:
            yield Client(http)

    async def damage(self, kind: str, damage: str) -> None:
        key = CURRENT.key(OBJECTS[kind])
        content = (await self.driver.get(key)).content
        await self.driver.put(key, DAMAGES[damage](content))


@pytest.fixture
async def store(driver: Driver) -> Store:
    filled = Store(driver, RegistryApp(Registry(driver)))
    async with filled.client(fresh=False) as client:
        assert await client.push()
        assert await client.put("old", HOSTS[2], SIGNED_TYPE)
        await client.pull()
    return filled


FRESH = pytest.mark.parametrize("fresh", [False, True], ids=["the same server", "another server"])


@FRESH
@pytest.mark.parametrize(
    ("driver", "kind", "damage"), ROWS, indirect=["driver"], ids=lambda row: str(row).replace(" ", "-")
)
async def test_a_push_by_the_book_heals_any_damage(
    store: Store, kind: str, damage: str, *, fresh: bool
) -> None:
    """Where the server does not know the right size, it refuses one push, and the next one heals."""
    await store.damage(kind, damage)
    async with store.client(fresh=fresh) as client:
        if damage == "flipped":  # no size tells of it
            await pull_what_is_there(client)
            # The server that took the manifests has them in memory, and reads none again.
            client.looks = fresh
        elif fresh and kind in {"layer", "large layer", "config"}:
            client.looks = False  # only the manifest tells this server the size
        if not await client.push():
            assert fresh
            assert damage != "emptied"
            assert await client.push()
        await client.pull()
    async with store.client(fresh=True) as another:
        await another.pull()


async def pull_what_is_there(client: Client) -> None:
    for content in (LAYER, LARGE, CONFIG):
        with suppress(BlobDamaged):  # the server closes the connection of an answer that has begun
            await client.http.get(at(f"blobs/{Digest.of(content)}", NAME))
    for reference in (LATEST, "old", Digest.of(REFERRER)):
        await client.http.get(at(f"manifests/{reference}", NAME))


# ---- what each request is told


BLOB, TAG = f"blobs/{Digest.of(LAYER)}", "manifests/latest"
EVIDENT = [
    ("layer", "emptied", BLOB),
    ("layer link", "emptied", BLOB),
    ("layer link", "garbage", BLOB),
    ("tag link", "emptied", TAG),
    ("tag link", "garbage", TAG),
    ("revision link", "emptied", TAG),
    ("index", "emptied", TAG),
    ("index", "cut", TAG),
    ("revision link", "emptied", f"manifests/{Digest.of(INDEX)}"),
    ("manifest", "emptied", f"manifests/{Digest.of(CHILD)}"),
    ("child's revision link", "garbage", f"manifests/{Digest.of(CHILD)}"),
    ("schema 1 payload", "cut", "manifests/old"),
]


@pytest.mark.parametrize(("kind", "damage", "path"), EVIDENT, ids=lambda row: str(row).replace(" ", "-"))
async def test_damage_is_absent_to_one_who_may_push_and_the_operator_s_fault_to_a_reader(
    store: Store, kind: str, damage: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    await store.damage(kind, damage)
    async with store.client(fresh=True) as client:
        assert (await client.http.head(at(path, NAME))).status_code == 404
        (record,) = caplog.records
        assert (record.levelname, record.exc_info) == ("ERROR", None)
        assert "amaged" in record.getMessage()
        caplog.clear()
        answer = await client.http.get(at(path, NAME))
        assert (answer.status_code, codes(answer)) == (500, ["UNKNOWN"])
        assert "docker/registry" not in answer.text
        assert caplog.records
    app = RegistryApp(Registry(store.driver), access=ReadOnly())
    async with client_of(app) as reader:
        assert (await reader.head(at(path, NAME))).status_code == 500
        assert (await reader.get(at(path, NAME))).status_code == 500


@pytest.mark.parametrize("damage", ["emptied", "cut"])
@FRESH
async def test_damaged_content_is_not_mounted_nor_taken_for_a_part_of_an_image(
    store: Store, damage: str, *, fresh: bool
) -> None:
    await store.damage("layer", damage)
    layer = Digest.of(LAYER)
    async with store.client(fresh=fresh) as client:
        if fresh and damage == "cut":  # no size is known before a manifest announces it
            assert await client.has(BLOB)
        refused = await client.http.put(at("manifests/again", NAME), content=CHILD)
        assert (refused.status_code, codes(refused)) == (400, ["MANIFEST_BLOB_UNKNOWN"])
        assert layer in refused.text
        if fresh and damage == "cut":
            sizes = f"has {len(LAYER) - 1} bytes in '{NAME}', the manifest announces {len(LAYER)}"
            assert sizes in refused.text
        assert not await client.has(BLOB)
        for source in (NAME, OTHER):
            begun = await client.http.post(at(f"blobs/uploads/?mount={layer}&from={source}", NAME))
            assert begun.status_code == 202
        await client.push_blob(LAYER, NAME)
        assert await client.has(BLOB)
        assert await client.put("again", CHILD, OCI_MANIFEST)


async def test_another_server_takes_what_was_healed_elsewhere(store: Store) -> None:
    await store.damage("layer", "cut")
    async with store.client(fresh=True) as one, store.client(fresh=True) as two:
        for client in (one, two):
            assert not await client.put("again", CHILD, OCI_MANIFEST)
            assert not await client.has(BLOB)
        await one.push_blob(LAYER)
        assert await two.has(BLOB)
        assert await two.put("again", CHILD, OCI_MANIFEST)


async def test_a_manifest_with_a_wrong_size_spoils_no_layer(store: Store) -> None:
    """The server that knows the right size goes on saying so; the other one doubts it in that repository only."""
    wrong = json.loads(CHILD)
    wrong["layers"][0]["size"] += 1
    document = json.dumps(wrong).encode()
    async with store.client(fresh=False) as client:
        assert not await client.put("wrong", document, OCI_MANIFEST)
        assert await client.has(BLOB)
    registry = Registry(store.driver)
    await registry.repository(OTHER).blobs.put(CONFIG)
    await registry.repository(OTHER).blobs.mount(Digest.of(LAYER), NAME)
    async with client_of(RegistryApp(registry)) as http:
        client = Client(http)
        assert not await client.put("wrong", document, OCI_MANIFEST)
        assert not await client.has(BLOB)
        assert (await http.head(at(BLOB, OTHER))).status_code == 200
        assert (await http.get(at(BLOB, NAME))).content == LAYER  # and by this read the size is known
        assert await client.has(BLOB)


async def test_a_range_of_emptied_content_is_not_the_client_s_fault(store: Store) -> None:
    await store.damage("layer", "emptied")
    async with store.client(fresh=True) as client:
        for wanted in ("bytes=2-5", "bytes=2-", "bytes=-5", "bytes=0-"):
            answer = await client.http.get(at(BLOB, NAME), headers={"range": wanted})
            assert (answer.status_code, codes(answer)) == (500, ["UNKNOWN"]), wanted


async def test_the_size_of_a_blob_is_judged_also_where_its_content_is_not(store: Store) -> None:
    await store.damage("large layer", "emptied")
    app = RegistryApp(Registry(store.driver), options=ServerOptions(verify_blobs=False))
    async with client_of(app) as client:
        answer = await client.get(at(f"blobs/{Digest.of(LARGE)}", NAME))
        assert (answer.status_code, codes(answer)) == (500, ["UNKNOWN"])


async def test_a_blob_of_no_bytes_is_whole(store: Store) -> None:
    async with store.client(fresh=True) as client:
        await client.push_blob(b"")
        assert await client.has(f"blobs/{Digest.of(b'')}")
        assert (await client.http.get(at(f"blobs/{Digest.of(b'')}", NAME))).content == b""
        assert await client.put("empty", image(CONFIG, b""), OCI_MANIFEST)


async def test_a_condition_on_a_damaged_revision_is_judged_as_of_one_that_is_not_there(store: Store) -> None:
    await store.damage("child's revision link", "emptied")
    path = at(f"manifests/{Digest.of(CHILD)}", NAME)
    async with store.client(fresh=True) as client:
        headers = {"if-none-match": "*", "content-type": OCI_MANIFEST}
        assert (await client.http.put(path, content=CHILD, headers=headers)).status_code == 201
        assert (await client.http.put(path, content=CHILD, headers=headers)).status_code == 412
        await store.damage("child's revision link", "emptied")
        gone = await client.http.delete(path, headers={"if-match": f'"{Digest.of(CHILD)}"'})
        assert gone.status_code == 202


@pytest.mark.parametrize("damage", ["emptied", "cut", "flipped"])
async def test_a_damaged_referrer_hides_no_other(store: Store, damage: str) -> None:
    second = about(CHILD, annotations={"number": "2"})
    async with store.client(fresh=True) as client:
        assert await client.put(Digest.of(second), second, OCI_MANIFEST)
        await store.damage("referrer", damage)
    async with store.client(fresh=True) as client:
        answer = await client.http.get(at(f"referrers/{Digest.of(CHILD)}", NAME))
        assert [each["digest"] for each in answer.json()["manifests"]] == [Digest.of(second)]
        assert not await client.has(f"manifests/{Digest.of(REFERRER)}")


@pytest.mark.parametrize("damage", [*DAMAGES, "gone"])
@FRESH
async def test_a_damaged_signature_hides_no_other_and_a_push_heals_it(
    store: Store, damage: str, caplog: pytest.LogCaptureFixture, *, fresh: bool
) -> None:
    if damage == "gone":  # as a collector leaves it that knows of no signatures
        await store.driver.delete(CURRENT.key(OBJECTS["signature"]))
    else:
        await store.damage("signature", damage)
    path, reading = at("manifests/old", NAME), RegistryApp(Registry(store.driver), access=ReadOnly())
    async with client_of(reading) as reader:
        answer = await reader.get(path)
        assert answer.status_code == 200
        (left,) = verify_document(answer.content).signatures
        assert Digest.of(left.blob) != SIGNATURE
        assert SIGNATURE in caplog.text
        assert (await reader.head(path)).headers["content-length"] == str(len(answer.content))
        told = await reader.get(at(f"_revstore/signatures/{Digest.of(OLD)}", NAME))
        assert told.status_code in {404, 500}  # a list of all signatures is not told by half
    async with store.client(fresh=fresh) as client:
        if fresh:
            assert not await client.has("manifests/old")
        assert await client.put("old", HOSTS[1], SIGNED_TYPE)
        assert await client.has("manifests/old")
        await client.pull()


async def test_a_signed_manifest_without_a_whole_signature_is_not_served_unsigned(store: Store) -> None:
    for document in HOSTS.values():
        (signature,) = verify_document(document).signatures
        await store.driver.put(CURRENT.key(Content(Digest.of(signature.blob))), b"")
    async with store.client(fresh=True) as client:
        assert (await client.http.get(at("manifests/old", NAME))).status_code == 500
        assert not await client.has("manifests/old")
        assert await client.put("old", signed(OLD, 3), SIGNED_TYPE)
        assert len((await client.http.get(at("manifests/old", NAME))).json()["signatures"]) == 1
