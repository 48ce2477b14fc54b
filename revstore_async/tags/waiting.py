"""The waits of a tag's writer for the steps of other writers.

A writer waits for two sorts of steps:

- a deletion that has put its delete marker. From then on it may delete the link;
- on a store whose equal links have equal ETags (one without conditional deletion), a change by a writer that saw
  the tag at the very revision that this change gives it. That writer would take the new link for the one that it
  saw.

Each wait ends `Capabilities.metadata_timeout` after the other writer's step. A shorter wait is not safe: a writer
that died leaves the same keys as one whose request is under way, and a storage may take that long to answer it. A
writer whose claim failed takes back its record, and other writers don't wait for it.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from ..concurrency import gather, pauses
from ..driver import Driver
from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag
from ..layout import Layout, TagCurrent, TagDeleted, TagReplaced
from .claims import TagClaims
from .current import read_current
from .records import TagEvent, TagRecord, TagRecords
from .state import Claim, TagChange, TagState

RECENT = 50
"""Keys of the latest changes that are listed together: some twenty changes."""


class TagWaits:
    """Waits for other writers of the tags of one repository."""

    def __init__(self, name: RepositoryName, driver: Driver, layout: Layout, claims: TagClaims) -> None:
        self._name = name
        self._driver = driver
        self._layout = layout
        self._claims = claims

    @property
    def _exact(self) -> bool:
        """Whether the store tells each version of a link from every other."""
        return self._driver.capabilities.conditional_delete

    @property
    def patience(self) -> timedelta:
        """How long after its claim a writer may switch or delete a tag: the deadline of a request's metadata."""
        return self._driver.capabilities.metadata_timeout

    def late(self, since: float) -> bool:
        """Return whether a writer's time is over that began a step then, by the loop's clock."""
        return asyncio.get_running_loop().time() - since > self.patience.total_seconds()

    async def look(self, tag: Tag, limit: int | None = None) -> TagState:
        """Return a tag as it is before a change. 2 requests, 1 round trip.

        Args:
            tag: The tag.
            limit: Keys of the latest changes to list; None for as many as a change needs.
        """
        link, recent = await gather(
            read_current(self._driver, self._layout.key(TagCurrent(self._name, tag))),
            self._claims.recent(tag, limit or (1 if self._exact else RECENT)),
        )
        return TagState(tag, link, recent)

    async def may_switch(self, change: TagChange) -> bool:
        """Wait for other writers' steps before a switch; return whether it may still succeed.

        No request in the usual case; else 2 requests, 1 round trip for each look.
        """
        claim, now = change.claim, change.state
        if claim is None:
            return True
        for pause in pauses():
            if self.late(claim.since) or now.link.etag != change.state.link.etag:
                return False
            if not await self._has_others(change.digest, claim, now):
                return True
            await asyncio.sleep(pause)
            now = await self.look(now.tag, RECENT)
        raise AssertionError("pauses have no end")  # pragma: no cover

    async def _has_others(self, digest: Digest, claim: Claim, now: TagState) -> bool:
        """Return whether other writers' steps are to be waited for.

        No request, unless the tag had the revision lately. Then 1 request for each earlier number without a record,
        and for each without a sign that its change took place.
        """
        since, recent = claim.written - self.patience, now.recent
        if now.link.marked is not None and now.link.marked >= since:
            return True
        if self._exact or not any(record.seen and record.seen.digest == digest for record in recent.records):
            return False
        sure = {record.number for record in recent.records}
        sure -= {record.number for record in undecided(recent, now.current)}
        # A writer of a later number that saw the revision has a record that tells of its return.
        earlier = {number: at for number, at in recent.held.items() if number < claim.record.sequence}
        unsure = {number for number, claimed in earlier.items() if claimed >= since} - sure
        return any(
            isinstance(record, TagReplaced | TagDeleted) and record.digest == digest
            for record in await self._claims.winners(now.tag, sorted(unsure))
        )

    async def settled(self, tag: Tag, digest: Digest) -> TagState:
        """Return a tag when no other writer is about to give it a revision any more. 2 requests, 1 round trip.

        Beside such a writer it waits, `Capabilities.metadata_timeout` at most.
        """
        began = asyncio.get_running_loop().time()
        now = None
        for pause in pauses():
            state = await self.look(tag, RECENT)
            pending = [
                record
                for record in undecided(state.recent, state.current)
                if record.successor == digest and (not self._exact or record.seen == state.current)
            ]
            if state.has(digest) or not pending or self.late(began):
                return state
            if now is None:
                now = await self._claims.store_time(state)
            if all(now - record.written > self.patience for record in pending):
                return state
            await asyncio.sleep(pause)
        raise AssertionError("pauses have no end")  # pragma: no cover


def undecided(recent: TagRecords, current: TagEvent | None) -> Sequence[TagRecord]:
    """Return the records of changes that may still be to come: nothing shows that they took place.

    A change took place if the tag is now as the change made it, or a later writer saw it so. If several writers
    were to do the same, that shows one of their changes only. Then the next record must have seen it.
    """
    found = []
    records = [record for record in recent.records if record.place.flat or record.number in recent.held]
    twins = Counter((record.seen and record.seen.digest, record.successor) for record in records)
    for place, record in enumerate(records):
        later = [each.seen.digest if each.seen else None for each in records[place + 1 :]]
        later.append(current.digest if current else None)
        alone = twins[record.seen and record.seen.digest, record.successor] == 1
        if record.successor not in (later if alone else later[:1]):
            found.append(record)
    return found
