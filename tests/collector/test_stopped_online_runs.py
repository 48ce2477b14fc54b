"""The world stops at every storage operation of a run beside other programs; another process takes over."""

import asyncio
import itertools
from copy import deepcopy

import pytest

from revstore_async import Digest, Registry
from revstore_async.collector import Retention
from revstore_async.errors import Unavailable
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver, MemoryStore
from revstore_drivers.wrappers import FaultsDriver, When
from tests.parts.documents import image, index
from tests.parts.online_runs import held_by_threads, now, ready

RULES = Retention.parse('history = "0s"\n[[rule]]\ntags = "old*"\nexpire = true\n')
SHARED, OLD, NEW = b"in both", b"in the old one", b"in the new one"
NAME = "library/hello"


def driver_of(store: MemoryStore) -> MemoryDriver:
    return MemoryDriver(store, clock=now)


async def filled() -> MemoryStore:
    store = MemoryStore()
    async with Registry(driver_of(store)) as registry:
        repository = registry.repository(NAME)
        for content in (SHARED, OLD, NEW):
            await repository.blobs.put(content)
        for name, content in (("old", OLD), ("new", NEW)):
            child = image(SHARED, content)
            await repository.manifests.put(child)
            await repository.manifests.put(index(child), tags=[name])
        await ready(registry)
    return store


async def whole(store: MemoryStore) -> None:
    """Each tag can be pulled, with all that it refers to."""
    async with Registry(driver_of(store)) as registry:
        repository = registry.repository(NAME)
        tags = [info.tag async for info in repository.tags]
        assert "new" in tags
        for tag in tags:
            await repository.manifests.get(tag)
            content = NEW if tag == "new" else OLD
            await repository.manifests.get(Digest.of(image(SHARED, content)))
            for layer in (SHARED, content):
                assert await repository.blobs.get(Digest.of(layer)) == layer


def keys(store: MemoryStore) -> set[str]:
    return {key for key in store.objects if key.startswith("docker/registry/v2")}


@pytest.mark.parametrize("when", [When.BEFORE, When.ANSWER_LOST])
def test_after_a_run_that_is_stopped_the_next_one_frees_the_rest(when: When) -> None:
    async def program() -> int:
        begin = await filled()
        undisturbed = deepcopy(begin)
        async with Registry(driver_of(undisturbed)) as registry:
            assert (await registry.collector.run(RULES)).numbers.tags == 1
        for stop_at in itertools.count():
            store = deepcopy(begin)
            async with FaultsDriver(driver_of(store), stop_at=stop_at, when=when) as driver:
                try:
                    await Registry(driver).collector.run(RULES)
                except Unavailable:
                    assert driver.stopped
                stopped = driver.stopped
            await whole(store)
            await asyncio.sleep(1000)  # the time of the run is over, and that of its last deletion
            async with Registry(driver_of(store)) as registry:
                await registry.collector.run(RULES)
            await whole(store)
            assert keys(store) == keys(undisturbed)
            if not stopped:
                return stop_at
        raise AssertionError

    with held_by_threads():
        assert run_on_virtual_clock(program()) > 40
