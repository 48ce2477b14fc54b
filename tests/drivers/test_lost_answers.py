"""A caller learns that a try of its operation got no answer, although a later one succeeded."""

import asyncio

import pytest

from revstore_async.concurrency import gather
from revstore_async.driver.lost_answers import lost_answers, note_lost_answer
from revstore_async.errors import Throttled, Unavailable
from revstore_drivers.buckets.retries import NoTurn, Tries


def unsent() -> Unavailable:
    error = Unavailable("key", "no connection was free")
    error.__cause__ = NoTurn()
    return error


@pytest.mark.parametrize(
    ("error", "count"),
    [(Unavailable("key", "no answer"), 1), (Throttled("key", "slow down", 0.0), 0), (unsent(), 0)],
)
async def test_a_driver_notes_a_try_without_an_answer(error: Unavailable, count: int) -> None:
    with lost_answers() as lost:
        await Tries(3).again(error)
    assert lost.count == count


async def test_tries_of_child_tasks_count() -> None:
    async def child() -> None:
        await asyncio.sleep(0)
        note_lost_answer()

    with lost_answers() as lost:
        await gather(child(), child())
    note_lost_answer()  # outside of the block no caller counts
    assert lost.count == 2
