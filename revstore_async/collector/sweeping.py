"""Deletes the keys of a plan in ranks: a tag before its revision, an index before its children, content last."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile
from typing import Final

from ..concurrency import gather_map, in_thread, pauses, settled
from ..driver import Driver
from ..driver.lost_answers import lost_answers
from ..errors import (
    AccessDenied,
    DeletionExpired,
    LinkDamaged,
    TagChanged,
    TagContended,
    TagImmutable,
    TagUnknown,
    Unavailable,
)
from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag
from ..tags.store import TagStore
from .lists import Condemning
from .owned import OwnedRun
from .planning import Numbers, Plan
from .progress import Progress
from .survey import Kind, Survey

BATCH: Final = 1000
"""Keys of one request. Fewer go at once where the store takes one key at a time, since each deletion has an end."""

TagsOf = Callable[[RepositoryName], TagStore]


_CONDEMNED: Final = """
SELECT o.rowid, o.kind, o.key, o.size, o.repository, o.digest, o.tag, c.step, c.place
FROM condemned c JOIN object o ON o.rowid = c.object WHERE c.shard = ? AND c.place > ?
AND (c.hash IS NULL OR c.hash NOT IN (SELECT hash FROM spared)) ORDER BY c.place LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class _Condemned:
    """A key to delete, as the survey has it."""

    row: int
    kind: int
    key: str
    size: int
    repository: str | None
    digest: str | None
    tag: str | None
    step: int
    place: int

    @property
    def of_tag(self) -> tuple[RepositoryName, Tag]:
        """The repository and the tag of a tag's link."""
        assert self.repository is not None  # noqa: S101 (a tag has these)
        assert self.tag is not None  # noqa: S101
        return RepositoryName(self.repository), Tag(self.tag)


def _read(survey: Survey, shard: int, after: int, count: int) -> Sequence[_Condemned]:
    """Return the next keys to delete, all of one step: an index is not deleted together with its children.

    Args:
        survey: The survey, with the condemned and the spared keys.
        shard: The number of the shard.
        after: The place of the last key of the shard that was read; 0 at first.
        count: The most keys.
    """
    rows = [_Condemned(*row) for row in survey.db.execute(_CONDEMNED, (shard, after, count))]
    return list(takewhile(lambda each: each.step == rows[0].step, rows))


async def _batches(survey: Survey, shard: int, count: int) -> AsyncGenerator[Sequence[_Condemned], None]:
    """Yield the keys of a shard in batches; a thread reads them from the database."""
    place = 0
    while batch := await in_thread(_read, survey, shard, place, count):
        yield batch
        place = batch[-1].place


async def sweep(plan: Plan, driver: Driver, root: str, tags_of: TagsOf, progress: Progress) -> None:
    """Delete the keys of a plan while no other program is at work on the store.

    1 request for each 1,000 keys, where the store takes that; for each tag those of its deletion. A rank begins
    when the rank before it is deleted, so that a run that is killed leaves no link to content that is gone.

    Args:
        plan: The plan.
        driver: The storage.
        root: The root of the store.
        tags_of: Returns the tags of a repository.
        progress: A value to follow the run by.
    """
    progress.begin("delete", todo=plan.numbers.keys)

    async def untag(going: _Condemned) -> None:
        name, tag = going.of_tag
        with suppress(TagUnknown):
            await tags_of(name).delete(tag)
            progress.deleted += 1

    condemning = Condemning(plan.survey, root, shard_keys=sys.maxsize, run_keys=sys.maxsize)
    for shard in range(await in_thread(condemning.condemn)):
        async for batch in _batches(plan.survey, shard, BATCH):
            if batch[0].kind == Kind.TAG:
                await gather_map(untag, batch, limit=driver.capabilities.connections)
                continue
            await driver.delete_many([going.key for going in batch])
            progress.deleted += len(batch)
            progress.bytes += sum(going.size for going in batch)


# ---- beside other programs

_DELETION_TRIES: Final = 6
_GRACE: Final = 10.0
"""Seconds that a cancelled run waits for the answer of its last deletion."""


