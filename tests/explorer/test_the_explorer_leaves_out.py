"""The explorer runs as many schedules as a formula says, and leaves out only those that lead to nothing new."""

from collections.abc import Sequence
from math import factorial, prod
from random import Random

import pytest

from revstore_async.driver import IfMatch
from revstore_async.errors import ConditionFailed, KeyNotFound

from .parking import ParkingDriver
from .schedule import Actor, Run
from .search import Case, Search
from .toys import content, steps, stored

# ---- how many schedules there are


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
