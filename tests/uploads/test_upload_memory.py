"""The memory that uploads hold, and the cost of small pieces."""

import asyncio
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revstore_async import Digest, Registry
from revstore_async.blobs.memory_budget import MemoryBudget
from revstore_async.errors import InvalidArgument, Overloaded, UploadMemoryFull
from revstore_async.testing import run_on_virtual_clock
from revstore_async.threads import HASH_TOGETHER
from revstore_async.uploads import segments
from revstore_async.uploads.segments import joinable
from revstore_async.uploads.state import Segment
from revstore_drivers.filesystem import FilesystemDriver
from revstore_drivers.memory import MemoryDriver
from tests.parts.suite import pattern
from tests.parts.uploads import SmallParts, holds, left_of_uploads, pieces

PART = 64


class Crowd:
    """Clients that send a part and a half, then stand still until they may go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.sent: Counter[int] = Counter()

    async def client(self, number: int) -> AsyncIterator[bytes]:
        for _ in range(len(WHOLE) - 1):
            self.sent[number] += 1
            yield b"x"
            await asyncio.sleep(0)
        await self.go.wait()
        yield b"y"

    async def stands_still(self) -> None:
        before = None
        while before != self.sent.total():
            before = self.sent.total()
            for _ in range(300):
                await asyncio.sleep(0)


WHOLE = b"x" * (PART + PART // 2 - 1) + b"y"
WAYS = ["append", "finish", "put"]


async def send(registry: Registry, way: str, content: AsyncIterator[bytes], whole: bytes = WHOLE) -> None:
    repository = registry.repository("hello")
    if way == "put":
        await repository.blobs.put(content, digest=Digest.of(whole))
        return
    upload = await repository.uploads.start()
    if way == "append":
        assert (await repository.uploads.append(upload.id, content)).offset == len(whole)
    await repository.uploads.finish(upload.id, Digest.of(whole), content if way == "finish" else b"")


@pytest.mark.parametrize("way", WAYS)
def test_slow_clients_hold_no_more_than_the_budget_however_many_they_are(way: str) -> None:
    async def scenario() -> None:
        async with Registry(SmallParts(MemoryDriver(), PART), memory=8 * PART) as registry:
            memory, crowd = registry.blobs.memory, Crowd()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(send(registry, way, crowd.client(n))) for n in range(40)]
                await crowd.stands_still()
                # Each may have got one byte for which there was no room.
                assert 0 < memory.taken <= memory.size + 40
                if way != "put":  # its content can't be stored piece by piece, so it waits
                    assert crowd.sent.total() > memory.size
                tasks[0].cancel()
                tasks[-1].cancel()
                await crowd.stands_still()
                crowd.go.set()
            assert memory.taken == 0
            assert sum(not task.cancelled() for task in tasks) >= 38
            assert await holds(registry.repository("hello"), WHOLE)
            await registry.purge_uploads(timedelta(0))
            assert await left_of_uploads(registry) == []

    run_on_virtual_clock(scenario())


@pytest.mark.parametrize("slow", WAYS)
@pytest.mark.parametrize("way", WAYS)
def test_small_content_does_not_wait(slow: str, way: str) -> None:
    """130 clients send 5 kB a second each, which is more than there is room for; a push of three bytes passes."""

    async def crawling() -> AsyncIterator[bytes]:
        while True:
            yield bytes(500)
            await asyncio.sleep(0.1)

    async def quick() -> AsyncIterator[bytes]:
        yield b"abc"

    async def scenario() -> None:
        async with Registry(SmallParts(MemoryDriver(), 8 << 10), memory=128 * 8 << 10) as registry:
            clock = asyncio.get_running_loop().time
            tasks = [asyncio.create_task(send(registry, slow, crawling())) for _ in range(130)]
            for _ in range(20):
                await asyncio.sleep(1)
                begun = clock()
                await send(registry, way, quick(), b"abc")
                assert clock() == begun
                assert registry.blobs.memory.taken <= registry.blobs.memory.size + 130 * 500
            assert not any(task.done() for task in tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            assert registry.blobs.memory.taken == 0

    run_on_virtual_clock(scenario())


@pytest.mark.parametrize("way", ["append", "finish"])
def test_large_content_passes_slow_senders(way: str) -> None:
    """The slow calls give way: they store their bytes when the other call is next."""
    part = 2 << 10

    async def crawling() -> AsyncIterator[bytes]:
        while True:
            yield bytes(500)
            await asyncio.sleep(0.1)

    async def scenario() -> None:
        async with Registry(SmallParts(MemoryDriver(), part), memory=128 * part) as registry:
            tasks = [asyncio.create_task(send(registry, "append", crawling())) for _ in range(200)]
            await asyncio.sleep(15)
            whole = pattern(10 * part)
            async with asyncio.timeout(20):
                await send(registry, way, pieces(whole, 1 << 10), whole)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    run_on_virtual_clock(scenario())


@pytest.mark.parametrize("way", WAYS)
def test_memory_that_is_not_there_in_time_is_told_and_may_be_asked_for_again(way: str) -> None:
    async def scenario() -> None:
        wait = timedelta(seconds=7)
        driver = SmallParts(MemoryDriver(), PART)
        async with Registry(driver, memory=8 * PART, memory_wait=wait) as registry:
            memory, repository = registry.blobs.memory, registry.repository("hello")
            clock = asyncio.get_running_loop().time
            with memory.share() as all_of_it:
                memory.arrived(all_of_it, memory.size)
                begun = clock()
                upload = await repository.uploads.start()
                with pytest.raises(UploadMemoryFull) as full:
                    match way:
                        case "append":
                            await repository.uploads.append(upload.id, pieces(WHOLE, 10))
                        case "finish":
                            content = pieces(WHOLE, 10)
                            await repository.uploads.finish(upload.id, Digest.of(WHOLE), content)
                        case "put":
                            await repository.blobs.put(pieces(WHOLE, 10), digest=Digest.of(WHOLE))
                assert clock() - begun == 7
                assert (full.value.size, full.value.seconds, full.value.retryable) == (memory.size, 7.0, True)
                assert isinstance(full.value, Overloaded)
            assert memory.taken == 0
            assert (await repository.uploads.status(upload.id)).offset == 0
            await repository.uploads.finish(upload.id, Digest.of(WHOLE), pieces(WHOLE, 10))
            assert await holds(repository, WHOLE)
            assert await left_of_uploads(registry) == []

    run_on_virtual_clock(scenario())


def test_an_append_that_runs_out_of_memory_keeps_its_bytes() -> None:
    async def scenario() -> None:
        driver = SmallParts(MemoryDriver(), PART)
        async with Registry(driver, memory=8 * PART) as registry:
            memory, repository = registry.blobs.memory, registry.repository("hello")

            async def until_it_is_full() -> AsyncIterator[bytes]:
                yield WHOLE[:20]
                memory.arrived(others, memory.size)
                yield WHOLE[20:30]
                yield WHOLE[30:]

            upload = await repository.uploads.start()
            with memory.share() as others, pytest.raises(UploadMemoryFull):
                await repository.uploads.append(upload.id, until_it_is_full())
            assert (await repository.uploads.status(upload.id)).offset == 30
            await repository.uploads.append(upload.id, WHOLE[30:], offset=30)
            await repository.uploads.finish(upload.id, Digest.of(WHOLE))
            assert await holds(repository, WHOLE)

    run_on_virtual_clock(scenario())


async def test_a_call_holds_the_bytes_that_arrived() -> None:
    async with Registry(SmallParts(MemoryDriver(), PART)) as registry:
        repository = registry.repository("hello")
        crowd = Crowd()
        ids = [(await repository.uploads.start()).id for _ in range(3)]

        async def slow() -> AsyncIterator[bytes]:
            crowd.sent[0] += 1
            yield b"x"
            await crowd.go.wait()

        async with asyncio.TaskGroup() as group:
            for each in ids:
                group.create_task(repository.uploads.append(each, slow()))
            await crowd.stands_still()
            assert registry.blobs.memory.taken == 3
            crowd.go.set()


class Step(NamedTuple):
    """The steps of a call: bytes that arrive at once, whether it stores its bytes, whether it is cancelled."""

    sizes: list[int]
    whole: bool
    cancelled: bool


@given(
    st.lists(
        st.builds(Step, st.lists(st.integers(1, 40), max_size=6), st.booleans(), st.booleans()), max_size=12
    )
)
def test_memory_is_never_given_twice_comes_back_and_leaves_no_call_waiting(calls: list[Step]) -> None:
    async def scenario() -> None:
        budget = MemoryBudget(100)

        async def call(step: Step) -> None:
            with budget.share() as share:
                if step.whole:
                    await budget.promise(share, sum(step.sizes))
                for size in step.sizes:
                    await budget.room(share)
                    budget.arrived(share, size)
                    # What arrived without room is one piece of each call at most.
                    assert budget.taken <= budget.size + sum(max(each.sizes, default=0) for each in calls)
                    await asyncio.sleep(1)
                    if share.short:
                        budget.keep(share, 0)

        tasks = [asyncio.create_task(call(step)) for step in calls]
        await asyncio.sleep(0)
        for task, step in zip(tasks, calls, strict=True):
            if step.cancelled:
                task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        assert budget.taken == 0
        assert all(task.cancelled() or task.exception() is None for task in tasks)

    run_on_virtual_clock(scenario())


@pytest.mark.parametrize(("size", "wait"), [(0, 1), (-1, 1), (1, -1)])
def test_no_memory_and_no_time_are_refused(size: int, wait: int) -> None:
    with pytest.raises(InvalidArgument):
        MemoryBudget(size, wait=timedelta(seconds=wait))


async def test_tiny_pieces_take_little_more_than_their_bytes() -> None:
    count, stalled, go = 50_000, asyncio.Event(), asyncio.Event()

    async def tiny() -> AsyncIterator[bytes]:
        for number in range(count):
            yield number.to_bytes(2, "big")
        stalled.set()
        await go.wait()

    async with Registry(MemoryDriver()) as registry:
        uploads = registry.repository("hello").uploads
        upload = await uploads.start()
        tracemalloc.start()
        try:
            task = asyncio.create_task(uploads.append(upload.id, tiny()))
            await stalled.wait()
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        go.set()
        assert (await task).offset == 2 * count
        assert held < 4 * count


async def test_written_bytes_are_not_held_until_the_end(tmp_path: Path) -> None:
    driver = FilesystemDriver(tmp_path / "store")
    part = driver.capabilities.part_size
    stalled, go = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(129):  # sixteen to a part
            yield bytes(part // 16)
        stalled.set()
        await go.wait()

    async with Registry(driver) as registry:
        uploads = registry.repository("hello").uploads
        upload = await uploads.start()
        tracemalloc.start()
        try:
            task = asyncio.create_task(uploads.append(upload.id, slow()))
            await stalled.wait()
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        go.set()
        assert (await task).offset == 129 * part // 16
        assert held < part // 2 + 2 * HASH_TOGETHER


# ---- many pieces


async def test_small_pieces_are_moved_a_few_times_each() -> None:
    class Counting(MemoryDriver):
        written = 0

        async def put(self, key, content, **options):
            Counting.written += len(content) if "/state" not in key else 0
            return await super().put(key, content, **options)

        async def compose(self, sources, target, *, digest=None):
            Counting.written += sum(source.size for source in sources)
            return await super().compose(sources, target, digest=digest)

    async with Registry(SmallParts(Counting(), 1 << 12)) as registry:
        repository = registry.repository("hello")
        upload = await repository.uploads.start()
        content = pattern(1 << 13)
        for begin in range(0, len(content), 4):
            await repository.uploads.append(upload.id, content[begin : begin + 4])
        assert Counting.written < 6 * len(content)
        assert len(await left_of_uploads(registry)) < 50
        await repository.uploads.finish(upload.id, Digest.of(content))
        assert await holds(repository, content)


@given(st.lists(st.integers(1, 5000), max_size=400))
def test_a_state_names_a_segment_for_each_part_and_a_few_more(sizes: list[int]) -> None:
    segments: tuple[Segment, ...] = ()
    for size in sizes:
        segments = (*segments, Segment("new", size))
        small = joinable(segments, 4096)
        if small:
            joined = Segment("joined", sum(each.size for each in small))
            segments = (*segments[: -len(small)], joined)
    assert sum(each.size for each in segments) == sum(sizes)
    assert len(segments) <= sum(sizes) // 2048 + 130


async def test_one_request_becomes_several_segments_where_it_is_very_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(segments, "_PARTS_AT_MOST", 3)
    content = pattern(20 * PART)
    async with Registry(SmallParts(MemoryDriver(), PART)) as registry:
        repository = registry.repository("hello")
        upload = await repository.uploads.start()
        await repository.uploads.append(upload.id, pieces(content, 10))
        assert len(await left_of_uploads(registry)) == 1 + 7  # of 190 bytes each at most
        await repository.uploads.finish(upload.id, Digest.of(content))
        assert await holds(repository, content)
        await repository.blobs.delete(Digest.of(content))
        upload = await repository.uploads.start()
        await repository.uploads.finish(
            upload.id, Digest.of(content), pieces(content, 10), length=len(content)
        )
        assert await holds(repository, content)
        assert await left_of_uploads(registry) == []
