"""The window of a write: late by one of its clocks, it looks again at the end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from revstore_async.blobs.gate import Gate
from revstore_async.runs.state import Phase
from revstore_async.testing.virtual_clock import VirtualClockLoop
from tests.parts.gates import FAR, LISTED, Outcome, Store, outcome, run


async def late_by_the_loop(_: Store) -> None:
    await asyncio.sleep(601)


async def late_by_the_stores_clock(store: Store) -> None:
    store.ahead += 601


async def asleep(_: Store) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualClockLoop)
    loop.suspend(601)


LATE = [late_by_the_loop, late_by_the_stores_clock, asleep]


@pytest.mark.parametrize("late", LATE, ids=lambda late: late.__name__)
@pytest.mark.parametrize(
    ("state", "result"),
    [
        ({"phase": Phase.IDLE}, "closed"),
        ({"phase": Phase.CONDEMNED}, "closed"),  # rescued
        ({"phase": Phase.SEALED}, "Unavailable"),
        ({"phase": Phase.IDLE, "n": 1}, "Unavailable"),  # a run came and went
    ],
    ids=["the same", "condemned", "sealed", "swept"],
)
def test_a_late_window_looks_again(
    late: Callable[[Store], Awaitable[None]], state: dict[str, Any], result: str
) -> None:
    async def closed(gate: Gate) -> str:
        window = await gate.open(LISTED)
        assert await window.rely()
        await late(store)
        await store.work.enter(**{"until": FAR, **state})
        store.requests()
        await window.close(store.now())
        return "closed"

    store = Store()

    async def seen() -> Outcome:
        async with store:
            await store.work.enter(Phase.IDLE)
            return await outcome(store, closed)

    found, _, rescued = run(seen())
    assert (found, rescued) == (result, state["phase"] is Phase.CONDEMNED)


def test_a_process_whose_clock_stood_still_asks_for_a_state_anew() -> None:
    """Its kept state seems young: the next window must not begin with it."""

    async def seen() -> tuple[bool, int, bool]:
        async with Store() as store:
            await store.gate.open(LISTED)
            store.ahead += 700
            late = (await store.gate.open(LISTED)).is_late(store.now())
            store.requests()
            window = await store.gate.open(LISTED)
            return late, store.requests(), window.is_late(store.now())

    assert run(seen()) == (True, 1, False)


def test_a_window_in_time_asks_nothing() -> None:
    async def requests() -> int:
        async with Store() as store:
            window = await store.gate.open(LISTED)
            await asyncio.sleep(59)
            window = await store.gate.open(LISTED)  # by a state that is 59 seconds old
            await asyncio.sleep(599)
            store.requests()
            assert not window.is_late(store.now())
            await window.close(store.now())
            return store.requests()

    assert run(requests()) == 0


def test_a_window_whose_end_the_store_does_not_tell_looks_again() -> None:
    async def requests() -> int:
        async with Store() as store:
            window = await store.gate.open(LISTED)
            store.requests()
            await window.close(None)
            return store.requests()

    assert run(requests()) == 1
