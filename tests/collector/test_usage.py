"""A program learns the bytes that repositories take, and those that a run could free."""

from datetime import UTC, datetime, timedelta

import pytest

from revstore_async import Digest, Driver, Registry, Repository
from revstore_async.collector import Usage
from revstore_async.errors import InvalidName, RepositoryUnknown, WrongType
from revstore_drivers.memory import MemoryDriver, MemoryStore
from tests.parts.documents import image, schema1, signed

CONFIG, SHARED, OWN = b"{}", b"a layer of both", b"a layer of one"


async def filled(registry: Registry) -> tuple[bytes, bytes]:
    """Two repositories with one image each; return the manifests."""
    documents = image(CONFIG, SHARED), image(CONFIG, SHARED, OWN)
    for name, document in zip(("a", "a/b"), documents, strict=True):
        repository = registry.repository(name)
        for content in (CONFIG, SHARED, OWN)[: 3 if name == "a/b" else 2]:
            await repository.blobs.put(content)
        await repository.manifests.put(document, tag="latest")
    return documents


def rows(usage: Usage) -> list[tuple[str, int, int, int]]:
    return [(each.name, each.logical, each.unique, each.shared) for each in usage.repositories]


async def test_shared_content_counts_once_in_each_repository(registry: Registry) -> None:
    small, large = await filled(registry)
    usage = await registry.collector.usage()
    shared = len(CONFIG + SHARED)
    assert rows(usage) == [
        ("a", len(small) + shared, len(small), shared),
        ("a/b", len(large) + shared + len(OWN), len(large + OWN), shared),
    ]
    assert usage.stored == len(small + large + CONFIG + SHARED + OWN)
    assert (usage.reclaimable, usage.young) == (0, 0)


async def test_signatures_count(registry: Registry, repository: Repository) -> None:
    layer = (await repository.blobs.put(b"a layer")).digest
    payload = schema1(layer)
    stored = await repository.manifests.put(signed(payload, 1, 2), tag="latest")
    signatures = (await repository.manifests.get(stored.digest)).signatures
    usage = await registry.collector.usage()
    assert usage.repositories[0].logical == usage.stored
    assert usage.stored == len(payload) + len(b"a layer") + sum(len(each.blob) for each in signatures)


async def test_content_that_nothing_needs_is_reclaimable_and_young(registry: Registry) -> None:
    _, large = await filled(registry)
    await registry.repository("a/b").manifests.delete(Digest.of(large))
    usage = await registry.collector.usage()
    assert usage.reclaimable == usage.young == len(large + OWN)
    assert usage.repositories[1].logical == len(CONFIG + SHARED + OWN)  # its links to layers are there yet
    plan = await registry.collector.plan(offline=True)
    await registry.collector.apply(plan)
    plan.close()
    after = await registry.collector.usage()
    assert after.stored == usage.stored - usage.reclaimable
    assert after.reclaimable == 0
    assert [each.name for each in after.repositories] == ["a"]


async def test_a_lease_protects_young_content_only() -> None:
    store, now = MemoryStore(), datetime(2026, 1, 1, tzinfo=UTC)
    async with Registry(MemoryDriver(store, clock=lambda: now)) as registry:
        await registry.blobs.put(b"left long ago")
        now += timedelta(days=2)
        await registry.blobs.put(b"on its way")
        usage = await registry.collector.usage()
        assert usage.reclaimable == usage.stored == len(b"left long agoon its way")
        assert usage.young == len(b"on its way")
        assert usage.repositories == []


async def test_chosen_repositories_are_told_alone(registry: Registry) -> None:
    await filled(registry)
    whole = await registry.collector.usage()
    chosen = await registry.collector.usage(["a/b"])
    assert chosen.repositories == whole.repositories[1:]
    assert chosen.stored == whole.stored
    with pytest.raises(RepositoryUnknown, match="a/c"):
        await registry.collector.usage(["a", "a/c"])


async def test_links_without_content_make_a_repository_of_no_bytes(
    registry: Registry, repository: Repository, driver: Driver
) -> None:
    digest = (await repository.blobs.put(b"lost")).digest
    await driver.delete(f"docker/registry/v2/blobs/sha256/{digest.hex[:2]}/{digest.hex}/data")
    assert rows(await registry.collector.usage()) == [("library/hello", 0, 0, 0)]


async def test_wrong_names_are_refused_before_any_request(registry: Registry) -> None:
    with pytest.raises(InvalidName):
        await registry.collector.usage(["Not A Name"])
    with pytest.raises(WrongType, match="repositories"):
        await registry.collector.usage("library/hello")
