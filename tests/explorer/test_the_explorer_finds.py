"""The explorer finds the faults of toys."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from revstore_async.concurrency import settled
from revstore_async.driver import IfMatch
from revstore_async.errors import ConditionFailed, DeletionExpired, KeyNotFound, Unavailable

from .explored_store import MEMORY, MEMORY_DEATH, MEMORY_LOST, MINIO, PROFILES, ExploredStore, Profile
from .parking import ParkingDriver, PlainDriver
from .schedule import Actor, Run
from .search import Case, Found, Judge, Search, replay
from .seeds import Seed, read, written
from .toys import content, steps, stored

# ---- the clock of a store


async def told(driver: PlainDriver, key: str) -> datetime:
    """Return the store's time of an answer about a key."""
    try:
        date = (await driver.get(key)).date
    except KeyNotFound as error:
        date = error.date
    assert date is not None
    return date


@pytest.mark.parametrize("profile", PROFILES.values(), ids=str)
async def test_an_answer_is_no_earlier_than_a_write_and_no_later_than_the_end_of_a_deletion(profile: Profile):
    store, seconds = ExploredStore(profile), 100.0
    store.now = lambda: seconds
    async with PlainDriver(store) as driver:
        keys = ["state", "a/_tags/one/b", "a/_tags/one/c"]
        written = [await driver.put(key, b"") for key in keys]
        dates = [await told(driver, key) for key in keys]
        assert all(date >= info.modified for date, info in zip(dates, written, strict=True))
        await driver.delete("state", until=max(dates))
        seconds += 2
        with pytest.raises(DeletionExpired):
            await driver.delete(keys[1], until=max(dates))
        assert [await told(driver, key) for key in keys] == [date + timedelta(seconds=2) for date in dates]


# ---- broken toys


def counter(*, atomic: bool) -> Actor:
    """An actor that adds one to a stored number."""

    async def act(run: Run, number: int, driver: ParkingDriver) -> None:
        async with driver:
            while True:
                seen = await driver.get("count")
                condition = IfMatch(seen.info.etag) if atomic else None
                try:
                    await driver.put("count", b"%d" % (int(seen.content) + 1), condition=condition)
                except ConditionFailed:
                    continue
                return

    return act


def counted(run: Run) -> Sequence[str]:
    return [] if content(run, "count") == b"%d" % len(run.actors) else ["an update is lost"]


def searched(
    actors: Sequence[Actor],
    judge: Judge,
    profile: Profile = MEMORY,
    *,
    look: Callable[[ExploredStore], Sequence[str]] | None = None,
    cut: bool = True,
) -> Found:
    store = stored({"count": b"0", "turn": b""}, profile)
    return Search(Case("toy", store, actors, judge, look, cut=cut)).run()


@pytest.mark.parametrize("actors", [2, 3])
def test_a_lost_update_is_found(actors: int) -> None:
    found = searched([counter(atomic=False)] * actors, counted)
    (failure,) = found.failures
    assert failure.wrong == ("an update is lost",)
    assert not searched([counter(atomic=True)] * actors, counted).failures


def test_a_seed_runs_again_what_was_found() -> None:
    case = Case("toy", stored({"count": b"0"}), [counter(atomic=False)] * 3, counted)
    (failure,) = Search(case).run().failures
    seed = Seed.read(str(failure.seed))
    assert seed == failure.seed
    assert replay(case, seed.choices) == (["an update is lost"], list(failure.log))
    assert replay(case, ()) == ([], replay(case, ())[1])
    assert sum(map(bool, seed.choices)) == 1, "it is as short as can be"


def test_a_failure_is_told_though_the_time_is_over_before_its_schedule_is_shortened() -> None:
    case = Case("toy", stored({"count": b"0"}), [counter(atomic=False)] * 3, counted)
    over = False

    def judge(run: Run) -> Sequence[str]:
        nonlocal over
        wrong = counted(run)
        over = over or bool(wrong)
        return wrong

    found = Search(replace(case, judge=judge), enough=2, over=lambda: over).run()
    (failure,) = found.failures
    assert found.cut
    assert replay(case, failure.seed.choices)[0] == ["an update is lost"]


@pytest.mark.parametrize("choices", [(), (1,), (0, 0, 3), (2, 1, 0, 0, 1)])
def test_a_seed_is_read_as_it_was_written(choices: tuple[int, ...]) -> None:
    assert read(written(choices)) == choices


def test_a_check_before_an_act_is_found() -> None:
    async def take(run: Run, number: int, driver: ParkingDriver) -> None:
        async with driver:
            try:
                await driver.stat("taken")
            except KeyNotFound:
                await driver.put("taken", b"")
                await driver.put(f"by/{number}", b"")

    def judge(run: Run) -> Sequence[str]:
        return ["two have it"] if {"by/0", "by/1"} <= run.store.objects.keys() else []

    assert searched([take, take], judge).failures


