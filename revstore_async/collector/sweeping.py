"""Deletes the keys of a plan in ranks: a tag before its revision, an index before its children, content last."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from ..concurrency import gather_map
from ..driver import Driver
from ..errors import TagUnknown
from ..formats.names import RepositoryName
from ..tags.store import TagStore
from .filling import Progress
from .planning import Going, Plan
from .survey import Kind

BATCH: Final = 1000
"""Keys of one request."""


async def sweep(
    plan: Plan, driver: Driver, tags_of: Callable[[RepositoryName], TagStore], progress: Progress
) -> None:
    """Delete the keys of a plan while no other program is at work on the store.

    1 request for each 1,000 keys, where the store takes that; for each tag those of its deletion. A rank begins
    when the rank before it is deleted, so that a run that is killed leaves no link to content that is gone.
    """
    progress.phase = "delete"

    async def untag(going: Going) -> None:
        assert going.repository is not None  # noqa: S101 (a tag has one)
        assert going.tag is not None  # noqa: S101
        try:
            await tags_of(going.repository).delete(going.tag)
        except TagUnknown:
            return
        progress.deleted += 1

    for batch in _batches(plan.going(Kind.TAG)):
        await gather_map(untag, batch, limit=driver.capabilities.connections)
    for rank in _ranks(plan):
        for batch in _batches(rank):
            await driver.delete_many([going.key for going in batch])
            progress.deleted += len(batch)
            progress.bytes += sum(going.size for going in batch)


def _ranks(plan: Plan) -> Iterator[Iterable[Going]]:
    yield plan.going(Kind.INDEX, Kind.RECORD)
    yield from plan.revisions_in_ranks()
    for kind in (Kind.BESIDE, Kind.REFERRER, Kind.LAYER, Kind.BLOB):
        yield plan.going(kind)


def _batches(found: Iterable[Going]) -> Iterator[list[Going]]:
    left = iter(found)
    while batch := list(islice(left, BATCH)):
        yield batch
