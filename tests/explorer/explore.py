"""The command `make explore`: all scenarios on all profiles, or one seed.

    python -m tests.explorer.explore                          all of it, in parallel
    python -m tests.explorer.explore --only put-delete        the scenarios whose seeds begin so
    python -m tests.explorer.explore --seed 'put-delete-other@minio@3:2,4:1'

The command searches all scenarios with one departure from the usual order, then all with two, then with three, then
in all orders. A search that needs more schedules than allowed is the last one of its scenario. All scenarios are
searched about equally deep, and the table says how far. When the time is over, the command cuts the searches under
way: each ends after its current schedule. The end of the output names them, each with its count of schedules.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field

from .cases import case
from .explored_store import PROFILES
from .run_scenarios import EVERY
from .search import Failure, Found, Search, replay
from .seeds import Seed

SCHEDULES = 2500
"""Schedules of one search at most."""

MINUTES = 28.5
"""After so long all searches end. The rest of half an hour is for the last schedules of a slow machine."""


BOUNDS: Sequence[int | None] = (1, 2, 3, None)
"""The departures of one search after another; None for all orders."""


@dataclass(slots=True)
class Line:
    """The result of one scenario on one profile.

    Attributes:
        reached: The largest number of departures searched whole; None for all orders, 0 where not even one was.
        schedules: Schedules of all searches.
        states: States of the largest one.
        cut: The departures of the search that the end cut (None for all orders), and the schedules that it had run;
            0 schedules for a search that did not begin. None where the end cut no search.
        failures: At most one of each sort.
    """

    scenario: str
    profile: str
    reached: int | None = 0
    schedules: int = 0
    states: int = 0
    cut: tuple[int | None, int] | None = None
    failures: dict[str, Failure] = field(default_factory=dict)

    def __str__(self) -> str:
        reached = "a part" if self.reached == 0 else departures(self.reached)
        how = "" if self.cut is None else ", then cut"
        return f"{self.scenario:<28} {self.profile:<14} {self.schedules:>9} {self.states:>8}  {reached}{how}"

    def cut_search(self) -> str:
        """Return the text of the search that the end cut."""
        bound, schedules = self.cut or (None, 0)
        ran = f"after {schedules} schedules" if schedules else "before it began"
        return f"{self.scenario}@{self.profile}, {departures(bound)}: {ran}"

    def add(self, bound: int | None, found: Found | None) -> bool:
        """Take up the result of a search; return whether a deeper one may follow.

        Args:
            bound: The departures of the search; None for all orders.
            found: The result; None if the time was over before the search began.
        """
        if found is None or found.cut:
            self.cut = (bound, found.schedules if found else 0)
        if found is None:
            return False
        self.schedules, self.states = self.schedules + found.schedules, max(self.states, found.states)
        for failure in found.failures:
            self.failures.setdefault(failure.wrong[0], failure)
        if found.complete:
            self.reached = bound
        return found.complete and bound is not None


def departures(bound: int | None) -> str:
    """Return the text of a search's bound."""
    return "all orders" if bound is None else f"{bound} departure{'' if bound == 1 else 's'}"


HEAD = f"{'scenario':<28} {'profile':<14} {'schedules':>9} {'states':>8}  searched"


def explored(
    scenario: str,
    profile: str,
    bound: int | None,
    limit: int,
    end: float,
    clock: Callable[[], float] = time.time,
) -> Found | None:
    """Search one scenario on one profile, until the time is over; return None if it is over before that.

    Args:
        scenario: Its name.
        profile: Its name.
        bound: Departures from the usual order at most; None for all orders.
        limit: Schedules at most.
        end: When the time is over, in seconds of the clock.
        clock: The clock.
    """
    if clock() > end:
        return None
    made = case(EVERY[scenario], PROFILES[profile])
    return Search(made, bound=bound, limit=limit, enough=3, over=lambda: clock() > end).run()


def all_of(only: str, limit: int, jobs: int, minutes: float) -> Iterator[Line]:
    """Search all scenarios in several processes; yield each when it is searched no deeper."""
    end = time.time() + minutes * 60
    lines = [
        Line(name, profile.name)
        for name, scenario in EVERY.items()
        for profile in scenario.profiles
        if f"{name}@{profile.name}".startswith(only)
    ]
    with ProcessPoolExecutor(jobs) as pool:
        for bound in BOUNDS:
            searches = {
                pool.submit(explored, line.scenario, line.profile, bound, limit, end): line for line in lines
            }
            lines = []
            for search in as_completed(searches):
                line = searches[search]
                if line.add(bound, search.result()):
                    lines.append(line)
                else:
                    yield line


def told(failure: Failure) -> str:
    """Return the text of a failure."""
    return "\n".join([f"FAILED {failure.seed}", *(f"    {wrong}" for wrong in failure.wrong)])


def summary(lines: Sequence[Line]) -> Sequence[str]:
    """Return the end of the output: all failures once more, the searches that were cut, and the sums."""
    failures = [failure for line in lines for failure in line.failures.values()]
    cut = [line for line in lines if line.cut is not None]
    schedules, states = sum(line.schedules for line in lines), sum(line.states for line in lines)
    return [
        *(f"cut: {line.cut_search()}" for line in cut),
        *map(told, failures),
        f"{len(lines)} searched, {schedules} schedules, {states} states, {len(failures)} failures, {len(cut)} cut",
    ]


def replayed(text: str) -> int:
    """Run one seed and print all that happens; return the exit code."""
    seed = Seed.read(text)
    wrong, log = replay(case(EVERY[seed.case], PROFILES[seed.profile]), seed.choices)
    print(*log, sep="\n")
    print(*(wrong or ["nothing is wrong"]), sep="\n")
    return 1 if wrong else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code: 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seed", default="", help="a schedule to run, and to print step by step")
    parser.add_argument(
        "--only", default="", help="search only what begins so: a scenario, or scenario@profile"
    )
    parser.add_argument("--schedules", type=int, default=SCHEDULES, help="schedules of one search at most")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="after so long all searches end")
    given = parser.parse_args(arguments)
    if given.seed:
        return replayed(given.seed)
    print(HEAD)
    lines = []
    for line in all_of(given.only, given.schedules, given.jobs, given.minutes):
        lines.append(line)
        print(line, flush=True)
        for failure in line.failures.values():
            print(told(failure), flush=True)
    print(*summary(lines), sep="\n")
    return 1 if any(line.failures for line in lines) or not any(line.schedules for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