class OnlineSweep:
    """Deletes the condemned keys of a run while other programs are at work.

    Args:
        survey: The survey, with the condemned and the spared keys.
        driver: The storage.
        tags_of: Returns the tags of a repository.
        owned: The run.
        keep: Keeps the condemned keys of some rows, with all that they refer to, for a reason.
        progress: A value to follow the run by.

    Attributes:
        is_unsure: Whether a deletion got no definite answer, so that the store may still carry it out.
        last_end: The latest end of a deletion; None without one.
    """

    def __init__(
        self,
        survey: Survey,
        driver: Driver,
        tags_of: TagsOf,
        owned: OwnedRun,
        keep: Callable[[Sequence[int], str], Awaitable[None]],
        progress: Progress,
    ) -> None:
        self._survey = survey
        self._driver = driver
        self._tags_of = tags_of
        self._owned = owned
        self._keep = keep
        self._progress = progress
        self._counts: dict[Kind, tuple[int, int]] = {}
        self._under_way = 0
        self.is_unsure: bool = False
        self.last_end: datetime | None = None

    @property
    def numbers(self) -> Numbers:
        """How much was deleted."""
        return Numbers.of(self._counts)

    @property
    def is_answered(self) -> bool:
        """Whether each deletion got a definite answer."""
        return not (self.is_unsure or self._under_way)

    async def delete_shards(self, count: int) -> None:
        """Delete the condemned keys, shard by shard.

        1 request for each 1,000 keys, where the store takes that; for each tag those of its deletion; 1 for each
        shard. A shard with a deletion without an answer does not count as deleted, nor do the shards after it.

        Raises:
            RunLost: Another process ended the run.
            Unavailable: The storage did not answer.
        """
        self._progress.begin("delete", todo=sum(shard.keys for shard in self._owned.state.shards))
        able = self._driver.capabilities
        together = BATCH if able.bulk_delete else min(BATCH, able.connections)
        for shard in range(count):
            async for batch in _batches(self._survey, shard, together):
                await self._delete(batch)
            if not self.is_unsure:
                await self._owned.change(done=shard + 1)

    async def _delete(self, batch: Sequence[_Condemned]) -> None:
        with lost_answers() as lost:
            try:
                if batch[0].kind == Kind.TAG:
                    deleted = await self._untag_each(batch)
                else:
                    deleted = await self._delete_many(batch)
            finally:
                self.is_unsure |= bool(lost.count)
        for each in deleted:
            keys, size = self._counts.get(Kind(each.kind), (0, 0))
            self._counts[Kind(each.kind)] = keys + 1, size + each.size
        self._progress.deleted += len(deleted)
        self._progress.bytes += sum(each.size for each in deleted)

    async def _untag_each(self, tags: Sequence[_Condemned]) -> Sequence[_Condemned]:
        found = await gather_map(self._untag, tags, limit=self._driver.capabilities.connections)
        refused = [tag.row for tag, is_gone in zip(tags, found, strict=True) if not is_gone]
        if refused:
            await self._keep(refused, "it could not be deleted")
        return [tag for tag, is_gone in zip(tags, found, strict=True) if is_gone]

    async def _untag(self, tag: _Condemned) -> bool:
        """Delete a tag; return whether it is gone."""
        assert tag.digest is not None  # noqa: S101 (the link of a tag without one is no tag that goes)
        repository, name = tag.of_tag
        digest, changes = Digest(tag.digest), self._tags_of(repository).changes
        try:
            await self._answered(lambda until: changes.sweep(name, digest, until))
        except TagUnknown:  # a client deleted it, or an earlier try did
            return True
        except (AccessDenied, LinkDamaged, TagChanged, TagContended, TagImmutable):
            return False
        return True

    async def _delete_many(self, batch: Sequence[_Condemned]) -> Sequence[_Condemned]:
        keys = [each.key for each in batch]
        try:
            await self._answered(lambda until: self._driver.delete_many(keys, until=until))
        except AccessDenied:  # the store may have deleted some of them
            await self._keep([each.row for each in batch], "it could not be deleted")
            return []
        return batch

    async def _noted(self, deletion: Awaitable[None]) -> None:
        """Wait for a deletion, and count it among those under way until it is answered."""
        self._under_way += 1
        try:
            await deletion
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._under_way -= 1
            raise
        self._under_way -= 1

    async def _answered(self, deletion: Callable[[datetime | None], Awaitable[None]]) -> None:
        """Try a deletion until it is answered.

        Raises:
            RunLost: Another process ended the run.
            Unavailable: The storage did not answer any try.
        """
        failed: Unavailable | DeletionExpired | None = None
        for pause in islice(pauses(), _DELETION_TRIES):
            end = await self._owned.deletion_end()
            if end is not None:
                self.last_end = max(end, self.last_end or end)
            try:
                await settled(self._noted(deletion(end)), grace=_GRACE)
            except DeletionExpired as error:  # the process stood still, or its clock did
                failed = error
                await self._owned.ask_time()
            except Unavailable as error:
                self.is_unsure = True
                if not error.retryable:
                    raise
                failed = error
            else:
                return
            await asyncio.sleep(pause)
        assert failed is not None  # noqa: S101
        raise failed
