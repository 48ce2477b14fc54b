"""Calls that end early leave nothing that waits for the garbage collector, least of all content."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from revstore_async import Digest, Driver, Registry, Repository
from revstore_async.driver import IfAbsent, Source
from revstore_async.errors import RevstoreError
from revstore_drivers.s3 import S3Driver
from revstore_drivers.wrappers import Fault, FaultsDriver, Rule, Script
from tests.parts.garbage import LARGE, without_cycles
from tests.parts.programs import free_port
from tests.parts.suite import pattern
from tests.parts.uploads import BrokenOff

Send = Callable[[Repository, AsyncIterator[bytes], bytes], Awaitable[object]]


async def put(repository: Repository, content: AsyncIterator[bytes], whole: bytes) -> object:
    return await repository.blobs.put(content, digest=Digest.of(whole))


async def append(repository: Repository, content: AsyncIterator[bytes], whole: bytes) -> object:
    upload = await repository.uploads.start()
    return await repository.uploads.append(upload.id, content)


async def finish(repository: Repository, content: AsyncIterator[bytes], whole: bytes) -> object:
    upload = await repository.uploads.start()
    return await repository.uploads.finish(upload.id, Digest.of(whole), content)


async def finish_more(repository: Repository, content: AsyncIterator[bytes], whole: bytes) -> object:
    upload = await repository.uploads.start()
    await repository.uploads.append(upload.id, b"before")
    return await repository.uploads.finish(upload.id, Digest.of(b"before" + whole), content)


SENDS = [put, append, finish, finish_more]


async def all_of(whole: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(whole), 2 * LARGE):
        yield whole[begin : begin + 2 * LARGE]


async def half_of(whole: bytes) -> AsyncIterator[bytes]:
    async for piece in all_of(whole[: len(whole) // 2]):
        yield piece


async def breaks_off(whole: bytes) -> AsyncIterator[bytes]:
    async for piece in half_of(whole):
        yield piece
    raise BrokenOff


async def stands_still(whole: bytes) -> AsyncIterator[bytes]:
    async for piece in half_of(whole):
        yield piece
    await asyncio.Event().wait()


@pytest.fixture(params=["small", "large"])
def whole(request: pytest.FixtureRequest, driver: Driver) -> bytes:
    part = driver.capabilities.part_size
    return pattern(part // 4 if request.param == "small" else part * 5 // 2)


async def ended(sending: Awaitable[object], *, cancelled_after: float | None = None) -> None:
    """Wait for a call that fails, mostly."""
    task = asyncio.ensure_future(sending)
    if cancelled_after is not None:
        await asyncio.sleep(cancelled_after)
        task.cancel()
    with suppress(RevstoreError, BrokenOff, asyncio.CancelledError):
        await task
    del task  # else this frame would make a cycle


@pytest.mark.parametrize("send", SENDS)
@pytest.mark.parametrize(
    ("source", "cancelled_after"),
    [(breaks_off, None), (half_of, None), (stands_still, 0.05), (stands_still, 0)],
    ids=["the source breaks off", "another digest", "cancelled", "cancelled at once"],
)
async def test_a_call_that_ends_early_leaves_no_cycle(
    repository: Repository,
    send: Send,
    source: Callable[[bytes], AsyncIterator[bytes]],
    cancelled_after: float | None,
    whole: bytes,
) -> None:
    if send is append and source is half_of:
        pytest.skip("an append knows no digest")
    async with without_cycles() as left:
        for _ in range(3):
            await ended(send(repository, source(whole), whole), cancelled_after=cancelled_after)
    assert not left, "\n".join(left)


@pytest.mark.parametrize("send", SENDS)
@pytest.mark.parametrize(
    ("method", "key"),
    [("put", "/segments/"), ("put", "/data"), ("write", ""), ("commit", ""), ("get", ""), ("compose", "")],
)
async def test_a_call_whose_storage_fails_leaves_no_cycle(
    driver: Driver, send: Send, method: str, key: str, whole: bytes
) -> None:
    faults = FaultsDriver(driver, Script(Rule(method, Fault.BEFORE, nth=0, key=key)))
    repository = Registry(faults).repository("hello")
    with suppress(RevstoreError):
        await send(repository, all_of(whole), whole)
    async with without_cycles() as left:
        for _ in range(3):
            with suppress(RevstoreError):
                await send(repository, all_of(whole), whole)
    assert not left, "\n".join(left)


@pytest.mark.parametrize("retries", [0, 1])
async def test_calls_of_a_server_that_is_gone_leave_no_cycle(retries: int) -> None:
    content = pattern(1 << 20)
    options: dict[str, Any] = {
        "endpoint_url": f"http://127.0.0.1:{free_port()}",
        "region": "us-east-1",
        "retries": retries,
    }
    async with S3Driver("bucket", **options, access_key_id="a", secret_access_key="b") as driver:
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: driver.put("key", content),
            lambda: driver.put("key", content, condition=IfAbsent()),
            lambda: driver.get("key"),
            lambda: driver.compose([Source("a", 1, "x")], "key"),
            lambda: driver.compose([Source("a", 1)], "key"),
            lambda: driver.delete_many(["a", "b"]),
            lambda: Registry(driver).blobs.put(content),
        ]
        for call in calls:
            async with without_cycles() as left:
                with suppress(RevstoreError):
                    await call()
            assert not left, "\n".join(left)


async def read_some(repository: Repository, digest: Digest) -> None:
    async with repository.blobs.open(digest) as reader:
        await reader.read()
        raise BrokenOff


async def read_all(repository: Repository, digest: Digest) -> None:
    async with repository.blobs.open(digest) as reader:
        async for _ in reader:
            await asyncio.sleep(0)


async def read_and_wait(repository: Repository, digest: Digest) -> None:
    async with repository.blobs.open(digest) as reader:
        await reader.read()
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        del task
        await asyncio.Event().wait()


async def get(repository: Repository, digest: Digest) -> None:
    await repository.blobs.get(digest)


@pytest.mark.parametrize("read", [read_some, read_all, read_and_wait, get])
@pytest.mark.parametrize("how", ["whole", "damaged", "gone"])
async def test_a_read_that_ends_early_leaves_no_cycle(
    registry: Registry, repository: Repository, whole: bytes, read: Callable[..., Awaitable[None]], how: str
) -> None:
    digest = (await repository.blobs.put(whole)).digest
    path = registry.blobs.path(digest)
    if how == "damaged":
        await registry.driver.put(path, bytes(len(whole)))
    if how == "gone":
        await registry.driver.delete(path)
    async with without_cycles() as left:
        for _ in range(3):
            await ended(read(repository, digest))
    assert not left, "\n".join(left)


async def test_a_call_that_finds_no_memory_leaves_no_cycle(driver: Driver, whole: bytes) -> None:
    part = driver.capabilities.part_size
    registry = Registry(driver, memory=4 * part, memory_wait=timedelta(0))
    memory = registry.blobs.memory
    with memory.share() as others:
        memory.arrived(others, memory.size)
        async with without_cycles() as left:
            for send in SENDS:
                await ended(send(registry.repository("hello"), all_of(whole), whole))
    assert not left, "\n".join(left)
