"""A whole store is listed in parts at the same time: every object once, in few requests more."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revstore_async.driver import Capabilities, DriverWrapper, FileInfo, Folder, Page
from revstore_async.inventory import list_in_parts
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import LatencyDriver, TracingDriver

PAGE = 5


class _SmallPages(DriverWrapper):
    """A store that gives pages of few entries."""

    async def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = PAGE
    ) -> Page[FileInfo | Folder]:
        return await self.inner.list(prefix, start_after=start_after, limit=min(limit, PAGE))

    async def list_all(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = PAGE
    ) -> Page[FileInfo]:
        return await self.inner.list_all(prefix, start_after=start_after, limit=min(limit, PAGE))


class _Unordered(DriverWrapper):
    """A store that lists in an order of its own, and goes on only where a page ended."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, ordered_listing=False)


async def listed(driver: DriverWrapper | MemoryDriver) -> list[str]:
    found: list[str] = []

    async def take(page: Sequence[FileInfo]) -> None:
        found.extend(info.key for info in page)

    await list_in_parts(driver, "a", take)
    return sorted(found)


PART = st.sampled_from(["a", "b", "c", "b-", "b.", "bb", "_layers", "0", "z"])
KEYS = st.lists(st.lists(PART, min_size=1, max_size=6).map("/".join), max_size=60, unique=True)


@given(KEYS)
def test_every_object_is_listed_once(below: list[str]) -> None:
    async def work() -> None:
        async with MemoryDriver() as memory:
            # an object is no folder of another one
            keys = [f"a/{key}/x" for key in below]
            for key in [*keys, "a0", "aa/b"]:
                await memory.put(key, b"")
            for driver in (_SmallPages(memory), _Unordered(_SmallPages(memory)), memory):
                assert await listed(driver) == sorted(keys)

    run_on_virtual_clock(work())


@pytest.mark.parametrize("shape", ["a/{0:04}/x", "a/b/c/{1}/{0}", "a/{1}/{0}", "a/b{0:04}"])
def test_parts_take_few_requests_more_and_few_round_trips(shape: str) -> None:
    async def work() -> None:
        async with MemoryDriver() as memory:
            for number in range(1000):
                await memory.put(shape.format(number, number % 16), b"")
            traced = TracingDriver(LatencyDriver(_SmallPages(memory), 1.0))
            assert len(await listed(traced)) == 1000
            assert len(traced.requests) <= 1000 / PAGE + 1 + 60

    run_on_virtual_clock(work())


def test_parts_are_listed_at_the_same_time() -> None:
    async def work() -> None:
        async with MemoryDriver() as memory:
            for number in range(4000):
                await memory.put(f"a/sha256/{number % 256:02x}/{number}/data", b"")
            traced = TracingDriver(LatencyDriver(memory, 1.0))
            await listed(traced)
            assert len(traced.requests) == 4
            for number in range(4000, 20_000):
                await memory.put(f"a/sha256/{number % 256:02x}/{number}/data", b"")
            traced.reset()
            await listed(traced)
            assert traced.round_trips <= 4 + 2 + 3
            assert len(traced.requests) < 20 + 2 + 20

    run_on_virtual_clock(work())
