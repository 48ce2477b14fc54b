"""The gate of writers: its answer in each phase of a run of the collector, and the cost."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from revstore_async import CURRENT
from revstore_async.blobs.gate import PATIENCE, Gate
from revstore_async.errors import (
    BeingCollected,
    CollectorStateOfNewerEngine,
    CollectorStateUnreadable,
    KeyNotFound,
    RevstoreError,
    Unavailable,
)
from revstore_async.layout import RunObject
from revstore_async.runs.state import Phase
from revstore_drivers.wrappers import TracingDriver
from tests.parts.gates import BOUNDS, EPOCH, FAR, LISTED, OTHER, SECOND, Outcome, Store, outcome, run
from tests.parts.lacking import WithoutConditionalPut
from tests.parts.runs_at_work import RUN, STATE


async def written(gate: Gate) -> str:
    window = await gate.open(LISTED, patient=False)
    return "goes on" if await window.rely() else "anew"


async def relied(gate: Gate) -> str:
    window = await gate.open()
    if not window.admits(LISTED):
        return "absent"
    return "goes on" if await window.rely() else "anew"


async def other(gate: Gate) -> str:
    window = await gate.open(OTHER)
    return "goes on" if window.admits(OTHER) and await window.rely() else "anew"


UNTOUCHED = ("goes on", 1, False)
REVIVED = ("goes on", 2, False)
LISTS = 1  # the request of the run's list

PHASES: dict[str, tuple[dict[str, Any], Outcome, Outcome]] = {
    "idle": ({"phase": Phase.IDLE}, UNTOUCHED, UNTOUCHED),
    # the state, the list; the rescue, the state
    "condemned": (
        {"phase": Phase.CONDEMNED},
        ("goes on", 1 + LISTS + 2, True),
        ("goes on", 1 + LISTS + 2, True),
    ),
    "sealed": (
        {"phase": Phase.SEALED},
        ("BeingCollected", 1 + LISTS, False),
        ("absent", 1 + LISTS, False),
    ),
    "sweeping": (
        {"phase": Phase.SWEEPING},
        ("BeingCollected", 1 + LISTS, False),
        ("absent", 1 + LISTS, False),
    ),
    # and the list of the keys that stay
    "sweeping, spared": (
        {"phase": Phase.SWEEPING, "spared": [LISTED]},
        ("goes on", 2 + LISTS, False),
        ("goes on", 2 + LISTS, False),
    ),
    "sweeping, its shard is done": (
        {"phase": Phase.SWEEPING, "done": 1},
        ("goes on", 1 + LISTS, False),
        ("goes on", 1 + LISTS, False),
    ),
    # the state, the swap to idle
    "condemned, dead": ({"phase": Phase.CONDEMNED, "until": EPOCH - SECOND}, REVIVED, REVIVED),
    "sealed, dead": ({"phase": Phase.SEALED, "until": EPOCH - SECOND}, REVIVED, REVIVED),
    "sweeping, dead, deletions may be under way": (
        {"phase": Phase.SWEEPING, "until": EPOCH - SECOND},
        ("BeingCollected", 1 + LISTS, False),
        ("absent", 1 + LISTS, False),
    ),
    "sweeping, dead": (
        {"phase": Phase.SWEEPING, "until": EPOCH - BOUNDS.hold - SECOND},
        REVIVED,
        REVIVED,
    ),
    "sweeping, dead, its deletions have no end": (
        {"phase": Phase.SWEEPING, "until": EPOCH - BOUNDS.hold - SECOND, "fenced": False},
        ("BeingCollected", 1 + LISTS, False),
        ("absent", 1 + LISTS, False),
    ),
}


@pytest.mark.parametrize("name", PHASES)
def test_what_each_phase_answers_to_a_writer(name: str) -> None:
    state, of_written, of_relied = PHASES[name]

    async def seen(work: Callable[[Gate], Awaitable[str]]) -> Outcome:
        async with Store() as store:
            await store.work.enter(**{"until": FAR, **state})
            return await outcome(store, work)

    assert run(seen(written)) == of_written
    assert run(seen(relied)) == of_relied
    assert run(seen(other))[0] == "goes on"
    assert not run(seen(other))[2]


def test_without_a_state_a_process_asks_once_in_its_time() -> None:
    async def requests() -> list[int]:
        async with Store() as store:
            counts = []
            for pause in (0, 0, 54, 2, 54, 2, 120):
                await asyncio.sleep(pause)
                window = await store.gate.open(LISTED)
                assert window.admits(OTHER)
                assert await window.rely()
                await window.close(store.now())
                await asyncio.sleep(0.5)
                counts.append(store.requests())
            return counts

    # asked at the first write; ahead after 55 seconds, twice; and by the writer itself after two minutes
    assert run(requests()) == [1, 0, 0, 1, 0, 1, 1]


def test_a_state_is_fetched_ahead_beside_the_write() -> None:
    async def waited() -> float:
        async with Store(latency=1.0) as store:
            loop = asyncio.get_running_loop()
            await store.gate.open()
            waits = 0.0
            for _ in range(100):
                await asyncio.sleep(3)
                began = loop.time()
                await store.gate.open(LISTED)
                waits += loop.time() - began
            return waits

    assert run(waited()) == 0


def test_a_run_is_noticed_within_the_time_that_a_state_is_kept() -> None:
    async def phases() -> list[bool]:
        async with Store() as store:
            await store.gate.open(LISTED)
            await store.work.enter(Phase.CONDEMNED, until=FAR)
            kept = await written(store.gate)
            assert (kept, await store.work.rescued()) == ("goes on", set())
            await asyncio.sleep(61)
            assert await written(store.gate) == "goes on"
            return [bool(await store.work.rescued())]

    assert run(phases()) == [True]


def test_only_a_yes_comes_from_memory() -> None:
    """A kept state that lists the key is no reason to refuse: the run may be over."""

    async def results() -> list[str]:
        async with Store() as store:
            await store.work.enter(Phase.SWEEPING, until=FAR)
            found = [await relied(store.gate)]
            await store.work.enter(Phase.IDLE, n=1)
            found.append(await relied(store.gate))  # the kept state lists it
            found.append(await relied(store.gate))
            await store.work.enter(Phase.SWEEPING, until=FAR)
            store.gate.forget(await store.gate.ask())
            await store.work.enter(Phase.IDLE, n=1)
            found.append(await written(store.gate))
            return found

    assert run(results()) == ["absent", "anew", "goes on", "goes on"]


def test_a_rescue_that_the_seal_overtook_is_none() -> None:
    async def results() -> list[str]:
        async with Store() as store:
            await store.work.enter(Phase.CONDEMNED, until=FAR)
            window = await store.gate.open(LISTED)
            await store.work.enter(Phase.SEALED, until=FAR)
            first = "goes on" if await window.rely() else "anew"
            return [first, await relied(store.gate)]

    assert run(results()) == ["anew", "anew"]


def test_a_key_is_rescued_once_a_run() -> None:
    async def requests() -> list[int]:
        async with Store() as store:
            await store.work.enter(Phase.CONDEMNED, until=FAR)
            store.requests()
            counts = []
            for _ in range(3):
                assert await written(store.gate) == "goes on"
                counts.append(store.requests())
            return counts

    assert run(requests()) == [1 + LISTS + 2, 0, 0]


def test_a_writer_waits_for_the_shard_of_its_key() -> None:
    async def waited() -> float:
        async with Store() as store:
            loop = asyncio.get_running_loop()
            await store.work.enter(Phase.SWEEPING, until=FAR)
            opening = asyncio.ensure_future(store.gate.open(LISTED))
            await asyncio.sleep(3)
            await store.work.enter(Phase.SWEEPING, until=FAR, done=1)
            await opening
            return loop.time()

    assert 3 <= run(waited()) < 4


def test_a_writer_gives_up_after_ten_seconds() -> None:
    async def waited() -> tuple[float, float]:
        async with Store() as store:
            await store.work.enter(Phase.SEALED, until=FAR)
            with pytest.raises(BeingCollected) as refused:
                await store.gate.open(LISTED)
            return asyncio.get_running_loop().time(), refused.value.retry_after

    time, retry_after = run(waited())
    assert PATIENCE - 1 < time <= PATIENCE
    assert retry_after == PATIENCE


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"no state", CollectorStateUnreadable),
        (b"{" * 100_000, CollectorStateUnreadable),
        (b" " * (2 << 20), CollectorStateUnreadable),
        (b'{"version": 9, "writers": 9}', CollectorStateOfNewerEngine),
    ],
)
def test_a_state_that_can_not_be_read_refuses_writes(content: bytes, error: type[RevstoreError]) -> None:
    async def refused() -> None:
        async with Store() as store:
            await store.driver.put(STATE, content)
            for _ in range(2):
                with pytest.raises(error):
                    await store.gate.open(OTHER)

    run(refused())


@pytest.mark.parametrize("change", ["missing", "other bytes", "longer", "shorter"])
def test_a_list_that_can_not_be_read_refuses_writes(change: str) -> None:
    async def refused() -> None:
        async with Store() as store:
            await store.work.enter(Phase.CONDEMNED, until=FAR)
            key = CURRENT.key(RunObject(RUN, "0.hashes"))
            hashes = (await store.driver.get(key)).content
            await store.driver.delete(key)
            contents = {"other bytes": bytes(32), "longer": hashes * 2, "shorter": hashes[:-1]}
            if change in contents:
                await store.driver.put(key, contents[change])
            with pytest.raises(CollectorStateUnreadable):
                await store.gate.open(OTHER)

    run(refused())


def test_lists_of_a_run_that_ended_meanwhile_are_not_missed() -> None:
    """The run ends, and its lists go, between the answer of the state and the question for the lists."""

    class Ending(TracingDriver):
        async def get(self, key: str, *, limit: int | None = None) -> Any:
            if key.endswith(".hashes"):
                await store.work.enter(Phase.IDLE, n=1)
                raise KeyNotFound(key)
            return await super().get(key, limit=limit)

    store = Store()

    async def goes_on() -> str:
        async with store:
            await store.work.enter(Phase.CONDEMNED, until=FAR)
            return await written(Gate(Ending(store.driver), CURRENT))

    assert run(goes_on()) == "goes on"


def test_a_store_without_conditional_writes_is_asked_nothing() -> None:
    async def requests() -> int:
        async with Store() as store:
            await store.work.enter(Phase.SWEEPING, until=FAR)
            store.requests()
            gate = Gate(WithoutConditionalPut(store.driver), CURRENT)
            window = await gate.open(LISTED)
            assert await window.rely()
            await asyncio.sleep(1000)
            await window.close(None)
            return store.requests()

    assert run(requests()) == 0


def test_a_gate_that_stops_leaves_no_task() -> None:
    async def tasks() -> int:
        async with Store(latency=2.0) as store:
            await store.gate.open()
            await asyncio.sleep(56)
            await store.gate.open()
            await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) == 2
            await store.gate.stop()
            return len(asyncio.all_tasks())

    assert run(tasks()) == 1


def test_a_writer_that_runs_always_come_in_between_gives_up() -> None:
    async def refused() -> None:
        async with Store() as store:

            class Sealing(TracingDriver):
                async def put(self, key: str, content: Any, **options: Any) -> Any:
                    done = await super().put(key, content, **options)
                    await store.work.enter(Phase.IDLE, n=1)
                    store.work.run += "1"
                    await store.work.enter(Phase.CONDEMNED, until=FAR)
                    return done

            await store.work.enter(Phase.CONDEMNED, until=FAR)
            with pytest.raises(Unavailable):
                await Gate(Sealing(store.driver), CURRENT).admit(LISTED)

    run(refused())