def test_what_is_visible_by_half_is_found_in_the_middle_of_a_run() -> None:
    """Its end is well; only a reader in between sees a link to nothing."""

    def writer(first: str, second: str) -> Actor:
        async def act(run: Run, number: int, driver: ParkingDriver) -> None:
            async with driver:
                await driver.put(first, b"")
                await driver.put(second, b"")

        return act

    def look(store: ExploredStore) -> Sequence[str]:
        return ["a link to nothing"] if "link" in store.objects and "content" not in store.objects else []

    def nothing(run: Run) -> Sequence[str]:
        return []

    (failure,) = searched([writer("link", "content"), steps(1)], nothing, look=look).failures
    assert failure.wrong == ("a link to nothing",)
    assert not searched([writer("content", "link"), steps(1)], nothing, look=look).failures


def test_the_same_etag_of_the_same_bytes_is_found_where_a_store_gives_it() -> None:
    """A, B, A: a writer that saw the first A writes over the second. An etag for each version forbids it."""

    def swap(*contents: bytes) -> Actor:
        async def act(run: Run, number: int, driver: ParkingDriver) -> None:
            async with driver:
                for each in contents:
                    seen = await driver.get("count")
                    try:
                        await driver.put("count", each, condition=IfMatch(seen.info.etag))
                    except ConditionFailed:
                        await driver.put(f"told/{number}", b"")

        return act

    def judge(run: Run) -> Sequence[str]:
        """The second actor read before the first wrote twice, and wrote after that."""
        order = [line.split()[1:3] for line in run.log]
        late = order == [["1:", "get"], *[["0:", "get"], ["0:", "put"]] * 2, ["1:", "put"]]
        return ["it was not told"] if late and "told/1" not in run.store.objects else []

    actors = [swap(b"1", b"0"), swap(b"2")]
    # The judge looks at the way there, which is no part of a state.
    assert searched(actors, judge, MINIO, cut=False).failures
    assert not searched(actors, judge, MEMORY, cut=False).failures


def test_an_answer_that_is_lost_is_found() -> None:
    """A program that counts again, because it was told that the storage failed, counts twice."""

    async def count(run: Run, number: int, driver: ParkingDriver) -> None:
        async with driver:
            seen = await driver.get("count")
            try:
                await driver.put("count", b"%d" % (int(seen.content) + 1))
            except Exception:  # noqa: BLE001 (the toy is careless)
                seen = await driver.get("count")
                await driver.put("count", b"%d" % (int(seen.content) + 1))

    assert searched([count], counted, MEMORY_LOST).failures
    assert not searched([count], counted, MEMORY).failures


def test_an_actor_that_dies_is_found() -> None:
    """A program takes back what it did by half, as long as it lives."""

    async def write(run: Run, number: int, driver: ParkingDriver) -> None:
        async with driver:
            try:
                await driver.put("half", b"")
                await driver.put("whole", b"")
            except Unavailable:
                with suppress(Unavailable):
                    await driver.delete("half")

    def judge(run: Run) -> Sequence[str]:
        return ["it is there by half"] if {"half"} == {"half", "whole"} & run.store.objects.keys() else []

    assert searched([write], judge, MEMORY_DEATH).failures
    assert not searched([write], judge, MEMORY_LOST).failures


def test_those_who_wait_for_each_other_are_found() -> None:
    async def wait(run: Run, number: int, driver: ParkingDriver) -> None:
        async with driver:
            await driver.put(f"ready/{number}", b"")
            while True:
                try:
                    await driver.delete("turn", condition=IfMatch("v1"))
                except ConditionFailed:
                    continue
                return

    def nothing(run: Run) -> Sequence[str]:
        return []

    (failure,) = searched([wait, wait], nothing).failures
    assert "goes on after" in failure.wrong[0]


def test_a_run_that_is_given_up_ends_though_its_actors_clean_up_for_seconds() -> None:
    async def act(run: Run, number: int, driver: ParkingDriver) -> None:
        async with driver:
            try:
                await driver.put("key", b"")
            except Unavailable:
                await settled(asyncio.sleep(1), grace=5)

    run = Run(stored({}), [act], lambda run: None).perform()
    assert run.stopped
    assert run.loop.time() == 1


def test_an_actor_that_waits_for_ever_is_found() -> None:
    async def wait(run: Run, number: int, driver: ParkingDriver) -> None:
        async with driver:
            await driver.put("key", b"")
            while True:  # noqa: ASYNC110 (it waits for nothing)
                await asyncio.sleep(1)

    (failure,) = searched([wait], lambda run: []).failures
    assert "without an operation" in failure.wrong[0]
