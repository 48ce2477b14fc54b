"""The requests of a run of the collector beside other programs."""

from collections import Counter

import pytest

from revstore_async import Registry
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.wrappers import TracingDriver
from tests.parts.online_runs import EXPIRING, StagedDriver, held_by_threads, pushed, ready

STATE_AND_LISTS = 40
"""Requests of a run for its state, the store's time, its lists and the folders, however large the store is."""


@pytest.mark.parametrize(("stays", "goes"), [(3, 3), (60, 3), (3, 60)])
def test_a_run_costs_listings_and_batches(stays: int, goes: int) -> None:
    async def program() -> None:
        async with StagedDriver() as driver:
            repository = Registry(driver).repository("library/hello")
            for number in range(stays):
                await pushed(repository, f"stays {number}", f"v{number}")
            for number in range(goes):
                await pushed(repository, f"goes {number}", "old" if number == 0 else "other")
            await repository.tags.delete("other")
            await ready(Registry(driver))
            traced = TracingDriver(driver)
            registry = Registry(traced)
            plan = await registry.collector.plan(EXPIRING)
            planned = len(traced.requests)
            try:
                found = await registry.collector.run(plan)
            finally:
                plan.close()
        assert (found.numbers.tags, found.numbers.revisions) == (1, goes)
        requests = Counter(request.method for request in traced.requests[planned:])
        of_the_tag = 6
        assert requests.total() <= STATE_AND_LISTS + of_the_tag, requests
        assert requests["delete_many"] <= 8
        assert requests["list_all"] <= 5

    with held_by_threads():
        run_on_virtual_clock(program())
