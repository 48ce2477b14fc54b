"""The costs of writes for the collector: the first write of a process, and writes while a run is open."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from revstore_async import Digest, Registry, Repository, RepositoryName
from revstore_async.layout import BlobData, LayerLink, StoredObject
from revstore_async.runs.state import Phase
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import LatencyDriver, TracingDriver
from tests.costs.test_costs import LAYER, ROWS, Row, Work, prepare
from tests.parts.runs_at_work import RunAtWork

NAME = RepositoryName("library/hello")
HERE: list[StoredObject] = [LayerLink(NAME, Digest.of(LAYER)), BlobData(Digest.of(LAYER))]
ELSEWHERE: list[StoredObject] = [BlobData(Digest.of(bytes([number]))) for number in range(200)]
FAR = datetime.now(UTC) + timedelta(days=9)


async def costs(
    work: Work, *, listed: list[StoredObject] | None = None, cold: bool = False
) -> tuple[int, int]:
    """Return round trips and requests of an operation.

    Args:
        work: The operation.
        listed: The objects that an open run has condemned; None without a run.
        cold: Whether it is the first of its process.
    """
    memory = MemoryDriver()
    tracing = TracingDriver(LatencyDriver(memory, 1.0))
    async with Registry(tracing) as registry:
        repository = registry.repository(NAME)
        await prepare(repository)
        if listed is not None:
            await RunAtWork(memory, [listed]).enter(Phase.CONDEMNED, until=FAR)
            await asyncio.sleep(61)  # a kept state is not used for longer
            await repository.uploads.start()
            await repository.blobs.put(b"a write by which the process knows of the run")
        tracing.reset()
        await work(Registry(tracing).repository(NAME) if cold else repository)
        return tracing.round_trips, len(tracing.requests)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_run_that_lists_other_keys_costs_nothing(row: Row) -> None:
    assert run_on_virtual_clock(costs(row.work, listed=ELSEWHERE)) == (row.round_trips, row.requests)


async def put(repository: Repository) -> None:
    await repository.blobs.put(LAYER)


async def rely(repository: Repository) -> None:
    await repository.blobs.rely_on(Digest.of(LAYER))


@pytest.mark.parametrize(("work", "round_trips", "requests"), [(put, 2, 2), (rely, 1, 2)])
def test_the_first_write_of_a_process_asks_for_the_state(work: Work, round_trips: int, requests: int) -> None:
    assert run_on_virtual_clock(costs(work, cold=True)) == (1 + round_trips, 1 + requests)


@pytest.mark.parametrize(("work", "round_trips", "requests"), [(put, 2, 2), (rely, 1, 2)])
def test_a_rescue_is_one_request_a_key_and_one_for_the_state(
    work: Work, round_trips: int, requests: int
) -> None:
    """And one before: only a yes comes from the state in memory."""
    more_trips = 2 if work is put else 2 + round_trips  # what it looked at before is looked at again
    more_requests = len(HERE) + 1 + (0 if work is put else requests)
    found = run_on_virtual_clock(costs(work, listed=HERE))
    assert found == (round_trips + 1 + more_trips, requests + 1 + more_requests)
