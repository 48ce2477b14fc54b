"""Runs of the collector beside other calls: the part of the search that runs with all tests.

Each scenario is searched with one departure from the usual order: one call stops at any step, and sleeps until the
other one is done. `make explore` searches deeper.
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
    if profile is MEMORY_RUNS or (MEMORY_RUNS not in scenario.profiles and not scenario.large)
]
LIMIT = 200
"""Schedules of one search at most: a search that loses answers has more."""


@pytest.mark.parametrize(("scenario", "profile"), PART)
def test_a_run_takes_nothing_that_is_needed(scenario: Scenario, profile: Profile) -> None:
    found = Search(case(scenario, profile), bound=1, limit=LIMIT, enough=3).run()
    assert not found.failures, "\n".join(map(told, found.failures))
    assert found.complete or profile.lost_answers
