"""The steps of a tag's change: a look, an announcement, a switch. Each is one round trip at most.

A tag is its current link, one object. The replacement of that object is the one visible switch. Before a writer
switches it, the writer

- claims the next number of the tag's changes: one object, written only where there is none;
- leaves the record of what it saw and of what it is about to do (see `revstore_async.tags.history`);
- writes the index link that Docker Distribution keeps for the new revision.

The writer makes the switch over the very link that it saw. If another writer was first, it takes its record back
and begins anew. Each change that took place has a number of its own, and the numbers are the order of the changes.

A deletion deletes the very link that it saw. If the store can't delete on a condition, the deletion first replaces
that link by a delete marker (see `revstore_async.tags.current`). If the store does not tell equal links apart, a
writer gives a tag no revision that another writer saw and may still switch: that writer would take the new link for
the one that it saw.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from ..blobs.links import LinkStore
from ..concurrency import gather
from ..driver import Condition, Driver, IfAbsent, IfMatch
from ..errors import (
    ConditionFailed,
    RevstoreError,
    StorageFull,
    TagContended,
    TagImmutable,
    TagUnknown,
    Unsupported,
)
from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag
from ..layout import Layout, StoredObject, TagCurrent, TagIndex
from ..policy import Policy
from .claims import TagClaims
from .current import new_delete_marker, read_current
from .state import ChangeRecord, Claim, Expected, Switch, TagChange, TagState
from .waiting import TagWaits

TRIES: Final = 100
"""How often a change is tried anew when other writers change the tag meanwhile."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep of the collector, for the deletion of a tag.

    Attributes:
        until: When the deletion ends at the latest, by the store's clock; None where the driver can't say so.
    """

    until: datetime | None


class TagChanges:
    """The steps by which the tags of one repository change, for callers that take them together with others.

    Attributes:
        claims: The numbers and records of the changes.
        waits: The looks at a tag, and the waits for other writers.
    """

    def __init__(self, name: RepositoryName, driver: Driver, layout: Layout, policy: Policy) -> None:
        self._name = name
        self._driver = driver
        self._links = LinkStore(driver)
        self._layout = layout
        self._policy = policy
        self.claims: TagClaims = TagClaims(name, driver, layout)
        self.waits: TagWaits = TagWaits(name, driver, layout, self.claims)

    def _key(self, tag: Tag) -> str:
        return self._layout.key(TagCurrent(self._name, tag))

    # ---- setting

    def written(self, tag: Tag, digest: Digest) -> Sequence[StoredObject]:
        """Return the objects of a change for the gate of writers: the links. No request."""
        return TagCurrent(self._name, tag), TagIndex(self._name, tag, digest)

    async def begin(self, tag: Tag, digest: Digest, expected: Expected = None) -> TagChange:
        """Return the change that points a tag at a revision. 2 requests, 1 round trip."""
        return TagChange(await self.waits.look(tag), digest, expected)

    def check(self, change: TagChange) -> None:
        """Check whether a tag may be changed from the state that was seen. No request.

        Raises:
            TagChanged: It is not as expected.
            TagImmutable: The policy forbids to move it.
            LinkDamaged: Something is expected, but the tag's link is damaged.
            Unsupported: The driver lacks the conditional writes that this takes.
        """
        state = change.state
        immutable = self._policy.immutable(self._name, state.tag)
        if (immutable or change.expected is not None) and not self._driver.capabilities.conditional_put:
            raise Unsupported(self._driver.name, "compare-and-swap of tags, nor immutable tags")
        if immutable and state.link.is_there and not change.is_done:
            raise TagImmutable(self._name, state.tag, (state.current and state.current.digest) or "")
        state.check(self._name, change.expected)

    async def announce(self, change: TagChange) -> TagChange:
        """Write claim, record and index link of a change, before its switch. 3 requests, 1 round trip.

        If another writer claimed the number, the writer looks again: 3 requests, 2 round trips more.

        Raises:
            TagChanged: The tag is not as expected any more; nothing was changed.
            TagImmutable: The policy forbids to move it.
            TagContended: Others changed it each of 100 times.
        """
        index = self._layout.key(TagIndex(self._name, change.state.tag, change.digest))
        for _ in range(TRIES):
            if change.is_done:
                # It may have gone with a deletion at the same time. It is looked for first, as it is there nearly
                # always: a create-only write that finds it may cost a driver a second request.
                if not await self._links.linked(index):
                    await self._links.create(index, change.digest)
                return change
            record = self.claims.record(change.state, change.digest)
            if record is None:
                await self._links.create(index, change.digest)
                return change
            try:
                _, claim = await gather(self._links.create(index, change.digest), self.claims.claim(record))
            except ConditionFailed:
                state, _ = await gather(self.waits.look(change.state.tag), self.claims.give_way(record))
                change = replace(change, state=state)
                self.check(change)
            else:
                return replace(change, claim=claim)
        raise TagContended(self._name, change.state.tag)

    async def switch(self, change: TagChange) -> Switch:
        """Try to point a tag at its revision: the visible change. 1 request.

        If the tag has the revision already, the request asks whether it still has it. Beside a deletion of the tag,
        the writer waits for the end of the deletion, `Capabilities.metadata_timeout` at most. On a store whose
        equal links have equal ETags, it also waits for a writer that saw the tag at this revision before.

        Returns:
            Whether the tag points at the revision. If not, another writer was first, and the caller goes on from
            `again`. It announces anew, and asks anew for what it relies on, since a deletion of the revision finds
            only tags that were announced before it looks.
        """
        state, key = change.state, self._key(change.state.tag)
        if change.is_done:
            current = await read_current(self._driver, key)
            return Switch(current.event is not None and current.event.digest == change.digest, current.date)
        if not await self.waits.may_switch(change):
            return Switch(done=False)
        condition: Condition | None = None
        if self._driver.capabilities.conditional_put:
            condition = IfAbsent() if state.link.etag is None else IfMatch(state.link.etag)
        try:
            info = await self._driver.put(key, change.digest.encode(), condition=condition)
        except ConditionFailed:
            return Switch(done=False)
        return Switch(True, info.modified)

    async def again(self, change: TagChange, *, switched: bool = False) -> TagChange:
        """Return a change as it begins anew. 2 requests, 1 round trip; 2 requests more to take the old record back.

        Args:
            change: The change.
            switched: Whether it took place. Then its record stays.
        """
        claim = None if switched else change.claim
        state = await self._look_again(change.state.tag, claim)
        return TagChange(state, change.digest, change.expected)

    async def take_back(self, change: TagChange) -> None:
        """Take back a change that was announced and is not to be switched. 2 requests, 1 round trip."""
        if change.claim is not None:
            await self.claims.take_back(change.claim.record)

    async def _look_again(self, tag: Tag, claim: Claim | None) -> TagState:
        if claim is None:
            return await self.waits.look(tag)
        _, state = await gather(self.claims.take_back(claim.record), self.waits.look(tag))
        return state

    # ---- deleting

    def check_deletion(self, state: TagState, expected: Expected = None) -> None:
        """Check whether a tag may be deleted. No request.

        Raises:
            TagImmutable: The policy forbids it.
            TagChanged: It is not as expected.
            LinkDamaged: Something is expected, but the tag's link is damaged.
            Unsupported: Something is expected, and the driver lacks conditional writes.
        """
        capabilities = self._driver.capabilities
        if expected is not None and not (capabilities.conditional_delete or capabilities.conditional_put):
            raise Unsupported(self._driver.name, "compare-and-swap deletion of tags")
        if self._policy.immutable(self._name, state.tag):
            raise TagImmutable(self._name, state.tag, (state.current and state.current.digest) or "")
        state.check(self._name, expected)

    async def delete(
        self,
        state: TagState,
        wanted: Callable[[TagState], bool],
        expected: Expected = None,
        sweep: Sweep | None = None,
    ) -> bool:
        """Delete a tag as long as its state is one in which that is wanted; return whether it was.

        6 requests, 4 round trips with the look before it. If the driver lacks conditional deletion, 1 request and 1
        round trip more: the writer puts a delete marker.

        Args:
            state: The tag as it was seen.
            wanted: Tells whether to delete a tag of a state.
            expected: What the tag must point at.
            sweep: The sweep of the collector that deletes it; None for any other caller. In a sweep no writer
                changes the tag, so the link is deleted without a marker. The links of the tag's index stay: the
                collector knows which of them go.

        Raises:
            TagImmutable: The policy forbids to delete it.
            TagChanged: It is not as expected; nothing was deleted.
            LinkDamaged: Something is expected, but the tag's link is damaged.
            Unsupported: Something is expected, and the driver lacks conditional writes.
            TagContended: Others changed it each of 100 times.
        """
        for _ in range(TRIES):
            if not state.link.is_there or not wanted(state):
                await self._clear(state)
                return False
            self.check_deletion(state, expected)
            record = self.claims.record(state, None)
            try:
                claim = await self._announce_deletion(record)
            except ConditionFailed:
                state, _ = await gather(self.waits.look(state.tag), self.claims.give_way(record))
                continue
            if not await self._remove(state, claim, sweep):
                state = await self._look_again(state.tag, claim)
                continue
            # The index goes last: it is how the tags of a revision are found. What is left of it names a tag that
            # is not there, which every reader sees.
            if sweep is None:
                with suppress(RevstoreError):
                    await self._driver.delete_prefix(self._layout.index_of(self._name, state.tag))
            if claim is None:
                with suppress(ConditionFailed):
                    await self._announce_deletion(record)
            return True
        raise TagContended(self._name, state.tag)

    async def sweep(self, tag: Tag, digest: Digest, until: datetime | None) -> None:
        """Delete a tag that a run of the collector condemned. 6 requests, 4 round trips; 1 more without conditions.

        Args:
            tag: The tag.
            digest: The revision that the run saw it at.
            until: When the deletion ends at the latest, by the store's clock; None where the driver can't say so.

        Raises:
            DeletionExpired: The deletion reached the store after its end.
            LinkDamaged: The tag's link is damaged.
            TagUnknown: There is no such tag.
            TagChanged: The tag is another revision's; nothing was deleted.
            TagImmutable: The policy forbids to delete it.
            TagContended: Others changed it each of 100 times.
        """
        state = await self.waits.look(tag)
        if not await self.delete(state, lambda state: state.link.is_there, digest, Sweep(until)):
            raise TagUnknown(self._name, tag)

    async def _announce_deletion(self, record: ChangeRecord | None) -> Claim | None:
        """Claim the number of a deletion and leave its record, where there is something to record.

        A deletion makes room, so it goes on without its record on a full store, and writes it after.
        """
        if record is None:
            return None
        try:
            return await self.claims.claim(record)
        except StorageFull:
            return None

    async def _remove(self, state: TagState, claim: Claim | None, sweep: Sweep | None) -> bool:
        """Delete a tag's current link, if it is the one that was seen; return whether it was."""
        key, etag = self._key(state.tag), state.link.etag or ""
        capabilities = self._driver.capabilities
        until = None if sweep is None else sweep.until
        try:
            if capabilities.conditional_delete:
                await self._driver.delete(key, condition=IfMatch(etag), until=until)
                return True
            if capabilities.conditional_put and sweep is None:
                return await self._replace_and_delete(key, etag, claim)
        except ConditionFailed:
            return False
        except StorageFull:
            pass  # there is no room for a marker
        if (await read_current(self._driver, key)).etag != etag:
            return False
        await self._driver.delete(key, until=until)
        return True

    async def _replace_and_delete(self, key: str, etag: str, claim: Claim | None) -> bool:
        """Replace a link by a delete marker, and delete that. 2 requests, 2 round trips.

        Raises:
            ConditionFailed: It is not the link that was seen.
        """
        if claim is not None and self.waits.late(claim.since):
            return False  # other writers don't wait for it any more
        since = asyncio.get_running_loop().time()
        await self._driver.put(key, new_delete_marker().encode(), condition=IfMatch(etag))
        if not self.waits.late(since):  # else another writer may have put a link over the marker
            await self._driver.delete(key)
        return True

    async def _clear(self, state: TagState) -> None:
        """Delete the delete marker of a deletion that died, if there is one."""
        marked = state.link.marked
        if marked is None or await self.claims.store_time(state) - marked <= self.waits.patience:
            return
        with suppress(ConditionFailed):
            await self._replace_and_delete(self._key(state.tag), state.link.etag or "", None)
