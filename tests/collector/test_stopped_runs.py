"""The world stops at every storage operation of a run: tags that stay are whole; the next run frees the rest."""

import itertools

import pytest

from revstore_async import Digest, Registry
from revstore_async.collector import Retention
from revstore_async.driver import Driver
from revstore_async.errors import Unavailable
from revstore_drivers.memory import MemoryDriver, MemoryStore
from revstore_drivers.wrappers import FaultsDriver, When
from tests.parts.documents import image, index

RULES = Retention.parse('history = "0s"\n[[rule]]\ntags = "old*"\nexpire = true\n')
SHARED, OLD, NEW = b"in both", b"in the old one", b"in the new one"


async def filled() -> MemoryStore:
    store = MemoryStore()
    async with Registry(MemoryDriver(store)) as registry:
        repository = registry.repository("library/hello")
        for content in (SHARED, OLD, NEW):
            await repository.blobs.put(content)
        for name, content in (("old", OLD), ("new", NEW)):
            child = image(SHARED, content)
            await repository.manifests.put(child)
            await repository.manifests.put(index(child), tags=[name, f"{name}-too"])
    return store


async def collect(driver: Driver) -> int:
    async with Registry(driver) as registry:
        plan = await registry.collector.plan(RULES, offline=True)
        try:
            await registry.collector.apply(plan)
            return plan.numbers.keys
        finally:
            plan.close()


async def whole(store: MemoryStore) -> None:
    """Each tag can be pulled, with all that it refers to."""
    async with Registry(MemoryDriver(store)) as registry:
        repository = registry.repository("library/hello")
        tags = [info.tag async for info in repository.tags]
        assert {"new", "new-too"} <= set(tags)
        for tag in tags:
            await repository.manifests.get(tag)
            content = NEW if tag.startswith("new") else OLD
            await repository.manifests.get(Digest.of(image(SHARED, content)))
            for layer in (SHARED, content):
                assert await repository.blobs.get(Digest.of(layer)) == layer


async def keys(store: MemoryStore) -> int:
    async with MemoryDriver(store) as driver:
        page = await driver.list_all("docker/registry/v2")
        assert page.next is None
        return len(page.entries)


@pytest.mark.parametrize("when", When)
async def test_a_run_that_is_stopped_leaves_a_store_in_order(when: When) -> None:
    undisturbed = await filled()
    assert await collect(MemoryDriver(undisturbed))
    expected = await keys(undisturbed)
    for stop_at in itertools.count():
        store = await filled()
        async with FaultsDriver(MemoryDriver(store), stop_at=stop_at, when=when) as driver:
            try:
                await collect(driver)
            except Unavailable:
                assert driver.stopped
            stopped = driver.stopped
        await whole(store)
        await collect(MemoryDriver(store))
        await whole(store)
        assert await keys(store) == expected
        if not stopped:
            break
    assert stop_at > 10
