"""The explorer finds the faults of toys, and runs as many schedules as a formula says."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from math import factorial, prod
from random import Random

import pytest

from revstore_async.concurrency import settled
from revstore_async.driver import IfMatch
from revstore_async.errors import ConditionFailed, DeletionExpired, KeyNotFound, Unavailable

from .explored_store import EPOCH, MEMORY, MEMORY_DEATH, MEMORY_LOST, MINIO, PROFILES, ExploredStore, Profile
from .parking import ParkingDriver, PlainDriver
from .schedule import Actor, Run
from .search import Case, Found, Judge, Search, replay
from .seeds import Seed, read, written


def stored(objects: Mapping[str, bytes], profile: Profile = MEMORY) -> ExploredStore:
    store = ExploredStore(profile)
    for key, content in objects.items():
        store.set(key, content, None, EPOCH)
    return store


def content(run: Run, key: str) -> bytes | None:
    file = run.store.objects.get(key)
    return file.content if file else None


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


# ---- how many schedules there are


def steps(count: int) -> Actor:
    """An actor of so many operations, each of which meets those of the others."""

    async def act(run: Run, number: int, driver: ParkingDriver) -> None:
        async with driver:
            for step in range(count):
                await driver.put("shared", b"%d %d" % (number, step))

    return act


def interleavings(counts: Sequence[int]) -> int:
    return factorial(sum(counts)) // prod(map(factorial, counts))


@pytest.mark.parametrize("counts", [(1, 1), (2, 3), (4, 4), (2, 2, 2), (1, 2, 3)])
def test_without_cuts_every_interleaving_is_run_once(counts: Sequence[int]) -> None:
    seen: list[tuple[int, ...]] = []

    def judge(run: Run) -> Sequence[str]:
        seen.append(tuple(int(line.split()[1][0]) for line in run.log))
        return []

    case = Case("steps", stored({}), [*map(steps, counts)], judge, independent=False, cut=False)
    found = Search(case).run()
    assert found.complete
    assert found.schedules == found.whole == len(set(seen)) == interleavings(counts)


@pytest.mark.parametrize("bound", [0, 1, 2, 3])
def test_a_bound_leaves_out_what_interrupts_more_often(bound: int) -> None:
    """Two actors of four steps: with at most so many interruptions, counted by looking at every interleaving."""

    def interrupted(order: Sequence[int]) -> int:
        left = {0: 4, 1: 4}
        count, before = 0, order[0]
        for actor in order:
            count += actor != before and left[before] > 0
            left[actor] -= 1
            before = actor
        return count

    runs: dict[int | None, set[tuple[int, ...]]] = {}
    for limit in (None, bound):
        seen = runs[limit] = set()

        def judge(run: Run, seen: set[tuple[int, ...]] = seen) -> Sequence[str]:
            seen.add(tuple(int(line.split()[1][0]) for line in run.log))
            return []

        case = Case("steps", stored({}), [steps(4), steps(4)], judge, independent=False, cut=False)
        Search(case, bound=limit).run()
    # The actor that goes first is no interruption, but the first actor was at work before.
    allowed = {order for order in runs[None] if interrupted(order) + (order[0] != 0) <= bound}
    assert runs[bound] == allowed


def test_operations_that_meet_no_other_actors_are_not_put_in_all_orders() -> None:
    async def act(run: Run, number: int, driver: ParkingDriver) -> None:
        async with driver:
            for step in range(6):
                await driver.put(f"own/{number}/{step}", b"")
            await driver.put("shared", b"%d" % number)

    ends = set[bytes | None]()

    def judge(run: Run) -> Sequence[str]:
        ends.add(content(run, "shared"))
        return []

    found = Search(Case("apart", stored({}), [act, act], judge)).run()
    assert ends == {b"0", b"1"}
    assert found.whole <= 4  # of 3,432


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


# ---- what is left out changes nothing


def program(random: Random, keys: Sequence[str]) -> Sequence[tuple[str, str]]:
    return [
        (random.choice(["get", "put", "create", "delete", "list", "add"]), random.choice(keys))
        for _ in range(3)
    ]


def doing(program: Sequence[tuple[str, str]], told: dict[int, list[object]]) -> Actor:
    async def act(run: Run, number: int, driver: ParkingDriver) -> None:
        answers = told[number] = []
        async with driver:
            for method, key in program:
                answers.append(await done(driver, number, method, key))

    return act


async def done(driver: ParkingDriver, number: int, method: str, key: str) -> object:
    try:
        match method:
            case "get":
                return (await driver.get(key)).content
            case "put":
                await driver.put(key, b"%d" % number)
            case "delete":
                await driver.delete(key)
            case "list":
                return tuple(info.key for info in (await driver.list_all(key.partition("/")[0])).entries)
            case "create":
                await driver.put(key, b"%d" % number, condition=IfMatch("v1"))
            case "add":
                before = await driver.get(key)
                await driver.put(key, before.content + b"%d" % number)
    except (KeyNotFound, ConditionFailed) as error:
        return type(error).__name__
    return None


@pytest.mark.parametrize("seed", range(20))
def test_cuts_hide_no_outcome(seed: int) -> None:
    random = Random(seed)
    keys = ["a/1", "a/2", f"b/{seed}"]
    programs = [program(random, keys) for _ in range(2)]
    outcomes: list[set[tuple[object, ...]]] = []
    for independent, cut in [(False, False), (False, True), (True, False), (True, True)]:
        told: dict[int, list[object]] = {}
        seen: set[tuple[object, ...]] = set()

        def judge(
            run: Run, told: dict[int, list[object]] = told, seen: set[tuple[object, ...]] = seen
        ) -> Sequence[str]:
            ends = sorted((key, file.content) for key, file in run.store.objects.items())
            seen.add((tuple(ends), tuple(told[0]), tuple(told[1])))
            return []

        actors = [doing(each, told) for each in programs]
        store = stored({"a/1": b"-", "c/1": b"-"})
        Search(Case("random", store, actors, judge, independent=independent, cut=cut)).run()
        outcomes.append(seen)
    assert outcomes[0] == outcomes[1] == outcomes[2] == outcomes[3]


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
