"""Writers link, tag and rescue while a run of the collector is under way: all that they need stays."""

import asyncio

from revstore_async import Digest, Registry
from revstore_async.formats.names import RepositoryName, Tag
from revstore_async.layout import (
    CURRENT,
    BlobData,
    LayerLink,
    RevisionLink,
    SignatureLink,
    TagCurrent,
)
from revstore_async.runs.state import Phase, State
from tests.parts.documents import index, schema1, signed
from tests.parts.online_runs import (
    NAME,
    StagedDriver,
    collected,
    on_virtual_clock,
    pushed,
    ready,
)


def keys(driver: StagedDriver, part: str) -> list[str]:
    return [key for key in driver.store.objects if part in key]


@on_virtual_clock
async def test_links_that_are_written_before_the_second_listing_keep_what_they_need(
    driver: StagedDriver, registry: Registry
) -> None:
    """The writer kept an idle state in memory: it tells of its links by the listing alone."""
    repository = registry.repository(NAME)
    child = await pushed(repository, "a child", "old-child")
    other = registry.repository("other")
    digest = await pushed(other, "elsewhere", "old")
    await ready(registry)
    document = index((await repository.manifests.get(child)).content)

    async def push(_: State) -> None:
        # by the keys, as the writer goes by an idle state
        await put_manifest(driver, NAME, document)
        await driver.put(CURRENT.key(TagCurrent(NAME, Tag("new"))), Digest.of(document).encode())
        await driver.put(CURRENT.key(TagCurrent(RepositoryName("other"), Tag("new"))), digest.encode())

    driver.acts[Phase.CONDEMNED] = push
    found = await collected(registry)
    assert found.numbers.tags == 2  # the tags themselves expire
    assert found.numbers.blobs == found.numbers.revisions == 0
    assert (await repository.manifests.get("new")).digest == Digest.of(document)
    assert (await repository.manifests.get(child)).digest == child
    assert await repository.blobs.get(Digest.of(b"a child")) == b"a child"
    assert await other.blobs.get(Digest.of(b"elsewhere")) == b"elsewhere"


async def put_manifest(driver: StagedDriver, name: RepositoryName, document: bytes) -> None:
    digest = Digest.of(document)
    await driver.put(CURRENT.key(BlobData(digest)), document)
    await driver.put(CURRENT.key(RevisionLink(name, digest)), digest.encode())


@on_virtual_clock
async def test_a_tag_that_is_set_anew_stays_with_its_index(driver: StagedDriver, registry: Registry) -> None:
    repository = registry.repository(NAME)
    digest = await pushed(repository, "goes", "old")
    await ready(registry)

    async def set_it(_: State) -> None:
        await driver.put(CURRENT.key(TagCurrent(NAME, Tag("old"))), digest.encode())

    driver.acts[Phase.CONDEMNED] = set_it
    found = await collected(registry)
    assert found.numbers.keys == 0
    assert sum(found.spared.values()) >= 5
    assert (await repository.manifests.get("old")).digest == digest
    assert keys(driver, "_manifests/tags/old/index/")


@on_virtual_clock
async def test_a_layer_link_that_is_renewed_keeps_its_content(
    driver: StagedDriver, registry: Registry
) -> None:
    repository = registry.repository(NAME)
    await repository.blobs.put(b"uploaded again")
    await ready(registry)
    layer = Digest.of(b"uploaded again")

    async def renew(_: State) -> None:
        await driver.put(CURRENT.key(LayerLink(NAME, layer)), layer.encode())

    driver.acts[Phase.CONDEMNED] = renew
    assert (await collected(registry)).numbers.keys == 0
    assert await repository.blobs.get(layer) == b"uploaded again"


@on_virtual_clock
async def test_a_rescued_tag_stays_with_all_that_it_refers_to(
    driver: StagedDriver, registry: Registry
) -> None:
    repository = registry.repository(NAME)
    child = await pushed(repository, "a child")
    whole = (await repository.manifests.put(index((await repository.manifests.get(child)).content))).digest
    signature = await pushed(
        repository, "a signature", subject={"mediaType": "a/b", "digest": whole, "size": 1}
    )
    await repository.tags.set("old", whole)
    await pushed(repository, "goes", "old-2")
    await ready(registry)

    async def rescue(state: State) -> None:
        await driver.rescue(state, TagCurrent(NAME, Tag("old")))

    driver.acts[Phase.CONDEMNED] = rescue
    found = await collected(registry)
    assert (found.numbers.tags, found.numbers.revisions, found.numbers.blobs) == (1, 1, 2)
    assert (await repository.manifests.get("old")).digest == whole
    for digest in (child, signature):
        assert (await repository.manifests.get(digest)).digest == digest
    for text in (b"a child", b"a signature"):
        assert await repository.blobs.get(Digest.of(text)) == text
    assert keys(driver, "_manifests/tags/old/index/")


