"""Uploads, for several modules of tests."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from revstore_async import Digest, Driver, Registry, Repository, open_driver
from revstore_async.driver import Capabilities, DriverWrapper, entries
from revstore_async.uploads.state import State
from revstore_drivers.memory import MemoryDriver

from .suite import pattern


class SmallParts(DriverWrapper):
    """A driver that claims a part to be small, so that a few bytes are many parts."""

    def __init__(self, inner: Driver, part_size: int = 64) -> None:
        super().__init__(inner)
        self._part_size = part_size

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, part_size=self._part_size)


class BrokenOff(Exception):
    """The client is gone."""


def replica_of(driver: Driver, store_url: str) -> Driver:
    """Another driver, not yet open, on the same store, as another process has it."""
    return MemoryDriver(driver.store) if isinstance(driver, MemoryDriver) else open_driver(store_url)


async def pieces(
    content: bytes, size: int = 1 << 16, *, then: BaseException | None = None
) -> AsyncIterator[bytes]:
    """Content as a client sends it, with an error at its end if one is given."""
    for begin in range(0, len(content), size):
        yield content[begin : begin + size]
    if then is not None:
        raise then


async def pieces_until(content: bytes, reached: asyncio.Event) -> AsyncIterator[bytes]:
    """Content, after which a client says nothing more and does not go."""
    async for piece in pieces(content):
        yield piece
    reached.set()
    await asyncio.Event().wait()


async def left_of_uploads(registry: Registry) -> list[str]:
    """The keys of all that is stored of uploads, but the marks of finished ones, which wait for a purge."""
    folder = registry.layout.uploads_under_way
    keys = [info.key async for info in entries(registry.driver.list_all, folder)]
    return [key for key in keys if not await is_mark(registry.driver, key)]


async def is_mark(driver: Driver, key: str) -> bool:
    """Say whether an object tells no more than that an upload was finished."""
    if not key.endswith("/state") or driver.capabilities.conditional_delete:
        return False
    state = State.decode((await driver.get(key)).content)
    return state.over and state.digest is not None and not state.segments


async def holds(repository: Repository, content: bytes, algorithm: str = "sha256") -> bool:
    """Say whether a repository has this content. Large bytes are told apart by size and digest."""
    digest = Digest.of(content, algorithm)
    if not await repository.blobs.exists(digest):
        return False
    found = await repository.blobs.get(digest)
    return (len(found), Digest.of(found)) == (len(content), Digest.of(content))


def content_of(*sizes: int) -> list[bytes]:
    """Pieces of these sizes, each other bytes."""
    whole, cut, begin = pattern(sum(sizes)), [], 0
    for size in sizes:
        cut.append(whole[begin : begin + size])
        begin += size
    return cut
