"""Cancelled calls: the whole effect or none, and nothing left behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

from revstore_async.driver import Driver, IfAbsent, Source

from .base import Hooks, content_of, keys_of, pattern, read_all, walk, write_all

_OLD, _NEW = b"old" * 1000, b"the new one" * 20_000

# The tests cancel a call after so many steps of the event loop, or so many seconds: a call that waits for a network
# or a thread is at points then that steps alone do not reach.
_STEPS = [*range(12), 15, 20, 30]
_SECONDS = [0.0003, 0.0006, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01]


@dataclass(frozen=True, slots=True)
class _Case:
    """A call to cancel, and the contents of `folder/key` that may be found afterwards."""

    call: Callable[[Driver], Awaitable[object]]
    outcomes: tuple[bytes | None, ...]


async def _write(driver: Driver) -> None:
    await write_all(driver, "folder/key", _NEW[:100_000], _NEW[100_000:])


async def _write_parts(driver: Driver) -> None:
    part = driver.capabilities.part_size
    async with driver.open_writer("folder/key") as writer:
        await writer.write(pattern(part))
        await writer.write(pattern(part))


_CASES = {
    "get": _Case(lambda driver: driver.get("folder/key"), (_OLD,)),
    "stat": _Case(lambda driver: driver.stat("folder/key"), (_OLD,)),
    "reader": _Case(lambda driver: read_all(driver, "folder/key"), (_OLD,)),
    "list": _Case(lambda driver: driver.list("folder"), (_OLD,)),
    "list_all": _Case(walk, (_OLD,)),
    "put": _Case(lambda driver: driver.put("folder/key", _NEW), (_OLD, _NEW)),
    "copy": _Case(lambda driver: driver.compose([Source("source", len(_NEW))], "folder/key"), (_OLD, _NEW)),
    "compose": _Case(
        lambda driver: driver.compose([Source("source", len(_NEW))] * 2, "folder/key"), (_OLD, _NEW + _NEW)
    ),
    "delete": _Case(lambda driver: driver.delete("folder/key"), (_OLD, None)),
    "delete_many": _Case(lambda driver: driver.delete_many(["folder/key", "x"]), (_OLD, None)),
    "delete_prefix": _Case(lambda driver: driver.delete_prefix("folder"), (_OLD, None)),
    "writer": _Case(_write, (_OLD, _NEW)),
    "writer without commit": _Case(_write_parts, (_OLD,)),
}


async def _moments() -> AsyncIterator[Callable[[], Coroutine[Any, Any, None]]]:
    for steps in _STEPS:

        async def step(steps: int = steps) -> None:
            for _ in range(steps):
                await asyncio.sleep(0)

        yield step
    for seconds in _SECONDS:

        async def wait(seconds: float = seconds) -> None:
            await asyncio.sleep(seconds)

        yield wait


async def _cancelled(call: Awaitable[object], moment: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    task = asyncio.ensure_future(call)
    await moment()
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
    return task.cancelled()


class Cancellation(Hooks):
    """Tests of cancelled calls."""

    @pytest.mark.parametrize("name", _CASES)
    async def test_all_or_nothing(self, driver: Driver, name: str) -> None:
        """A call that was cancelled leaves no effect or its whole effect, and nothing else."""
        case = _CASES[name]
        await driver.put("source", _NEW)
        was_cancelled = []
        async for moment in _moments():
            await driver.put("folder/key", _OLD)
            was_cancelled.append(await _cancelled(case.call(driver), moment))
            found = await content_of(driver, "folder/key")
            assert found in case.outcomes
            expected = ["source"] if found is None else ["folder/key", "source"]
            assert await keys_of(driver) == expected
            assert not [*await self.leftovers(driver)]
        assert any(was_cancelled), "no call was slow enough to be cancelled"

    async def test_the_condition_of_a_cancelled_call(self, driver: Driver) -> None:
        """After a cancelled create-only put a second one succeeds exactly if the first had no effect."""
        if not driver.capabilities.conditional_put:
            pytest.skip(f"the {driver.name} driver lacks conditional_put")
        async for moment in _moments():
            await _cancelled(driver.put("folder/key", _NEW, condition=IfAbsent()), moment)
            if await content_of(driver, "folder/key") is None:
                await driver.put("folder/key", _OLD, condition=IfAbsent())
            await driver.delete("folder/key")
            assert await keys_of(driver) == []
            assert not [*await self.leftovers(driver)]

    async def test_a_reader_in_its_block(self, driver: Driver) -> None:
        """A task that is cancelled while it reads leaves no connection behind."""
        part = driver.capabilities.part_size
        await write_all(driver, "key", pattern(part), pattern(part))
        async for moment in _moments():
            await _cancelled(read_all(driver, "key"), moment)
            assert not [*await self.leftovers(driver)]
        assert len(await read_all(driver, "key")) == 2 * part

    async def test_a_writer_that_goes_on(self, driver: Driver) -> None:
        """After a cancelled `write` the writer has accepted all of its bytes or none, as `offset` says."""
        piece = pattern(driver.capabilities.part_size + 100)
        async for moment in _moments():
            async with driver.open_writer("key") as writer:
                await writer.write(b"begin")
                await _cancelled(writer.write(piece), moment)
                assert writer.offset in {5, 5 + len(piece)}
                accepted = b"begin" + piece[: writer.offset - 5]
                await writer.write(b"end")
                await writer.commit()
            assert await read_all(driver, "key") == accepted + b"end"
