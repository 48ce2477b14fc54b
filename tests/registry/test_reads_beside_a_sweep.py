"""A reader sees a link; a run of the collector deletes it with its content; the reader asks for the content."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from revstore_async import Digest, Registry, Repository
from revstore_async.driver import Driver, DriverWrapper, File, FileInfo, Reader
from revstore_async.errors import BlobUnknown, LinkDangling, ManifestUnknown
from revstore_drivers.memory import MemoryDriver
from tests.parts.documents import image

LAYER = b"a layer"
NAME = "library/hello"


class Sweeping(DriverWrapper):
    """Answers a question for content after the link was read, and after link and content are gone."""

    def __init__(self, inner: Driver, *, keeps_links: bool) -> None:
        super().__init__(inner)
        self._keeps_links = keeps_links
        self._read = asyncio.Event()

    async def get(self, key: str, *, limit: int | None = None) -> File:
        if not key.endswith("/data"):
            found = await self.inner.get(key, limit=limit)
            self._read.set()
            return found
        await self._sweep()
        return await self.inner.get(key, limit=limit)

    async def stat(self, key: str) -> FileInfo:
        if key.endswith("/data"):
            await self._sweep()
        return await self.inner.stat(key)

    @asynccontextmanager
    async def open_reader(
        self, key: str, *, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[Reader]:
        await self._sweep()
        async with self.inner.open_reader(key, offset=offset, length=length) as reader:
            yield reader

    async def _sweep(self) -> None:
        await self._read.wait()
        await self.inner.delete_prefix("docker/registry/v2/blobs")
        if not self._keeps_links:
            await self.inner.delete_prefix("docker/registry/v2/repositories")


async def _opened(repository: Repository, digest: Digest) -> object:
    async with repository.blobs.open(digest) as reader:
        return reader


async def _known(repository: Repository, digest: Digest) -> object:
    return await repository.manifests.stat(digest)


READS: dict[str, tuple[Callable[[Repository, Digest], Awaitable[object]], type[Exception]]] = {
    "blobs.get": (lambda repository, digest: repository.blobs.get(digest), BlobUnknown),
    "blobs.stat": (lambda repository, digest: repository.blobs.stat(digest), BlobUnknown),
    "blobs.open": (_opened, BlobUnknown),
    "manifests.get": (lambda repository, digest: repository.manifests.get(digest), ManifestUnknown),
    "manifests.stat": (_known, ManifestUnknown),
    "revisions.get": (lambda repository, digest: repository.revisions.get(digest), ManifestUnknown),
}


@pytest.mark.parametrize("keeps_links", [False, True])
@pytest.mark.parametrize("name", READS)
async def test_a_read_tells_of_damage_only_if_the_link_is_still_there(name: str, keeps_links: bool) -> None:
    read, absent = READS[name]
    driver = MemoryDriver()
    async with Registry(driver) as registry:
        repository = registry.repository(NAME)
        layer = await repository.blobs.put(LAYER)
        config = await repository.blobs.put(b"{}")
        assert config.size == 2
        stored = await repository.manifests.put(image(b"{}", LAYER))
        digest = layer.digest if name.startswith("blobs") else stored.digest
        beside = Registry(Sweeping(driver, keeps_links=keeps_links), cache_size=0)
        with pytest.raises(LinkDangling if keeps_links else absent):
            await read(beside.repository(NAME), digest)