@on_virtual_clock
async def test_a_rescued_revision_and_a_rescued_layer_stay(driver: StagedDriver, registry: Registry) -> None:
    repository = registry.repository(NAME)
    digest = await pushed(repository, "stays", "old")
    await pushed(repository, "goes", "old-2")
    await repository.blobs.put(b"a layer")
    await ready(registry)

    async def rescue(state: State) -> None:
        link = LayerLink(NAME, Digest.of(b"a layer"))
        await driver.rescue(state, RevisionLink(NAME, digest), link, BlobData(link.digest))

    driver.acts[Phase.CONDEMNED] = rescue
    found = await collected(registry)
    assert (found.numbers.tags, found.numbers.revisions) == (2, 1)
    assert (await repository.manifests.get(digest)).digest == digest
    for text in (b"stays", b"a layer"):
        assert await repository.blobs.get(Digest.of(text)) == text
    assert not await repository.blobs.exists(Digest.of(b"goes"))


@on_virtual_clock
async def test_a_rescue_after_the_seal_is_not_one(driver: StagedDriver, registry: Registry) -> None:
    """The writer asks for the state again after its rescue, and begins anew."""
    repository = registry.repository(NAME)
    digest = await pushed(repository, "goes", "old")
    await ready(registry)

    async def rescue(state: State) -> None:
        await driver.rescue(state, RevisionLink(NAME, digest))

    driver.acts[Phase.SWEEPING] = rescue
    assert (await collected(registry)).numbers.revisions == 1


@on_virtual_clock
async def test_a_signed_manifest_is_rescued_with_its_signatures(
    driver: StagedDriver, registry: Registry
) -> None:
    repository = registry.repository(NAME)
    layer = (await repository.blobs.put(b"a layer")).digest
    digest = (await repository.manifests.put(signed(schema1(layer, tag="old"), 1, 2), tags=["old"])).digest
    await ready(registry)

    async def rescue(state: State) -> None:
        await driver.rescue(state, RevisionLink(NAME, digest))

    driver.acts[Phase.CONDEMNED] = rescue
    assert (await collected(registry)).numbers.blobs == 0
    assert len((await repository.manifests.get(digest)).signatures) == 2


@on_virtual_clock
async def test_an_orphan_signature_link_goes_unless_its_revision_is_rescued(
    driver: StagedDriver, registry: Registry
) -> None:
    """A killed run, or a killed writer, left it. A writer that puts the revision relies on its key."""
    repository = registry.repository(NAME)
    layer = (await repository.blobs.put(b"a layer")).digest
    digest = (await repository.manifests.put(signed(schema1(layer, tag="v1"), 1), tags=["v1"])).digest
    for each in (RevisionLink(NAME, digest), TagCurrent(NAME, Tag("v1"))):
        await driver.delete(CURRENT.key(each))
    await ready(registry)

    async def rescue(state: State) -> None:
        await driver.rescue(state, RevisionLink(NAME, digest))

    driver.acts[Phase.CONDEMNED] = rescue
    await collected(registry)
    (link,) = keys(driver, "/signatures/")
    found = CURRENT.parse(link)
    assert isinstance(found, SignatureLink)
    assert CURRENT.key(BlobData(found.digest)) in driver.store.objects
    await asyncio.sleep(60)
    await collected(registry)
    assert not keys(driver, "/signatures/")
    assert CURRENT.key(BlobData(found.digest)) not in driver.store.objects


@on_virtual_clock
async def test_a_new_manifest_that_can_not_be_read_keeps_its_repository(
    driver: StagedDriver, registry: Registry
) -> None:
    repository = registry.repository(NAME)
    await pushed(repository, "might hang on it", "old")
    await pushed(registry.repository("other"), "goes", "old")
    await ready(registry)

    async def push(_: State) -> None:
        await put_manifest(driver, NAME, b"no manifest")

    driver.acts[Phase.CONDEMNED] = push
    found = await collected(registry)
    assert (found.numbers.tags, found.numbers.revisions) == (2, 1)
    assert await repository.blobs.get(Digest.of(b"might hang on it")) == b"might hang on it"
    assert not await registry.repository("other").blobs.exists(Digest.of(b"goes"))
