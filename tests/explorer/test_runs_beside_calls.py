"""Runs of the collector beside other calls: the part of the search that runs with all tests.

Each scenario is searched with one departure from the usual order: one call stops at some step, and sleeps until the
other one is done. A search runs some of these schedules; `make explore` runs all of them, and searches deeper.
"""

import pytest

from .cases import case
from .explore import told
from .explored_store import MEMORY_RUNS, Profile
from .run_scenarios import RUNS
from .scenarios import Scenario
from .search import Search

PART = [
    pytest.param(scenario, profile, id=f"{scenario.name}@{profile.name}")
    for scenario in RUNS.values()
    for profile in scenario.profiles
    if not scenario.large and (profile is MEMORY_RUNS or MEMORY_RUNS not in scenario.profiles)
]


LIMIT = 50
"""Schedules of one search at most."""


@pytest.mark.parametrize(("scenario", "profile"), PART)
def test_a_run_takes_nothing_that_is_needed(scenario: Scenario, profile: Profile) -> None:
    found = Search(case(scenario, profile), bound=1, limit=LIMIT, enough=3).run()
    assert not found.failures, "\n".join(map(told, found.failures))
    assert found.complete or found.schedules == LIMIT
