"""What uploads hold in memory, and what small pieces of them cost."""

import asyncio
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revstore_async import Digest, Registry, upload_segments
from revstore_async.bodies import Budget
from revstore_async.errors import InvalidArgument
from revstore_async.threads import HASH_TOGETHER
from revstore_async.upload_segments import joinable
from revstore_async.upload_state import Segment
from revstore_drivers.filesystem import FilesystemDriver
from revstore_drivers.memory import MemoryDriver
from tests.parts.suite import pattern
from tests.parts.uploads import SmallParts, holds, left_of_uploads, pieces

PART = 64


class Crowd:
    """Clients that send a part less a byte, then stand still until they may go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.sent: Counter[int] = Counter()

    async def client(self, number: int) -> AsyncIterator[bytes]:
        for _ in range(PART - 1):
            self.sent[number] += 1
            yield b"x"
            await asyncio.sleep(0)
        await self.go.wait()
        yield b"y"

    async def stands_still(self) -> None:
        before = None
        while before != self.sent.total():
            before = self.sent.total()
            for _ in range(200):
                await asyncio.sleep(0)


@pytest.mark.parametrize("way", ["append", "finish", "put"])
async def test_slow_clients_hold_no_more_than_the_budget_however_many_they_are(way: str) -> None:
    whole = b"x" * (PART - 1) + b"y"
    async with Registry(SmallParts(MemoryDriver(), PART), memory=4 * PART) as registry:
        repository = registry.repository("hello")
        crowd = Crowd()
        ids = [(await repository.uploads.start()).id for _ in range(40)]

        async def sent(number: int) -> None:
            content = crowd.client(number)
            if way == "append":
                await repository.uploads.append(ids[number], content)
            elif way == "finish":
                await repository.uploads.finish(ids[number], Digest.of(whole), content)
            else:
                await repository.blobs.put(content, digest=Digest.of(whole))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(sent(number)) for number in range(40)]
            await crowd.stands_still()
            assert 0 < crowd.sent.total() <= 4 * PART
            tasks[0].cancel()
            tasks[-1].cancel()
            await crowd.stands_still()
            assert registry.blobs.memory.taken <= 4 * PART
            crowd.go.set()
        assert registry.blobs.memory.taken == 0
        assert sum(not task.cancelled() for task in tasks) >= 38
        if way == "append":
            assert (await repository.uploads.status(ids[1])).offset == PART


async def test_who_announces_little_holds_little() -> None:
    async with Registry(SmallParts(MemoryDriver(), PART), memory=PART) as registry:
        repository = registry.repository("hello")
        crowd = Crowd()
        ids = [(await repository.uploads.start()).id for _ in range(3)]

        async def slow() -> AsyncIterator[bytes]:
            crowd.sent[0] += 1
            yield b"x"
            await crowd.go.wait()

        async with asyncio.TaskGroup() as group:
            for each in ids:
                group.create_task(repository.uploads.append(each, slow(), length=1))
            await crowd.stands_still()
            assert registry.blobs.memory.taken == 3
            crowd.go.set()


@given(st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=12))
def test_a_budget_is_given_in_the_order_of_asking_and_comes_back(calls: list[tuple[int, bool]]) -> None:
    async def all_of_them() -> None:
        budget, order = Budget(10), list[int]()
        go = asyncio.Event()

        async def hold(number: int, size: int) -> None:
            async with budget.hold(size):
                order.append(number)
                assert budget.taken <= budget.size
                await go.wait()

        tasks = [asyncio.create_task(hold(number, size)) for number, (size, _) in enumerate(calls)]
        await asyncio.sleep(0)
        for task, (_, cancelled) in zip(tasks, calls, strict=True):
            if cancelled:
                task.cancel()
        go.set()
        await asyncio.wait(tasks) if tasks else None
        assert budget.taken == 0
        assert order == sorted(order)
        assert {number for number, (_, cancelled) in enumerate(calls) if not cancelled} <= {*order}

    asyncio.run(all_of_them())


def test_a_budget_of_nothing_is_none() -> None:
    with pytest.raises(InvalidArgument):
        Budget(0)


async def test_what_was_written_is_not_held_until_the_end(tmp_path: Path) -> None:
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
    monkeypatch.setattr(upload_segments, "_PARTS_AT_MOST", 3)
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
