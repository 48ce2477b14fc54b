"""A program frees the space of a store while nothing else is at work on it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from revstore_async import Digest, Driver, Registry, Repository
from revstore_async.collector import Retention
from revstore_async.errors import ForeignKey, ManifestUnknown, TagUnknown
from revstore_async.formats.names import Tag
from revstore_async.layout import CURRENT, TagCurrent
from revstore_async.tags.current import new_delete_marker
from revstore_drivers.memory import MemoryDriver, MemoryStore
from tests.conftest import Tick
from tests.parts.documents import DOCKER_SCHEMA2, image, index, schema1, signed

NOTHING_REMEMBERED = 'history = "0s"\n'
EXPIRE_CI = (
    NOTHING_REMEMBERED
    + """
[[rule]]
tags = "ci-*"
expire = true
"""
)


async def pushed(repository: Repository, text: str, *tags: str, **more: Any) -> Digest:
    config, layer = b"{}", text.encode()
    for content in (config, layer):
        await repository.blobs.put(content)
    stored = await repository.manifests.put(image(config, layer, **more), tags=tags)
    return stored.digest


async def collected(registry: Registry, rules: str | None = None) -> dict[str, int]:
    retention = None if rules is None else Retention.parse(rules)
    plan = await registry.collector.plan(retention, offline=True)
    try:
        await registry.collector.apply(plan)
        numbers = plan.numbers
    finally:
        plan.close()
    return {"blobs": numbers.blobs, "tags": numbers.tags, "revisions": numbers.revisions}


async def keys(driver: Driver) -> list[str]:
    found = [info.key for info in (await driver.list_all()).entries]
    return [key for key in found if "revstore/gc" not in key]


async def test_a_store_without_garbage_loses_nothing(
    registry: Registry, repository: Repository, driver: Driver
) -> None:
    await pushed(repository, "a layer", "latest")
    before = await keys(driver)
    assert await collected(registry) == {"blobs": 0, "tags": 0, "revisions": 0}
    assert await keys(driver) == before


async def test_what_a_client_deleted_by_digest_is_freed(registry: Registry, repository: Repository) -> None:
    stays = await pushed(repository, "stays", "stays")
    goes = await pushed(repository, "goes", "goes")
    await repository.manifests.delete(goes)
    assert await collected(registry) == {"blobs": 2, "tags": 0, "revisions": 0}  # the manifest and its layer
    assert (await repository.manifests.get("stays")).digest == stays
    assert await registry.blobs.fetch(Digest.of(b"stays")) == b"stays"
    assert await registry.blobs.fetch(Digest.of(b"goes")) is None


async def test_a_layer_stays_while_another_repository_needs_it(
    registry: Registry, repository: Repository
) -> None:
    other = registry.repository("other")
    await pushed(other, "shared", "latest")
    await repository.manifests.delete(await pushed(repository, "shared", "latest", annotations={"a": "b"}))
    assert (await collected(registry))["blobs"] == 1  # the deleted manifest
    assert await other.blobs.get(Digest.of(b"shared")) == b"shared"
    assert not await repository.blobs.exists(Digest.of(b"shared"))


async def test_tags_expire_by_rule_with_what_hangs_on_them(
    registry: Registry, repository: Repository
) -> None:
    child = await pushed(repository, "for one architecture")
    document = (await repository.manifests.get(child)).content
    whole = (await repository.manifests.put(index(document), tags=["ci-1"])).digest
    signature = await pushed(
        repository, "a signature", subject={"mediaType": "a/b", "digest": whole, "size": 1}
    )
    stays = await pushed(repository, "a release", "v1")
    assert await collected(registry, EXPIRE_CI) == {"blobs": 5, "tags": 1, "revisions": 3}
    for digest in (child, whole, signature):
        with pytest.raises(ManifestUnknown):
            await repository.manifests.get(digest)
    with pytest.raises(TagUnknown):
        await repository.tags.resolve("ci-1")
    assert (await repository.manifests.get("v1")).digest == stays


async def test_a_digest_with_several_tags_goes_only_when_all_go(
    registry: Registry, repository: Repository
) -> None:
    both = await pushed(repository, "both", "ci-1", "v1")
    assert await collected(registry, EXPIRE_CI) == {"blobs": 0, "tags": 1, "revisions": 0}
    assert (await repository.manifests.get("v1")).digest == both


async def test_untagged_revisions_stay_unless_a_rule_says_otherwise(
    registry: Registry, repository: Repository
) -> None:
    untagged = await pushed(repository, "untagged")
    await collected(registry, EXPIRE_CI)
    assert (await repository.manifests.get(untagged)).digest == untagged
    rule = f"{NOTHING_REMEMBERED}[[rule]]\nuntagged = true\nexpire = true"
    assert (await collected(registry, rule))["revisions"] == 1
    with pytest.raises(ManifestUnknown):
        await repository.manifests.get(untagged)


async def test_what_a_tag_had_lately_can_be_restored(
    registry: Registry, repository: Repository, tick: Tick
) -> None:
    before = await pushed(repository, "before", "ci-1")
    await tick()
    rules = "[[rule]]\nuntagged = true\nexpire = true\n" + EXPIRE_CI.removeprefix(NOTHING_REMEMBERED)
    assert await collected(registry, rules) == {"blobs": 0, "tags": 1, "revisions": 0}
    event = (await repository.tags.history("ci-1"))[0]
    assert await repository.tags.restore("ci-1", event.since) == before
    assert (await repository.manifests.get("ci-1")).digest == before


async def test_what_a_tag_had_until_the_run_can_be_restored_however_old_it_is() -> None:
    store, now = MemoryStore(), datetime(2026, 1, 1, tzinfo=UTC)
    async with Registry(MemoryDriver(store, clock=lambda: now)) as registry:
        repository = registry.repository("library/hello")
        old = await pushed(repository, "old", "ci-1")
        set_at, now = now, now + timedelta(days=100)
        rules = EXPIRE_CI.removeprefix(NOTHING_REMEMBERED)
        assert await collected(registry, rules) == {"blobs": 0, "tags": 1, "revisions": 0}
        assert await repository.tags.restore("ci-1", set_at) == old
        now += timedelta(days=1)
        await collected(registry, rules)
        now += timedelta(days=8)  # the tag is gone for longer than its history counts
        assert await collected(registry, rules) == {"blobs": 3, "tags": 0, "revisions": 1}


async def test_the_revision_of_an_expired_tag_goes_when_its_history_has_passed(
    registry: Registry, repository: Repository
) -> None:
    await pushed(repository, "goes", "ci-1")
    assert await collected(registry, f'history = "1h"{EXPIRE_CI.removeprefix(NOTHING_REMEMBERED)}') == {
        "blobs": 0,
        "tags": 1,
        "revisions": 0,
    }
    assert await collected(registry, EXPIRE_CI) == {"blobs": 3, "tags": 0, "revisions": 1}


async def test_a_pinned_digest_stays(registry: Registry, repository: Repository) -> None:
    pinned = await pushed(repository, "pinned", "ci-1")
    assert await collected(registry, f'pinned = ["{pinned}"]\n{EXPIRE_CI}') == {
        "blobs": 0,
        "tags": 1,
        "revisions": 0,
    }


async def test_signatures_stay_with_their_manifest_and_go_with_it(
    registry: Registry, repository: Repository
) -> None:
    layer = (await repository.blobs.put(b"a layer")).digest
    stored = await repository.manifests.put(signed(schema1(layer, tag="ci-1"), 1, 2), tags=["ci-1"])
    assert (await collected(registry))["blobs"] == 0
    assert len((await repository.manifests.get(stored.digest)).signatures) == 2
    assert (await collected(registry, EXPIRE_CI))["blobs"] == 4  # manifest, layer, two signatures


async def test_a_kept_media_type_stays_with_its_manifest_and_goes_with_it(
    registry: Registry, repository: Repository, driver: Driver
) -> None:
    for content in (b"{}", b"a layer"):
        await repository.blobs.put(content)
    document = image(b"{}", b"a layer", media_type=None)
    digest = (await repository.manifests.put(document, tag="ci-1", media_type=DOCKER_SCHEMA2)).digest
    assert f"{digest.hex}/mediatype" in "".join(await keys(driver))
    await collected(registry)
    assert (await repository.manifests.get("ci-1")).media_type == DOCKER_SCHEMA2
    assert f"{digest.hex}/mediatype" in "".join(await keys(driver))
    await collected(registry, EXPIRE_CI)
    assert f"{digest.hex}/mediatype" not in "".join(await keys(driver))


async def test_a_manifest_that_can_not_be_read_keeps_its_repository(
    registry: Registry, repository: Repository, driver: Driver
) -> None:
    damaged = await pushed(repository, "damaged", "ci-1")
    await repository.manifests.delete(await pushed(repository, "garbage", "gone"))
    key = f"docker/registry/v2/blobs/sha256/{damaged.hex[:2]}/{damaged.hex}/data"
    await driver.put(key, b"rotten")
    plan = await registry.collector.plan(Retention.parse(EXPIRE_CI), offline=True)
    try:
        assert plan.unreadable == {"library/hello": damaged}
        assert plan.numbers.tags == plan.numbers.revisions == 0
        assert plan.numbers.blobs == 1  # the deleted manifest: no link leads to it; its layer stays
    finally:
        plan.close()


async def test_a_foreign_key_stops_the_plan(
    registry: Registry, repository: Repository, driver: Driver
) -> None:
    await pushed(repository, "a layer", "latest")
    await driver.put("docker/registry/v2/repositories/library/hello/_notes/mine", b"?")
    with pytest.raises(ForeignKey, match="_notes/mine"):
        await registry.collector.plan(offline=True)


async def test_young_garbage_stays_unless_nothing_else_is_at_work(
    registry: Registry, repository: Repository
) -> None:
    await repository.blobs.put(b"a client is about to push the manifest")
    plan = await registry.collector.plan()
    assert plan.numbers.keys == 0
    plan.close()
    plan = await registry.collector.plan(offline=True)
    assert plan.numbers.blobs == 1
    plan.close()


async def test_history_is_trimmed_with_the_rules(
    registry: Registry, repository: Repository, driver: Driver, tick: Tick
) -> None:
    digests = [await pushed(repository, text) for text in ("a", "b")]
    for number in range(50):
        await repository.tags.set("moving", digests[number % 2])
    await tick()
    await collected(registry, NOTHING_REMEMBERED)
    assert len([key for key in await keys(driver) if "/history/" in key]) <= 4
    assert await repository.tags.resolve("moving") == digests[1]
    await repository.tags.set("moving", digests[0])
    assert [event.digest for event in await repository.tags.history("moving")][-1] == digests[0]


async def test_a_delete_marker_is_no_tag_and_goes_when_it_is_old(
    registry: Registry, repository: Repository, driver: Driver, tick: Tick
) -> None:
    stays = await pushed(repository, "a layer", "latest")
    marker = CURRENT.key(TagCurrent(repository.name, Tag("deleted")))
    await driver.put(marker, new_delete_marker().encode())
    assert await collected(registry) == {"blobs": 0, "tags": 0, "revisions": 0}
    assert marker in await keys(driver)
    await tick()
    assert await collected(registry, NOTHING_REMEMBERED) == {"blobs": 0, "tags": 0, "revisions": 0}
    assert marker not in await keys(driver)
    assert await repository.tags.resolve("latest") == stays
