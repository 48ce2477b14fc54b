"""Toys for tests of the explorer: a store with a few objects, and actors that know no registry."""

from collections.abc import Mapping

from .explored_store import EPOCH, MEMORY, ExploredStore, Profile
from .parking import ParkingDriver
from .schedule import Actor, Run


def stored(objects: Mapping[str, bytes], profile: Profile = MEMORY) -> ExploredStore:
    store = ExploredStore(profile)
    for key, content in objects.items():
        store.set(key, content, None, EPOCH)
    return store


def content(run: Run, key: str) -> bytes | None:
    file = run.store.objects.get(key)
    return file.content if file else None


def steps(count: int) -> Actor:
    """An actor of so many operations, each of which meets those of the others."""

    async def act(run: Run, number: int, driver: ParkingDriver) -> None:
        async with driver:
            for step in range(count):
                await driver.put("shared", b"%d %d" % (number, step))

    return act
