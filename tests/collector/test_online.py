"""A program frees the space of a store while clients push."""

import asyncio
from datetime import timedelta

import pytest

from revstore_async import Digest, Driver, Registry
from revstore_async.concurrency import pauses
from revstore_async.errors import CollectorNotEnabled, InvalidArgument, ManifestUnknown, TagUnknown
from revstore_async.formats.names import Tag
from revstore_async.layout import (
    CURRENT,
    BlobData,
    LayerLink,
    Rescue,
    RevisionLink,
    RunObject,
    StoredObject,
    TagCurrent,
    TagIndex,
)
from revstore_async.runs.lists import HashList, key_hash
from revstore_async.runs.state import Phase, State
from revstore_async.tags.current import new_delete_marker
from tests.parts.online_runs import (
    EXPIRING,
    NAME,
    STATE,
    StagedDriver,
    collected,
    on_virtual_clock,
    pushed,
    ready,
)


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
