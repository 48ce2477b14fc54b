"""The part of the exploration that runs with all tests; `make explore` runs all of it.

On a store like the memory driver's and on one like MinIO, scenarios are searched with two departures from the usual
order; the large ones with one. On a store that loses an answer, and on one with a second for each write of a tag,
the small scenarios are searched with one departure. Scenarios in which an actor may die are also searched so on a
store like MinIO that loses an answer, and on one on which an actor dies. Schedules that deeper searches found wrong
once run again.
"""

from dataclasses import replace
from datetime import datetime
from itertools import count

import pytest

from revstore_async.driver import Condition, FileInfo

from .acts import answer
from .cases import case
from .explore import Line, all_of, explored, main, told
from .explored_store import (
    MEMORY,
    MEMORY_LOST,
    MINIO,
    MINIO_DEATH,
    MINIO_LOST,
    PROFILES,
    SECONDS,
    ExploredStore,
    Profile,
)
from .scenarios import SCENARIOS, Scenario
from .schedule import Run
from .search import Search, replay
from .seeds import Seed


def bound(scenario: Scenario, profile: Profile) -> int:
    return 2 if profile in {MEMORY, MINIO} and not scenario.large else 1


PART = [
    pytest.param(scenario, profile, id=f"{scenario.name}@{profile.name}")
    for scenario in SCENARIOS.values()
    for profile in (MEMORY, MINIO, SECONDS, MEMORY_LOST)
    if profile in {MEMORY, MINIO} or not scenario.large
]
PART += [
    pytest.param(scenario, profile, id=f"{scenario.name}@{profile.name}")
    for scenario in SCENARIOS.values()
    for profile in (MINIO_LOST, MINIO_DEATH)
    if scenario.deaths and not scenario.large
]


@pytest.mark.parametrize(("scenario", "profile"), PART)
def test_calls_at_once_lose_nothing_and_tell_the_truth(scenario: Scenario, profile: Profile) -> None:
    found = Search(case(scenario, profile), bound=bound(scenario, profile), enough=3).run()
    assert not found.failures, "\n".join(map(told, found.failures))
    assert found.complete


@pytest.mark.parametrize(
    "seed",
    [
        # A writer died that had seen the tag before a deletion and a push of another manifest.
        "put-put-delete@minio-death@3:2,2:4,0:1,0:3,14:1,11:1",
        "put-put-delete@minio-death@2:4,0:5,1:5,15:3,13:1",
    ],
)
def test_a_schedule_that_was_wrong_once_is_right(seed: str) -> None:
    read = Seed.read(seed)
    wrong, log = replay(case(SCENARIOS[read.case], PROFILES[read.profile]), read.choices)
    assert not wrong, "\n".join(log)


@pytest.mark.parametrize(
    ("scenario", "profile"),
    [
        ("mount-mount-delete", MINIO),
        ("append-append", MINIO),
        ("referrer-put-delete", MINIO),
    ],
)
def test_leaving_out_orders_hides_no_outcome(scenario: str, profile: Profile) -> None:
    made = case(SCENARIOS[scenario], profile)
    outcomes: list[set[object]] = []
    for independent in (True, False):
        seen = set[object]()

        def judge(run: Run, seen: set[object] = seen) -> list[str]:
            answers = sorted((call.name, answer(call.answer)) for call in run.calls)
            seen.add((run.store.mark, tuple(answers)))
            return []

        Search(replace(made, independent=independent, judge=judge, look=None)).run()
        outcomes.append(seen)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    ("scenario", "key"),
    [
        ("compare-and-swap", "/current/link"),
        ("compare-and-swap-absent", "/current/link"),
        ("immutable", "/current/link"),
        ("tag-tag", "/current/link"),
        ("append-append", "/state"),
        ("append-finish", "/state"),
        ("append-purge", "/state"),
        ("finish-finish-other", "/state"),
    ],
)
def test_a_store_that_ignores_conditions_is_found_out(
    scenario: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search would see if the engine did without one of its conditions."""
    judging = ExploredStore.set

    def careless(
        self: ExploredStore, stored: str, content: bytes, condition: Condition | None, now: datetime
    ) -> FileInfo:
        return judging(self, stored, content, None if key in stored else condition, now)

    monkeypatch.setattr(ExploredStore, "set", careless)
    assert Search(case(SCENARIOS[scenario], MEMORY), bound=2).run().failures


def test_all_scenarios_are_searched_deeper_until_the_time_is_over() -> None:
    searched = [*all_of("finish-cancel@memory", limit=500, jobs=1, minutes=5)]
    assert {line.profile for line in searched} == {"memory", "memory-lost"}
    assert all(line.reached is None and line.schedules and not line.failures for line in searched)
    assert [line.cut for line in searched] == [None, None]


def test_no_search_begins_when_the_time_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    over = [*all_of("finish-cancel@memory", limit=500, jobs=1, minutes=-1)]
    assert [(line.reached, line.schedules, line.cut) for line in over] == [(0, 0, (1, 0))] * 2
    assert main(["--only", "finish-cancel@memory", "--jobs", "1", "--minutes", "-1"]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert sorted(printed[-3:-1]) == [
        "cut: finish-cancel@memory, 1 departure: before it began",
        "cut: finish-cancel@memory-lost, 1 departure: before it began",
    ]
    assert printed[-1] == "2 searched, 0 schedules, 0 states, 0 failures, 2 cut"


def test_a_search_under_way_is_cut_when_the_time_is_over() -> None:
    """The clock goes on by a second each time that it is read."""
    found = explored("put-put-delete", "minio-death", None, 10**9, end=20, clock=count().__next__)
    assert found is not None
    assert found.cut
    assert not found.complete
    assert found.schedules == 20
    line = Line("put-put-delete", "minio-death")
    assert not line.add(None, found)
    assert (line.schedules, line.reached) == (20, 0)
    assert line.cut_search() == "put-put-delete@minio-death, all orders: after 20 schedules"
    assert str(line).endswith("a part, then cut")
