"""The hooks that an author of a driver overrides, and the functions that the tests share."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace

import pytest

from revstore_async.driver import LIST_LIMIT, Driver, FileInfo, Folder
from revstore_async.errors import KeyNotFound


class Hooks:
    """The methods that the author of a driver overrides; all but `driver` are optional."""

    @pytest.fixture
    async def driver(self) -> AsyncIterator[Driver]:
        """Give an open driver on an empty store, new for each test."""
        raise NotImplementedError("the subclass gives a fixture `driver`")
        yield  # type: ignore[unreachable]

    def reopen(self, driver: Driver) -> Driver | None:  # noqa: ARG002 (for overriding)
        """Return another driver on the same store, not yet open; None if there can be no other."""
        return None

    async def leftovers(self, driver: Driver) -> Sequence[str]:  # noqa: ARG002 (for overriding)
        """Return the names of a driver's leftovers, in the raw store or open in this process.

        A right driver leaves nothing. Look past the driver: at temporary files, unfinished uploads, open files,
        connections in use.
        """
        return ()

    async def fill(self, driver: Driver, keys: Iterable[str]) -> None:
        """Store an object under each key, with the key as content; past the driver where that is faster."""
        slots = asyncio.Semaphore(driver.capabilities.connections)

        async def one(key: str) -> None:
            async with slots:
                await driver.put(key, key.encode())

        async with asyncio.TaskGroup() as tasks:
            for key in keys:
                tasks.create_task(one(key))

    folders_go_at_once = True
    """False for a server that lists a folder for a while after its last key is gone."""

    @pytest.fixture(autouse=True)
    async def nothing_left(self, driver: Driver) -> AsyncIterator[None]:
        """Fail a test that leaves a task, an unfinished write or a temporary object."""
        before = asyncio.all_tasks()
        yield
        await asyncio.sleep(0)
        tasks = asyncio.all_tasks() - before - {asyncio.current_task()}
        assert not tasks, "tasks were left"
        assert not [*await self.leftovers(driver)], "something was left in the store"


def need(driver: Driver, capability: str) -> None:
    """Skip the test where the driver lacks a capability."""
    if not getattr(driver.capabilities, capability):
        pytest.skip(f"the {driver.name} driver lacks {capability}")


def pattern(size: int, seed: int = 0) -> bytes:
    """Return bytes that differ from offset to offset, so that a mixed-up piece shows."""
    block = b"".join(
        (number * 2654435761 + seed).to_bytes(8, "big") for number in range(min(size // 8 + 1, 8192))
    )
    return (block * (size // len(block) + 1))[:size]


def agree(driver: Driver, told: FileInfo, found: FileInfo) -> bool:
    """Whether a read tells the version that a write told; their times may differ by the resolution."""
    apart = abs(told.modified - found.modified)
    return replace(told, modified=found.modified) == found and apart <= driver.capabilities.time_resolution


async def content_of(driver: Driver, key: str) -> bytes | None:
    """Return the stored content; None if nothing is stored."""
    try:
        return (await driver.get(key)).content
    except KeyNotFound:
        return None


async def read_all(driver: Driver, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
    """Return all bytes of a reader."""
    async with driver.open_reader(key, offset=offset, length=length) as reader:
        return b"".join([piece async for piece in reader])


async def write_all(driver: Driver, key: str, *pieces: bytes) -> FileInfo:
    """Store pieces through a writer."""
    async with driver.open_writer(key) as writer:
        for piece in pieces:
            await writer.write(piece)
        return await writer.commit()


def position_of(entry: FileInfo | Folder) -> str:
    """Return the position of an entry in the order of a listing."""
    return entry.key + "/" if isinstance(entry, Folder) else entry.key


async def walk(
    driver: Driver, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
) -> list[FileInfo]:
    """Return all objects of `list_all`, and check each page."""
    found: list[FileInfo] = []
    while True:
        page = await driver.list_all(prefix, start_after=start_after, limit=limit)
        assert len(page.entries) <= limit
        found += page.entries
        if page.next is None:
            return found
        assert start_after is None or page.next > start_after, "a listing must get on"
        start_after = page.next


async def children(
    driver: Driver, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
) -> list[FileInfo | Folder]:
    """Return all entries of `list`, and check each page."""
    found: list[FileInfo | Folder] = []
    while True:
        page = await driver.list(prefix, start_after=start_after, limit=limit)
        assert len(page.entries) <= limit
        found += page.entries
        if page.next is None:
            return found
        assert start_after is None or page.next > start_after, "a listing must get on"
        start_after = page.next


async def keys_of(driver: Driver, prefix: str = "") -> list[str]:
    """Return the keys below a prefix."""
    return [info.key for info in await walk(driver, prefix)]


async def positions_of(driver: Driver, prefix: str = "") -> list[str]:
    """Return the positions of the children of a prefix."""
    return [position_of(entry) for entry in await children(driver, prefix)]
