"""A program frees the space of a store while clients push."""

import asyncio
from datetime import timedelta

import pytest

from revstore_async import Digest, Driver, Registry
from revstore_async.concurrency import pauses
from revstore_async.errors import CollectorNotEnabled, InvalidArgument, ManifestUnknown, TagUnknown
from revstore_async.formats.names import RepositoryName, Tag
from revstore_async.layout import (
    CURRENT,
    BlobData,
    LayerLink,
    Rescue,
    RevisionLink,
    RunObject,
    SignatureLink,
    StoredObject,
    TagCurrent,
    TagIndex,
)
from revstore_async.runs.lists import HashList, key_hash
from revstore_async.runs.state import Phase, State
from revstore_async.tags.current import new_delete_marker
from tests.parts.documents import index, schema1, signed
from tests.parts.online_runs import (
    EXPIRING,
    STATE,
    StagedDriver,
    collected,
    on_virtual_clock,
    pushed,
    ready,
)

NAME = RepositoryName("library/hello")


def keys(driver: StagedDriver, part: str) -> list[str]:
    return [key for key in driver.store.objects if part in key]


@on_virtual_clock
async def test_a_run_frees_what_hangs_on_expired_tags(driver: StagedDriver, registry: Registry) -> None:
    repository = registry.repository(NAME)
    stays = await pushed(repository, "stays", "v1")
    goes = await pushed(repository, "goes", "old-1")
    await ready(registry)
    found = await collected(registry)
    assert (found.numbers.tags, found.numbers.revisions, found.numbers.blobs) == (1, 1, 2)
    assert (found.spared, found.left) == ({}, 0)
    assert driver.phases == [Phase.IDLE, Phase.CONDEMNED, Phase.SEALED, Phase.SWEEPING, Phase.IDLE]
    assert (await repository.manifests.get("v1")).digest == stays
    assert await repository.blobs.get(Digest.of(b"stays")) == b"stays"
    with pytest.raises(TagUnknown):
        await repository.manifests.get("old-1")
    with pytest.raises(ManifestUnknown):
        await repository.manifests.get(goes)
    assert await registry.blobs.fetch(Digest.of(b"goes")) is None
    assert (await repository.tags.history("old-1"))[-1].digest is None  # the deletion is recorded
    status = await registry.collector.status()
    assert (status.phase, status.last is None) == ("idle", False)


@on_virtual_clock
async def test_a_run_waits_until_every_writer_knows(driver: StagedDriver, registry: Registry) -> None:
    await pushed(registry.repository(NAME), "goes", "old")
    await ready(registry)
    at: dict[Phase, float] = {}

    def note(phase: Phase) -> None:
        async def act(_: State) -> None:
            at[phase] = asyncio.get_running_loop().time()

        driver.acts[phase] = act

    for phase in Phase:
        note(phase)
    bounds = (await registry.collector.status()).bounds
    await collected(registry)
    assert at[Phase.SEALED] - at[Phase.CONDEMNED] >= bounds.grace.total_seconds()
    # every deletion has ended by then, and none has lost its answer
    assert 1 < at[Phase.IDLE] - at[Phase.SWEEPING] < bounds.hold.total_seconds()


@on_virtual_clock
async def test_a_store_without_garbage_keeps_its_state(driver: StagedDriver, registry: Registry) -> None:
    await pushed(registry.repository(NAME), "stays", "v1")
    await ready(registry)
    before = driver.store.objects[STATE]
    found = await collected(registry)
    assert (found.run, found.numbers.keys) == (None, 0)
    assert driver.store.objects[STATE] == before


@on_virtual_clock
async def test_what_is_young_is_not_condemned(driver: StagedDriver, registry: Registry) -> None:
    await ready(registry)
    await registry.repository(NAME).blobs.put(b"a client is about to push its manifest")
    assert (await collected(registry)).run is None


@on_virtual_clock
async def test_runs_begin_a_lease_after_they_are_enabled(driver: StagedDriver, registry: Registry) -> None:
    with pytest.raises(CollectorNotEnabled, match="gc enable"):
        await collected(registry)
    await registry.collector.enable()
    with pytest.raises(CollectorNotEnabled, match="one lease after"):
        await collected(registry)


@on_virtual_clock
async def test_a_plan_for_a_store_at_rest_is_not_run(driver: StagedDriver, registry: Registry) -> None:
    plan = await registry.collector.plan(offline=True)
    try:
        with pytest.raises(InvalidArgument, match="offline"):
            await registry.collector.run(plan)
    finally:
        plan.close()


