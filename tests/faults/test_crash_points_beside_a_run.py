"""The world stops at every storage operation of every write, while a run has condemned all that the store holds.

Each acknowledged write has rescued its objects: the run goes on after the stop, and deletes none of them.
"""

import itertools
from dataclasses import replace

import pytest

from revstore_async import CURRENT, Repository
from revstore_async.driver import Driver, entries
from revstore_async.layout import BlobData, LayerLink, RevisionLink, StoredObject, TagCurrent, TagIndex
from revstore_async.runs.state import Phase
from tests.faults.test_crash_points import WRITES, Write, attempt, faults, look, prepared, whole
from tests.parts.runs_at_work import RunAtWork

KINDS = BlobData | LayerLink | RevisionLink | TagCurrent | TagIndex


async def condemned(repository: Repository) -> object:
    """Condemn all objects of the store that a run could delete."""
    return await (await run_on(repository._driver)).enter(Phase.CONDEMNED)


async def run_on(driver: Driver) -> RunAtWork:
    items = [CURRENT.parse(info.key) async for info in entries(driver.list_all, CURRENT.contents)]
    objects: list[StoredObject] = [item for item in items if isinstance(item, KINDS)]
    return RunAtWork(driver, [objects])


async def rescued(driver: Driver) -> set[str]:
    async with driver:
        return await RunAtWork(driver, []).rescued()


@pytest.mark.parametrize("fault", faults())
@pytest.mark.parametrize(
    "write",
    [write for write in WRITES if not write.name.startswith("deletion")],
    ids=lambda write: write.name,
)
async def test_what_is_acknowledged_is_rescued(write: Write, fault: str) -> None:
    write = replace(write, before=[*write.before, condemned])
    opened = await prepared(write)
    before = await look(opened())
    assert await attempt(write, opened()) is None
    after, needed = await look(opened()), await rescued(opened())
    for k in itertools.count():
        opened = await prepared(write)
        driver = faults()[fault](opened(), k)
        error = await attempt(write, driver)
        now = await look(opened())
        whole(before, now, after)
        if error is None:
            assert await rescued(opened()) >= needed, f"acknowledged, though stopped at {k}"
        if driver.operations <= k:
            assert error is None
            break
        again = await attempt(write, opened())
        assert again is None or now == after
        assert await look(opened()) == after
        assert await rescued(opened()) >= needed
