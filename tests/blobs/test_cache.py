"""Small content is kept in memory: never instead of a link, a tag, or the question whether something is stored."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revstore_async import CURRENT, Digest, Driver, Policy, Registry, Repository, Signatures, sign
from revstore_async.blobs.cache import CACHE_SIZE, ENTRY_LIMIT, Cache
from revstore_async.errors import (
    BlobDamaged,
    BlobUnknown,
    InvalidArgument,
    LinkDangling,
    ManifestUnknown,
    ObjectTooLarge,
    TagUnknown,
    VerificationFailed,
)
from revstore_async.formats.descriptors import DOCKER_SCHEMA1_SIGNED, OCI_MANIFEST
from revstore_async.formats.names import RepositoryName, Tag
from revstore_async.layout import RevisionLink, RevisionMediaType, TagCurrent
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import LatencyDriver, TracingDriver
from tests.parts.documents import NAME, image, key, schema1, signed

CONFIG = b"{}"
IMAGE = image(CONFIG)
DIGEST = Digest.of(IMAGE)
PAYLOAD = schema1(Digest.of(CONFIG))
DIGESTS = [Digest.of(bytes([number])) for number in range(8)]


@pytest.fixture
def tracing(driver: Driver) -> TracingDriver:
    """The store, counted."""
    return TracingDriver(driver)


@pytest.fixture
async def pulled(tracing: TracingDriver) -> Registry:
    """A registry that has read an image, and a schema 1 manifest with three signatures."""
    registry = Registry(tracing)
    repository = registry.repository(NAME)
    await repository.blobs.put(CONFIG)
    await repository.manifests.put(IMAGE, tag="image")
    await repository.manifests.put(signed(PAYLOAD, 0, 1, 2), tag="latest")
    for tag in ("image", "latest"):
        await repository.manifests.get(tag)
    tracing.reset()
    return registry


# ---- the cache


operations = st.lists(
    st.tuples(st.sampled_from(DIGESTS), st.integers(0, 3000), st.sampled_from(["keep", "find"])), max_size=60
)


@given(operations, st.integers(0, 8000))
def test_it_holds_no_more_than_its_size_and_forgets_the_least_recently_used(operations, size):
    cache = Cache(size)
    model: dict[Digest, bytes] = {}  # in the order of use
    overhead = 400
    for digest, length, what in operations:
        if what == "find":
            found = cache.find(bytes, digest)
            assert found is model.get(digest)
            if found is not None:
                model[digest] = model.pop(digest)
        elif length + overhead <= size:
            content = bytes(length)
            cache.keep(digest, content, length)
            model.pop(digest, None)
            model[digest] = content
            while sum(len(each) + overhead for each in model.values()) > size:
                del model[next(iter(model))]
        else:
            cache.keep(digest, bytes(length), length)
        assert cache.used == sum(len(each) + overhead for each in model.values()) <= size


def test_a_value_computed_from_content_lies_beside_it():
    cache = Cache(10_000)
    cache.keep(DIGEST, IMAGE, len(IMAGE))
    cache.keep(DIGEST, "read")
    assert cache.find(bytes, DIGEST) is IMAGE
    assert cache.find(str, DIGEST) == "read"
    assert cache.find(int, DIGEST) is None
    cache.clear()
    assert (cache.find(bytes, DIGEST), cache.used) == (None, 0)


def test_a_forgotten_value_gives_its_room_back():
    cache = Cache(CACHE_SIZE)
    cache.keep("name", b"content", 7)
    cache.keep("name", "another kind", 12)
    cache.forget(bytes, "name")
    cache.forget(bytes, "name")
    assert cache.find(bytes, "name") is None
    assert cache.find(str, "name") == "another kind"
    cache.forget(str, "name")
    assert cache.used == 0


def test_content_that_is_not_small_is_not_kept():
    cache = Cache(CACHE_SIZE)
    for digest, size in zip(DIGESTS, (ENTRY_LIMIT, ENTRY_LIMIT + 1), strict=False):
        cache.keep(digest, b"", size)
    assert [cache.find(bytes, digest) for digest in DIGESTS[:2]] == [b"", None]


def test_a_negative_size_is_refused():
    with pytest.raises(InvalidArgument):
        Registry(MemoryDriver(), cache_size=-1)


# ---- what is asked of the store all the same


def asked(tracing: TracingDriver) -> list[tuple[str, str]]:
    """Return the requests since the last call, in the order of the keys."""
    made = sorted((request.key, request.method) for request in tracing.requests)
    tracing.reset()
    return made


TAG = CURRENT.key(TagCurrent(RepositoryName(NAME), Tag("image")))
LINK = CURRENT.key(RevisionLink(RepositoryName(NAME), DIGEST))
SIGNATURES = CURRENT.signatures_of(RepositoryName(NAME), DIGEST)


async def test_a_pull_by_tag_asks_for_the_tag_and_the_link(pulled: Registry, tracing: TracingDriver):
    manifests = pulled.repository(NAME).manifests
    assert (await manifests.get("image", signatures=Signatures.SERVED)).content == IMAGE
    assert asked(tracing) == [(LINK, "get"), (TAG, "get")]
    assert (await manifests.get("image")).content == IMAGE
    assert asked(tracing) == sorted([(LINK, "get"), (SIGNATURES, "list_all"), (TAG, "get")])


async def test_without_a_cache_content_is_asked_for_but_its_kind_is_known(tracing: TracingDriver, pulled):
    registry = Registry(tracing, cache_size=0)
    manifests = registry.repository(NAME).manifests
    blob = registry.blobs.path(DIGEST)
    expected = sorted([(LINK, "get"), (blob, "get"), (SIGNATURES, "list_all")])
    assert (await manifests.get(DIGEST, signatures=Signatures.SERVED)).content == IMAGE
    assert asked(tracing) == expected, "nobody knows yet that it isn't schema 1, so all is asked together"
    assert (await manifests.get(DIGEST, signatures=Signatures.SERVED)).content == IMAGE
    assert asked(tracing) == sorted([(LINK, "get"), (blob, "get")])
    assert (await manifests.get(DIGEST)).content == IMAGE
    assert asked(tracing) == expected


async def test_a_look_at_a_manifest_asks_the_store_whether_it_is_there(
    pulled: Registry, tracing: TracingDriver
):
    found = await pulled.repository(NAME).manifests.stat(DIGEST)
    assert (found.media_type, found.digest, found.size) == (OCI_MANIFEST, DIGEST, len(IMAGE))
    assert asked(tracing) == sorted([(LINK, "get"), (pulled.blobs.path(DIGEST), "stat")])


async def test_signatures_are_listed_each_time_and_read_once(pulled: Registry, tracing: TracingDriver):
    repository = pulled.repository(NAME)
    digest = Digest.of(PAYLOAD)
    link = CURRENT.key(RevisionLink(repository.name, digest))
    folder = CURRENT.signatures_of(repository.name, digest)
    for signatures in (Signatures.ALL, Signatures.SERVED):
        assert len((await repository.manifests.get(digest, signatures=signatures)).signatures) == 3
        assert asked(tracing) == sorted([(link, "get"), (folder, "list_all")])

    another = Registry(tracing).repository(NAME)
    await another.revisions.add_signatures(digest, [sign(PAYLOAD, key(3))])
    served = await repository.manifests.get(digest, signatures=Signatures.SERVED)
    assert served == await Registry(tracing).repository(NAME).manifests.get(digest)
    assert len(served.signatures) == 4


async def test_a_closed_registry_has_forgotten_everything(tmp_path):
    registry = Registry.open((tmp_path / "store").as_uri())
    async with registry:
        digest = (await registry.blobs.put(IMAGE)).digest
        assert await registry.blobs.get(digest) == IMAGE
        assert registry.blobs.kept(digest) == IMAGE
    assert registry.blobs.kept(digest) is None


# ---- what it does not decide


async def test_content_in_memory_gives_no_access(pulled: Registry):
    other = pulled.repository("library/other")
    with pytest.raises(ManifestUnknown):
        await other.manifests.get(DIGEST)
    with pytest.raises(ManifestUnknown):
        await other.manifests.stat(DIGEST)
    assert await pulled.repository(NAME).blobs.get(Digest.of(CONFIG)) == CONFIG
    with pytest.raises(BlobUnknown):
        await other.blobs.get(Digest.of(CONFIG))


async def test_a_deleted_manifest_in_memory_is_not_served(pulled: Registry, driver: Driver):
    await Registry(driver).repository(NAME).manifests.delete(DIGEST)
    for signatures in (Signatures.ALL, Signatures.SERVED):
        with pytest.raises(ManifestUnknown):
            await pulled.repository(NAME).manifests.get(DIGEST, signatures=signatures)
    with pytest.raises(ManifestUnknown):
        await pulled.repository(NAME).manifests.stat(DIGEST)


async def test_content_that_the_store_has_lost_is_served_but_not_relied_on(pulled: Registry, driver: Driver):
    repository = pulled.repository(NAME)
    await driver.delete(pulled.blobs.path(DIGEST))
    assert (await repository.manifests.get("image")).content == IMAGE
    assert not await repository.manifests.exists("image")
    assert await pulled.blobs.stored(DIGEST) is None
    with pytest.raises(LinkDangling):
        await repository.manifests.stat("image")

    await repository.blobs.get(Digest.of(CONFIG))
    await driver.delete(pulled.blobs.path(Digest.of(CONFIG)))
    with pytest.raises(VerificationFailed):
        await repository.manifests.put(IMAGE)


async def test_damaged_content_is_not_kept(repository: Repository, registry: Registry, driver: Driver):
    digest = (await repository.blobs.put(IMAGE)).digest
    await driver.put(registry.blobs.path(digest), b"damaged")
    with pytest.raises(BlobDamaged):
        await repository.blobs.get(digest)
    await repository.blobs.put(IMAGE)
    assert await repository.blobs.get(digest) == IMAGE
    await driver.put(registry.blobs.path(digest), b"damaged")
    assert await repository.blobs.get(digest) == IMAGE


async def test_a_look_at_a_manifest_of_another_size_reads_it(driver: Driver):
    registry = Registry(driver, cache_size=0)
    repository = registry.repository(NAME)
    await repository.revisions.put(IMAGE)
    assert (await repository.manifests.stat(DIGEST)).size == len(IMAGE)
    await driver.put(registry.blobs.path(DIGEST), IMAGE[:-1])
    with pytest.raises(BlobDamaged):
        await repository.manifests.stat(DIGEST)


async def test_a_limit_holds_for_content_in_memory(registry: Registry):
    digest = (await registry.blobs.put(b"four")).digest
    assert await registry.blobs.get(digest, limit=4) == b"four"
    with pytest.raises(ObjectTooLarge) as refused:
        await registry.blobs.get(digest, limit=3)
    assert (refused.value.key, refused.value.size) == (registry.blobs.path(digest), 4)


# ---- what is served without the signatures


async def test_the_served_document_is_the_same_with_all_signatures_and_without():
    """Each kind, read for the first time and again."""
    async with Registry(MemoryDriver(), policy=Policy(check_layers=False)) as registry:
        repository = registry.repository(NAME)
        silent, oci = image(CONFIG, media_type=None), image(CONFIG, b"layer")
        for document in (IMAGE, silent, signed(PAYLOAD, 0, 1), schema1(Digest.of(IMAGE))):
            await repository.manifests.put(document)
        await repository.revisions.put(oci, [sign(oci, key(host)) for host in range(3)])
        digests = [each.digest async for each in repository.revisions.enumerate()]
        assert len(digests) == 5
        for digest in digests:
            fresh = Registry(registry.driver).repository(NAME).manifests
            whole = await registry.repository(NAME).manifests.get(digest)
            for wanted in (Signatures.UNSIGNED, Signatures.SERVED, Signatures.UNSIGNED):
                served = await fresh.get(digest, signatures=wanted)
                merged = served.media_type == DOCKER_SCHEMA1_SIGNED
                assert served == (whole if merged else replace(whole, signatures=()))
                described = await fresh.stat(digest)
                assert (described.media_type, described.size) == (whole.media_type, len(whole.content))


async def test_a_manifest_that_is_schema_1_only_by_its_kept_type_has_its_signatures():
    """Nothing in it tells; so it is found out when the kept media type is read."""
    silent = b'{\n   "name": "nothing"\n}'
    async with Registry(MemoryDriver()) as registry:
        repository = registry.repository(NAME)
        digest = await repository.revisions.put(
            silent, [sign(silent, key(0))], media_type=DOCKER_SCHEMA1_SIGNED
        )
        assert await registry.driver.get(CURRENT.key(RevisionMediaType(repository.name, digest)))
        whole = await repository.manifests.get(digest)
        assert len(whole.signatures) == 1
        for _ in range(2):
            assert await repository.manifests.get(digest, signatures=Signatures.SERVED) == whole
            assert (await repository.manifests.stat(digest)).size == len(whole.content)


# ---- what a tag pointed at when it was last asked for


def cost_of_pulls(work):
    """Run on a virtual clock where each request takes 1; return how long it took."""

    async def measured() -> float:
        memory = MemoryDriver()
        pusher = Registry(memory).repository(NAME)
        async with Registry(LatencyDriver(memory, 1.0)) as registry:
            await pusher.blobs.put(CONFIG)
            await pusher.manifests.put(IMAGE, tag="image")
            repository = registry.repository(NAME)
            for _ in range(2):  # the second time it is known what is behind the tag
                assert (
                    await repository.manifests.get("image", signatures=Signatures.SERVED)
                ).content == IMAGE
            start = asyncio.get_running_loop().time()
            await work(repository, pusher)
            return asyncio.get_running_loop().time() - start

    return run_on_virtual_clock(measured())


def test_a_tag_that_did_not_move_is_one_round_trip():
    async def pull(repository, _):
        assert (await repository.manifests.get("image", signatures=Signatures.SERVED)).content == IMAGE

    async def head(repository, _):
        assert (await repository.manifests.stat("image")).digest == DIGEST

    assert (cost_of_pulls(pull), cost_of_pulls(head)) == (1, 1)


def test_a_moved_tag_costs_no_more_than_a_first_pull():
    other = image(CONFIG, annotations={"other": "image"})

    async def pull(repository, pusher):
        await pusher.manifests.put(other, tag="image")
        assert (await repository.manifests.get("image", signatures=Signatures.SERVED)).content == other

    assert cost_of_pulls(pull) == 2


def test_a_tag_that_was_deleted_is_unknown_though_its_revision_is_there():
    async def pull(repository, pusher):
        await pusher.manifests.delete("image")
        with pytest.raises(TagUnknown):
            await repository.manifests.get("image", signatures=Signatures.SERVED)
        assert (await repository.manifests.get(DIGEST)).content == IMAGE

    assert cost_of_pulls(pull) == 2


def test_a_revision_that_was_stored_between_the_guess_and_the_tag_is_found():
    """The guess looks before the put, the tag after it: that the guess failed says nothing of the tag."""

    async def pulled() -> bytes:
        memory = MemoryDriver()
        waits = [1.0] * 4
        async with Registry(LatencyDriver(memory, lambda: waits.pop(0) if waits else 1.0)) as registry:
            pusher, repository = Registry(memory).repository(NAME), registry.repository(NAME)
            await pusher.blobs.put(CONFIG)
            await pusher.manifests.put(IMAGE, tag="image")
            await repository.manifests.get("image", signatures=Signatures.SERVED)
            await pusher.manifests.delete(DIGEST)
            waits[:] = [3.0, 1.0]  # the tag, the guess
            pull = asyncio.ensure_future(repository.manifests.get("image", signatures=Signatures.SERVED))
            await asyncio.sleep(2)
            assert not waits
            await pusher.manifests.put(IMAGE, tag="image")
            return (await pull).content

    assert run_on_virtual_clock(pulled()) == IMAGE