@on_virtual_clock
async def test_the_lists_name_each_key(driver: StagedDriver, registry: Registry) -> None:
    repository = registry.repository(NAME)
    digest = await pushed(repository, "goes", "old")
    await ready(registry)
    listed: list[str] = []
    hashes: list[HashList] = []

    async def look(state: State) -> None:
        assert state.run is not None
        assert state.retention == EXPIRING.digest is not None
        for shard in state.shards:
            content = driver.store.objects[CURRENT.key(RunObject(state.run, shard.name))].content
            assert (Digest.of(content), len(content) // 32) == (shard.digest, shard.keys)
            hashes.append(HashList(content))
            lines = CURRENT.key(RunObject(state.run, shard.name.replace("hashes", "keys")))
            listed.extend(driver.store.objects[lines].content.decode().splitlines())

    driver.acts[Phase.CONDEMNED] = look
    await collected(registry)
    layer = Digest.of(b"goes")
    tag, link = TagCurrent(NAME, Tag("old")), RevisionLink(NAME, digest)
    expected: list[StoredObject] = [
        tag,
        TagIndex(NAME, Tag("old"), digest),
        link,
        LayerLink(NAME, layer),
        BlobData(layer),
    ]
    for each in expected:
        key = CURRENT.key(each)
        assert key.removeprefix(f"{CURRENT.root}/") in listed
        assert sum(key_hash(CURRENT.root, key) in shard for shard in hashes) == 1
    assert listed.index(CURRENT.key(tag)[len(CURRENT.root) + 1 :]) == 0
    assert listed[-1].endswith("/data")


# ---- what writers do meanwhile


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


async def test_a_run_works_on_each_store(driver: Driver, registry: Registry) -> None:
    second = timedelta(seconds=1)
    bounds = {"keep": second, "link_within": second, "lease": second, "metadata": second}
    await registry.collector.bounds(**bounds, offline=True)
    await registry.collector.enable()
    repository = registry.repository(NAME)
    stays = await pushed(repository, "stays", "v1")
    await pushed(repository, "goes", "old")
    kept = await pushed(repository, "a writer needs it", "old-2")
    await asyncio.sleep(3)
    run = asyncio.ensure_future(collected(registry))
    other = Registry(driver)
    for pause in pauses():
        name = (await other.collector.status()).run
        if name is not None:
            break
        await asyncio.sleep(pause)
    assert name is not None
    hashed = key_hash(CURRENT.root, CURRENT.key(RevisionLink(NAME, kept))).hex()
    await driver.put(CURRENT.key(Rescue(name, hashed)), b"")
    found = await run
    assert (found.numbers.tags, found.numbers.revisions, found.numbers.blobs) == (2, 1, 2)
    assert (await repository.manifests.get("v1")).digest == stays
    assert (await repository.manifests.get(kept)).digest == kept
    for text in (b"stays", b"a writer needs it"):
        assert await repository.blobs.get(Digest.of(text)) == text
    assert await registry.blobs.fetch(Digest.of(b"goes")) is None
    assert (await registry.collector.status()).phase == "idle"


@on_virtual_clock
async def test_a_plan_is_run_once(driver: StagedDriver, registry: Registry) -> None:
    """After a run the plan does not tell any more which keys were written since it was made."""
    await pushed(registry.repository(NAME), "goes", "old")
    await ready(registry)
    plan = await registry.collector.plan(EXPIRING)
    try:
        await registry.collector.run(plan)
        assert plan.numbers.tags == 1
        with pytest.raises(InvalidArgument, match="make a new one"):
            await registry.collector.run(plan)
    finally:
        plan.close()


@on_virtual_clock
async def test_a_tag_that_is_set_over_an_old_delete_marker_stays(
    driver: StagedDriver, registry: Registry
) -> None:
    """A deletion that died left the marker, which is garbage when it is old."""
    digest = await pushed(registry.repository(NAME), "goes", "old")
    key = CURRENT.key(TagCurrent(NAME, Tag("v1")))
    await driver.put(key, new_delete_marker().encode())
    await ready(registry)

    async def set_it(_: State) -> None:
        await driver.put(key, digest.encode())

    driver.acts[Phase.CONDEMNED] = set_it
    found = await collected(registry)
    assert (found.numbers.tags, found.numbers.revisions, found.numbers.blobs) == (1, 0, 0)
    assert (await registry.repository(NAME).manifests.get("v1")).digest == digest
    assert await registry.blobs.exists(Digest.of(b"goes"))
