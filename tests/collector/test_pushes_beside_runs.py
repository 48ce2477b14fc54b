"""Clients push the same few images again and again while the collector runs without pause."""

import asyncio
from random import Random

import pytest

from revstore_async import Digest, Registry, Repository
from revstore_async.collector import Retention
from revstore_async.concurrency import gather
from revstore_async.errors import BeingCollected, ManifestUnknown, Unavailable, VerificationFailed
from revstore_drivers.memory import MemoryDriver, MemoryStore
from tests.parts.documents import image, index
from tests.parts.online_runs import StagedDriver, now, on_virtual_clock, ready

RULES = Retention.parse(
    'history = "0s"\n[[rule]]\ntags = "old*"\nexpire = true\n[[rule]]\nuntagged = true\nexpire = true\n'
)
IMAGES, CLIENTS, PUSHES = 6, 3, 12
CONFIG, SHARED = b"{}", b"in all images"


def layers(number: int) -> list[bytes]:
    return [CONFIG, SHARED, b"of image %d" % number]


def document(number: int) -> bytes:
    return image(*layers(number))


class SlowDriver(MemoryDriver):
    """A driver whose operations take times by chance, so that phases of a run come between them."""

    def __init__(self, store: MemoryStore, random: Random) -> None:
        super().__init__(store, clock=now)
        self.random = random

    async def _asked(self) -> None:
        await super()._asked()
        await asyncio.sleep(self.random.choice([0, 0.05, 0.1, 0.5]))


class Client:
    """A client that pushes as docker does: layers that are missing, then the manifest; after 503 it comes again."""

    def __init__(self, registry: Registry, number: int, random: Random) -> None:
        self.repository: Repository = registry.repository(f"library/app{number % 2}")
        self.tag = f"client-{number}"
        self.random = random
        self.refused: int = 0

    async def push_often(self) -> None:
        for _ in range(PUSHES):
            number = self.random.randrange(IMAGES)
            tags = [self.tag, f"old-{self.tag}"] if self.random.random() < 0.5 else [self.tag]
            whole = self.random.random() < 0.3
            await self.push(number, tags, whole=whole)
            await self.is_whole(number, whole=whole)
            await asyncio.sleep(self.random.uniform(5, 20))
            await self.is_whole(number, whole=whole)

    async def push(self, number: int, tags: list[str], *, whole: bool) -> None:
        for _ in range(50):
            try:
                for content in layers(number):
                    if not await self.repository.blobs.exists(Digest.of(content)):
                        await self.repository.blobs.put(content)
                await asyncio.sleep(self.random.uniform(0, 1))
                await self.repository.manifests.put(document(number), tags=[] if whole else tags)
                if whole:
                    await self.repository.manifests.put(index(document(number)), tags=tags)
            except (BeingCollected, Unavailable, VerificationFailed, ManifestUnknown):
                self.refused += 1
                await asyncio.sleep(1)
            else:
                return
        raise AssertionError("the client was refused again and again")

    async def is_whole(self, number: int, *, whole: bool) -> None:
        """The tag that was acknowledged can be pulled, with all that it refers to."""
        found = await self.repository.manifests.get(self.tag)
        assert found.content == (index(document(number)) if whole else document(number))
        assert (await self.repository.manifests.get(Digest.of(document(number)))).content
        for content in layers(number):
            assert await self.repository.blobs.get(Digest.of(content)) == content


@pytest.mark.parametrize("seed", range(2))
def test_no_push_that_was_acknowledged_loses_content(seed: int) -> None:
    @on_virtual_clock
    async def test(driver: StagedDriver, registry: Registry) -> None:
        await ready(registry)
        runs = 0

        async def collect() -> None:
            nonlocal runs
            while True:
                runs += (await Registry(driver).collector.run(RULES)).run is not None
                await asyncio.sleep(0.1)

        collecting = asyncio.ensure_future(collect())
        clients = []
        for number in range(CLIENTS):
            random = Random(seed * 10 + number)
            slow = await SlowDriver(driver.store, random).__aenter__()
            clients.append(Client(Registry(slow), number, random))
        try:
            await gather(*[client.push_often() for client in clients])
        finally:
            collecting.cancel()
            await asyncio.wait([collecting])
        assert runs > 1
        assert any("/rescued/" in key for key in driver.store.objects)

    test()
