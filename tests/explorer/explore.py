"""The command `make explore`: all scenarios on all profiles, or one seed.

    python -m tests.explorer.explore                          all of it, in parallel
    python -m tests.explorer.explore --only put-delete        the scenarios whose seeds begin so
    python -m tests.explorer.explore --seed 'put-delete-other@minio@3:2,4:1'

The command searches all scenarios with one departure from the usual order, then all with two, then with three, then
in all orders. A search that needs more schedules than allowed is the last one of its scenario. When the time is
over, no further search begins. All scenarios are searched about equally deep, and the table says how far.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field

from .cases import case
from .explored_store import PROFILES
from .scenarios import SCENARIOS
from .search import Failure, Found, Search, replay
from .seeds import Seed

SCHEDULES = 2500
"""Schedules of one search at most."""

MINUTES = 28.0
"""After so long no further search begins."""


BOUNDS: Sequence[int | None] = (1, 2, 3, None)
"""The departures of one search after another; None for all orders."""


@dataclass(slots=True)
class Line:
    """The result of one scenario on one profile.

    Attributes:
        reached: The largest number of departures searched whole; None for all orders, 0 where not even one was.
        schedules: Schedules of all searches.
        states: States of the largest one.
        failures: At most one of each sort.
    """

    scenario: str
    profile: str
    reached: int | None = 0
    schedules: int = 0
    states: int = 0
    failures: dict[str, Failure] = field(default_factory=dict)

    def __str__(self) -> str:
        reached = {None: "all orders", 0: "a part"}.get(self.reached, f"{self.reached} departures")
        return f"{self.scenario:<28} {self.profile:<14} {self.schedules:>9} {self.states:>8}  {reached}"

    def add(self, bound: int | None, found: Found) -> None:
        """Take up the result of a search."""
        self.schedules, self.states = self.schedules + found.schedules, max(self.states, found.states)
        for failure in found.failures:
            self.failures.setdefault(failure.wrong[0], failure)
        if found.complete:
            self.reached = bound


HEAD = f"{'scenario':<28} {'profile':<14} {'schedules':>9} {'states':>8}  searched"


def explored(scenario: str, profile: str, bound: int | None, limit: int, end: float) -> Found | None:
    """Search one scenario on one profile.

    Args:
        scenario: Its name.
        profile: Its name.
        bound: Departures from the usual order at most; None for all orders.
        limit: Schedules at most.
        end: The time, in seconds of `time.time`, after which no search begins; it returns None then.
    """
    if time.time() > end:
        return None
    return Search(case(SCENARIOS[scenario], PROFILES[profile]), bound=bound, limit=limit, enough=3).run()


def all_of(only: str, limit: int, jobs: int, minutes: float) -> Iterator[Line]:
    """Search all scenarios in several processes; yield each when it is searched no deeper."""
    end = time.time() + minutes * 60
    lines = [
        Line(name, profile.name)
        for name, scenario in SCENARIOS.items()
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
                line, found = searches[search], search.result()
                if found is not None:
                    line.add(bound, found)
                if found is not None and found.complete and bound is not None:
                    lines.append(line)
                else:
                    yield line


def told(failure: Failure) -> str:
    """Return the text of a failure."""
    return "\n".join([f"FAILED {failure.seed}", *(f"    {wrong}" for wrong in failure.wrong)])


def replayed(text: str) -> int:
    """Run one seed and print all that happens; return the exit code."""
    seed = Seed.read(text)
    wrong, log = replay(case(SCENARIOS[seed.case], PROFILES[seed.profile]), seed.choices)
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
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, help="after so long no further search begins"
    )
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
    failed = sum(len(line.failures) for line in lines)
    schedules, states = sum(line.schedules for line in lines), sum(line.states for line in lines)
    print(f"{len(lines)} searched, {schedules} schedules, {states} states, {failed} failures")
    return 1 if failed or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
