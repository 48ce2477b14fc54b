"""Several tags at once, deletion by comparison, and the facts for a HEAD."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from revstore_async import (
    ABSENT,
    Descriptor,
    Digest,
    Driver,
    Policy,
    Registry,
    Repository,
    Signatures,
    sign,
    tags_matching,
)
from revstore_async.driver import DriverWrapper, File
from revstore_async.errors import (
    InvalidArgument,
    InvalidDigest,
    InvalidTag,
    LinkDamaged,
    ManifestTagMismatch,
    ManifestUnknown,
    TagChanged,
    TagImmutable,
    TagUnknown,
    Unsupported,
    VerificationFailed,
)
from revstore_async.formats.descriptors import DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED, OCTET_STREAM
from revstore_async.formats.names import Tag
from revstore_async.layout import CURRENT, Layout, RevisionLink, RevisionMediaType, TagCurrent
from revstore_drivers.memory import MemoryDriver
from tests.parts.documents import DOCKER_SCHEMA2, OCI_MANIFEST, image, key, schema1, signed

CONFIG, LAYER = b"{}", b"layer"
IMAGE, OTHER = image(CONFIG, LAYER), image(CONFIG)
A, B = Digest.of(IMAGE), Digest.of(OTHER)
PAYLOAD = schema1(Digest.of(LAYER))


@pytest.fixture
async def hello(repository: Repository) -> Repository:
    for content in (CONFIG, LAYER):
        await repository.blobs.put(content)
    return repository


async def tags(repository: Repository) -> dict[str, str]:
    return {info.tag: await repository.tags.resolve(info.tag) async for info in repository.tags}


# ---- several tags


async def test_several_tags_are_set_by_one_put(hello: Repository) -> None:
    await hello.manifests.put(OTHER, tag="moved")
    stored = await hello.manifests.put(IMAGE, tag="first", tags=["moved", "new", "first", "new"])
    assert stored.tags == ("first", "moved", "new")
    assert stored.tag == "first"
    assert await tags(hello) == {"first": A, "moved": A, "new": A}
    assert [event.digest for event in await hello.tags.history("moved")] == [B, A]
    only = await hello.manifests.put(OTHER, tags=[f"t{number}" for number in range(12)])
    assert (only.tag, len(only.tags)) == ("t0", 12)
    assert list((await tags(hello)).values()).count(B) == 12
    none = await hello.manifests.put(OTHER)
    assert (none.tag, none.tags) == (None, ())


async def test_all_tags_are_judged_before_any_is_set(driver: Driver, hello: Repository) -> None:
    policy = Policy(immutable=tags_matching("v*"))
    strict = Registry(driver, policy=policy).repository(hello.name)
    await strict.manifests.put(IMAGE, tags=["v1", "latest"])
    before = await tags(hello)
    with pytest.raises(TagImmutable) as refused:
        await strict.manifests.put(OTHER, tags=["latest", "v1", "other"])
    assert refused.value.tag == "v1"
    with pytest.raises(TagChanged) as changed:
        await hello.manifests.put(OTHER, tags=["latest", "other"], expected=A)
    assert (changed.value.tag, changed.value.actual) == ("other", None)
    with pytest.raises(TagChanged):
        await hello.manifests.put(OTHER, tags=["other", "latest"], expected=ABSENT)
    with pytest.raises(InvalidTag):
        await hello.manifests.put(OTHER, tags=["other", "../other"])
    with pytest.raises(InvalidArgument):
        await hello.manifests.put(OTHER, tags=[], expected=ABSENT)
    assert await tags(hello) == before
    assert not await hello.manifests.exists(B)
    await hello.manifests.put(OTHER, tags=["latest"], expected=A)
    await hello.manifests.put(OTHER, tags=["one", "two"], expected=ABSENT)


async def test_a_signed_manifest_takes_only_the_tag_that_it_names(hello: Repository) -> None:
    with pytest.raises(VerificationFailed) as refused:
        await hello.manifests.put(signed(PAYLOAD, 0), tags=["other", "latest", "stable"])
    assert [(type(error), error.expected) for error in refused.value.errors] == [
        (ManifestTagMismatch, "other"),
        (ManifestTagMismatch, "stable"),
    ]
    assert await tags(hello) == {}
    stored = await hello.manifests.put(signed(PAYLOAD, 0), tag="latest", tags=["latest"])
    assert stored.tags == ("latest",)


async def test_puts_of_several_tags_at_once_leave_each_at_one_of_them(hello: Repository) -> None:
    names = ["a", "b", "c"]
    documents = [image(CONFIG, annotations={"n": str(number)}) for number in range(6)]
    await asyncio.gather(*(hello.manifests.put(document, tags=names) for document in documents))
    found = await tags(hello)
    assert list(found) == names
    assert set(found.values()) <= set(map(Digest.of, documents))


# ---- deletion by comparison


async def test_a_tag_is_deleted_only_as_expected(hello: Repository, driver: Driver) -> None:
    await hello.manifests.put(IMAGE, tag="latest")
    if not driver.capabilities.conditional_put:
        for expected in (A, B, ABSENT):
            with pytest.raises(Unsupported):
                await hello.manifests.delete("latest", expected=expected)
        assert await tags(hello) == {"latest": A}
        return
    for expected in (B, ABSENT):
        with pytest.raises(TagChanged) as changed:
            await hello.manifests.delete("latest", expected=expected)
        assert (changed.value.expected, changed.value.actual) == (B if expected == B else None, A)
    assert await tags(hello) == {"latest": A}
    await hello.manifests.delete("latest", expected=A)
    assert await tags(hello) == {}
    assert [event.digest for event in await hello.tags.history("latest")] == [A, None]
    for gone in (A, ABSENT):
        with pytest.raises(TagUnknown):
            await hello.tags.delete("latest", expected=gone)
    with pytest.raises(InvalidDigest):
        await hello.tags.delete("latest", expected="rubbish")


async def test_a_tag_that_cant_be_read_is_not_as_expected() -> None:
    async with MemoryDriver() as driver:
        hello = Registry(driver).repository("library/hello")
        await hello.manifests.put(OTHER, tag="latest", check_layers=False)
        link = CURRENT.key(TagCurrent(hello.name, Tag("latest")))
        await driver.put(link, b"rubbish")
        with pytest.raises(LinkDamaged):
            await hello.tags.delete("latest", expected=B)
        await hello.tags.delete("latest")


async def test_of_a_deletion_and_a_change_that_expect_the_same_one_succeeds(
    hello: Repository, driver: Driver
) -> None:
    if not driver.capabilities.conditional_put:
        pytest.skip("the store lacks conditional writes")
    await hello.manifests.put(OTHER)
    for _ in range(10):
        await hello.manifests.put(IMAGE, tag="latest")
        outcomes = await asyncio.gather(
            hello.manifests.delete("latest", expected=A),
            hello.tags.set("latest", B, expected=A),
            hello.manifests.delete("latest", expected=A),
            return_exceptions=True,
        )
        assert sum(outcome is None for outcome in outcomes) == 1
        assert all(isinstance(outcome, TagChanged | TagUnknown | None) for outcome in outcomes)
        assert await tags(hello) == ({"latest": B} if outcomes[1] is None else {})


async def test_a_digest_can_only_be_expected_to_be_itself(hello: Repository) -> None:
    await hello.manifests.put(IMAGE, tag="latest")
    for expected in (B, ABSENT):
        with pytest.raises(InvalidArgument):
            await hello.manifests.delete(A, expected=expected)
    assert await tags(hello) == {"latest": A}
    await hello.manifests.delete(A, expected=A)
    with pytest.raises(ManifestUnknown):
        await hello.manifests.delete(A, expected=A)


async def test_a_tag_that_was_deleted_is_not_listed(hello: Repository) -> None:
    await hello.manifests.put(IMAGE, tags=["a", "b", "b-1", "c"])
    await hello.manifests.delete("b")
    assert [info.tag for info in (await hello.tags.list()).tags] == ["a", "b-1", "c"]
    page = await hello.tags.list(limit=1, last="a")
    assert ([info.tag for info in page.tags], page.next) == (["b-1"], "b-1")
    await hello.manifests.delete(A)
    assert (await hello.tags.list()).tags == ()
    assert (await hello.tags.list(limit=0)).next is None


# ---- what a HEAD needs


async def test_a_head_describes_the_document_of_a_get(hello: Repository, driver: Driver) -> None:
    silent, unknown = image(CONFIG, LAYER, media_type=None), b'{"some": "thing"}'
    await hello.manifests.put(IMAGE, tag="image")
    await hello.revisions.add_signatures(A, [sign(IMAGE, key(0))])
    await hello.manifests.put(silent, tag="silent", media_type=DOCKER_SCHEMA2)
    await hello.manifests.put(unknown, tag="unknown", media_type="application/vnd.example+json")
    await hello.manifests.put(PAYLOAD, tag="latest")
    unsigned = await hello.manifests.stat("latest")
    assert unsigned == Descriptor(DOCKER_SCHEMA1, Digest.of(PAYLOAD), len(PAYLOAD))
    await hello.manifests.put(signed(PAYLOAD, 0, 1, 2), tag="latest")
    kinds = set()
    for tag in ("image", "silent", "unknown", "latest"):
        served = await hello.manifests.get(tag)
        for reference in (tag, served.digest):
            told = await hello.manifests.stat(reference)
            assert told == Descriptor(served.media_type, served.digest, len(served.content))
        kinds.add(served.media_type)
    assert kinds == {OCI_MANIFEST, DOCKER_SCHEMA2, "application/vnd.example+json", DOCKER_SCHEMA1_SIGNED}
    await driver.delete(CURRENT.key(RevisionMediaType(hello.name, Digest.of(unknown))))
    assert (await hello.manifests.stat("unknown")).media_type == OCTET_STREAM


async def test_a_head_of_a_missing_manifest_is_unknown(hello: Repository) -> None:
    with pytest.raises(TagUnknown):
        await hello.manifests.stat("latest")
    with pytest.raises(ManifestUnknown):
        await hello.manifests.stat(A)
    for reference, error in [("../latest", InvalidTag), ("sha256:0", InvalidDigest)]:
        with pytest.raises(error):
            await hello.manifests.stat(reference)


# ---- a tag that moves while it is read


class _MovedOnceRead(DriverWrapper):
    """Lets another client work to its end just after a tag's link was read, once."""

    def __init__(self, inner: Driver, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__(inner)
        self._meanwhile: Callable[[], Awaitable[object]] | None = meanwhile

    async def get(self, key: str, *, limit: int | None = None) -> File:
        found = await super().get(key, limit=limit)
        if key.endswith("/current/link") and (meanwhile := self._meanwhile):
            self._meanwhile = None
            await meanwhile()
        return found


@pytest.mark.parametrize("operation", ["get", "serve", "stat", "exists"])
async def test_a_tag_that_always_pointed_at_something_is_found(
    hello: Repository, driver: Driver, operation: str
) -> None:
    await hello.manifests.put(IMAGE, tag="latest")

    async def move_and_delete_what_was_left() -> None:
        await hello.manifests.put(OTHER, tag="latest")
        await hello.manifests.delete(A)

    slow = Registry(_MovedOnceRead(driver, move_and_delete_what_was_left)).repository(hello.name).manifests
    if operation == "exists":
        assert await slow.exists("latest")
    elif operation == "stat":
        assert (await slow.stat("latest")).digest == B
    else:
        assert (
            await slow.get("latest", signatures=Signatures.ALL if operation == "get" else Signatures.SERVED)
        ).digest == B


async def test_a_tag_of_a_revision_that_is_gone_is_told_so(hello: Repository, driver: Driver) -> None:
    await hello.manifests.put(IMAGE, tag="latest")
    await driver.delete(Layout().key(RevisionLink(hello.name, A)))
    assert not await hello.manifests.exists("latest")
    with pytest.raises(ManifestUnknown):
        await hello.manifests.get("latest")
