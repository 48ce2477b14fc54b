"""How a tag changes: looked at, announced, switched. Each is one round trip, or none.

A tag is its current link, one object whose replacement is the one visible switch. Before a writer switches it, the
writer

- claims the next number of the tag's changes: one object, written only where there is none;
- leaves the record of what it saw and of what it is about to do (see `revstore_async.tags.history`);
- writes the index link that Docker Distribution keeps for the new revision.

The writer makes the switch over the very link that it saw. Where another writer was first, it takes its record
back and begins anew. So each change that took place has a number of its own, and the numbers are the order of the
changes.

Some stores can't delete on a condition, and don't tell equal links apart (MinIO). There a deletion leaves a mark
while it is under way, and looks again before it deletes. A writer that moved or made a tag meanwhile waits for the
end of the deletion, and sets the tag again if it is gone. And no writer gives a tag the content that another one
saw while that one may still switch the tag: it would take the new link for the one it saw.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from ..blobs.links import LINK_LIMIT, LinkStore, read_link
from ..concurrency import gather, gather_map, pauses
from ..driver import Condition, Driver, FileInfo, IfAbsent, IfMatch, entries
from ..errors import (
    ConditionFailed,
    KeyNotFound,
    LinkDamaged,
    ObjectTooLarge,
    RevstoreError,
    StorageFull,
    TagChanged,
    TagContended,
    TagImmutable,
    Unsupported,
)
from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag
from ..layout import Layout, TagClaim, TagCreated, TagCurrent, TagDeleted, TagIndex, TagPending, TagReplaced
from ..policy import Policy
from .history import TagEvent, TagRecord, TagRecords, read_records

TRIES: Final = 100
"""How often a change is tried anew when other writers change the tag meanwhile."""

RECENT: Final = 50
"""Keys of the latest changes that are listed together: some twenty changes."""

_Change = TagCreated | TagReplaced | TagDeleted


class Absent(Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
"""What a caller expects who expects that there is no such tag."""

Expected = str | Absent | None
"""What a caller expects of a tag: a revision's digest, that there is none, or nothing."""


def check_expected(expected: Expected) -> Expected:
    """Return what a caller expects of a tag, if it is something that a tag can be.

    Raises:
        InvalidDigest: It is text, but not a digest.
        WrongType: It is neither text, `ABSENT` nor None.
    """
    return expected if expected is None or isinstance(expected, Absent) else Digest(expected)


@dataclass(frozen=True, slots=True)
class TagState:
    """A tag as it was found before a change.

    Attributes:
        tag: The tag.
        etag: The version of its current link; None where there is none.
        current: Its revision, and since when; None where there is no tag, or its link is damaged.
        damage: What is wrong with its link, if anything.
        recent: The latest records of its changes: the last one, or the last few.
    """

    tag: Tag
    etag: str | None
    current: TagEvent | None
    damage: LinkDamaged | None
    recent: TagRecords

    def has(self, digest: Digest) -> bool:
        """Return whether the tag points at a revision."""
        return self.current is not None and self.current.digest == digest


@dataclass(frozen=True, slots=True)
class TagChange:
    """A change that was announced, and may be switched.

    Attributes:
        state: The tag as the writer saw it.
        digest: The revision that it is to get.
        expected: What the caller expects of the tag.
        record: Its record; None where nothing is to be written, or the link was damaged.
        claimed: When the store got the claim, by the store's clock; None without a claim.
        since: The same moment by the loop's clock.
    """

    state: TagState
    digest: Digest
    expected: Expected
    record: _Change | None = None
    claimed: datetime | None = None
    since: float = 0.0


class TagChanges:
    """The steps by which the tags of one repository change, for callers that take them together with others."""

    def __init__(self, name: RepositoryName, driver: Driver, layout: Layout, policy: Policy) -> None:
        self._name = name
        self._driver = driver
        self._links = LinkStore(driver)
        self._layout = layout
        self._policy = policy

    @property
    def _exact(self) -> bool:
        """Whether a deletion can be conditional; such stores also tell each version of a link from every other."""
        return self._driver.capabilities.conditional_delete

    @property
    def _patience(self) -> timedelta:
        """How long after its claim a writer may switch or delete a tag: the deadline of a request's metadata."""
        return self._driver.capabilities.metadata_timeout

    def _key(self, tag: Tag) -> str:
        return self._layout.key(TagCurrent(self._name, tag))

    # ---- looking

    async def look(self, tag: Tag) -> TagState:
        """Return a tag as it is before a change. 2 requests, 1 round trip."""
        (etag, current, damage), recent = await gather(
            self._read_current(tag), self.recent(tag, 1 if self._exact else RECENT)
        )
        return TagState(tag, etag, current, damage, recent)

    async def recent(self, tag: Tag, limit: int = RECENT) -> TagRecords:
        """Return the latest records of a tag, from that many keys. 1 request; an unsorted store lists all."""
        folder = self._layout.history_of(self._name, tag)
        if self._driver.capabilities.ordered_listing:
            listed = (await self._driver.list_all(folder, limit=limit)).entries
        else:
            found = [info async for info in entries(self._driver.list_all, folder)]
            listed = tuple(sorted(found, key=lambda info: info.key)[:limit])
        return read_records(self._layout, listed)

    async def settled(self, tag: Tag, records: TagRecords) -> Sequence[TagRecord]:
        """Return the records that count. 1 request for each number under which several writers left a record."""

        async def winner(number: int) -> object:
            try:
                claim = await self._driver.get(self._layout.key(TagClaim(self._name, tag, number)))
            except KeyNotFound:
                return None
            return self._layout.parse(claim.content.decode("utf-8", "replace"))

        contested = records.contested()
        winners = await gather_map(winner, contested, limit=self._driver.capabilities.connections)
        return records.settled(dict(zip(contested, winners, strict=True)))

    def judge(self, state: TagState, digest: Digest, expected: Expected) -> None:
        """Check whether a tag may be changed from this state. No request.

        Raises:
            TagChanged: It is not as expected.
            TagImmutable: The policy forbids to move it.
            LinkDamaged: Something is expected, but what it is can't be read.
            Unsupported: The driver lacks the conditional writes that this takes.
        """
        immutable = self._policy.immutable(self._name, state.tag)
        if (immutable or expected is not None) and not self._driver.capabilities.conditional_put:
            raise Unsupported(self._driver.name, "compare-and-swap of tags, nor immutable tags")
        actual = state.current.digest if state.current else None
        if immutable and state.etag is not None and actual != digest:
            raise TagImmutable(self._name, state.tag, actual or "")
        self._compare(state, expected)

    # ---- changing

    async def announce(self, state: TagState, digest: Digest, expected: Expected = None) -> TagChange:
        """Write what must lie in the store before a tag is switched. 3 requests, 1 round trip.

        Where another writer claimed the number, the writer looks again: 3 requests, 2 round trips more.

        Raises:
            TagChanged: The tag is not as expected any more; nothing was changed.
            TagImmutable: The policy forbids to move it.
            TagContended: Others changed it each of 100 times.
        """
        index = self._layout.key(TagIndex(self._name, state.tag, digest))
        for _ in range(TRIES):
            if state.has(digest):
                # It may have gone with a deletion at the same time. It is looked for first, as it is there nearly
                # always: a create-only write that finds it may cost a driver a second request.
                if not await self._links.linked(index):
                    await self._links.create(index, digest)
                return TagChange(state, digest, expected)
            record = self._record(state, digest)
            if record is None:
                await self._links.create(index, digest)
                return TagChange(state, digest, expected)
            try:
                _, (claimed, since) = await gather(self._links.create(index, digest), self._claim(record))
            except ConditionFailed:
                state, _ = await gather(self.look(state.tag), self._yield(record))
                self.judge(state, digest, expected)
            else:
                return TagChange(state, digest, expected, record, claimed, since)
        raise TagContended(self._name, state.tag)

    async def switch(self, change: TagChange) -> TagChange | None:
        """Try to point a tag at its revision: the visible change. 1 request.

        Where the tag has the revision already, the request asks whether it still has it. Where the driver lacks
        conditional deletion, moving a tag takes 1 request and 1 round trip more; beside a deletion of the tag it
        waits for the end of that, `Capabilities.metadata_timeout` at most.

        Returns:
            None if the tag points at the revision. Else another writer was first, and this is for `again`: the
            caller goes on from there. It announces anew, and asks anew for what it relies on, since a deletion
            of the revision finds only tags that were announced before it looks.
        """
        state, key = change.state, self._key(change.state.tag)
        if state.has(change.digest):
            _, current, _ = await self._read_current(state.tag)
            return None if current is not None and current.digest == change.digest else change
        condition: Condition | None = None
        if self._driver.capabilities.conditional_put:
            condition = IfAbsent() if state.etag is None else IfMatch(state.etag)
        if not self._exact:
            await self._wait_for_others(change)
        if change.claimed and self._late(change.since):
            return change
        try:
            info = await self._driver.put(key, change.digest.encode(), condition=condition)
        except ConditionFailed:
            return change
        if self._exact or await self._outlived(change, info):
            return None
        return replace(change, record=None)  # it took place, so its record stays

    async def again(self, change: TagChange) -> TagState:
        """Look at a tag again, and take back a change that was announced and did not take place.

        2 requests, 1 round trip; 1 request more for the record that is taken back.
        """
        return await self._again(change.state.tag, change.record)

    async def delete(
        self, state: TagState, wanted: Callable[[TagState], bool], expected: Expected = None
    ) -> bool:
        """Delete a tag as long as its state is one in which that is wanted; return whether it was.

        6 requests, 4 round trips with the look before it. Where the driver lacks conditional deletion, 2 requests
        and 1 round trip more: the writer looks again before it deletes.

        Raises:
            TagImmutable: The policy forbids to delete it.
            TagChanged: It is not as expected; nothing was deleted.
            LinkDamaged: Something is expected, but what it is can't be read.
            Unsupported: Something is expected, and the driver lacks conditional deletion.
            TagContended: Others changed it each of 100 times.
        """
        for _ in range(TRIES):
            if state.etag is None or not wanted(state):
                return False
            self.judge_deletion(state, expected)
            record = self._record(state, None)
            since: float | None = None
            try:
                if record is not None:
                    _, since = await self._claim(record, deletes=not self._exact)
            except ConditionFailed:
                state, _ = await gather(self.look(state.tag), self._yield(record))
                continue
            except StorageFull:
                since = None  # a deletion makes room, so it goes on without its record, and writes it after
            if not await self._deleted(state, since):
                state = await self._again(state.tag, record)
                continue
            # The index goes last: it is how the tags of a revision are found. What is left of it names a tag that
            # is not there, which every reader sees.
            with suppress(RevstoreError):
                await self._delete_index(state.tag, record)
            if record is not None and since is None:
                with suppress(StorageFull, ConditionFailed):
                    await self._claim(record)
            return True
        raise TagContended(self._name, state.tag)

    async def _deleted(self, state: TagState, since: float | None) -> bool:
        key = self._key(state.tag)
        try:
            if self._exact and state.etag is not None:
                await self._driver.delete(key, condition=IfMatch(state.etag))
                return True
        except ConditionFailed:
            return False
        etag, _, _ = await self._read_current(state.tag)
        if etag != state.etag or (since is not None and self._late(since)):
            return False
        await self._driver.delete(key)
        return True

    async def _delete_index(self, tag: Tag, record: _Change | None) -> None:
        """Delete a tag's index, and with it the mark of the deletion that is over."""
        folder = self._layout.index_of(self._name, tag)
        if self._exact or record is None:
            await self._driver.delete_prefix(folder)
            return
        keys = [info.key async for info in entries(self._driver.list_all, folder)]
        mark = self._layout.key(TagPending(self._name, tag, record.sequence))
        await self._driver.delete_many([*keys, mark])

    def judge_deletion(self, state: TagState, expected: Expected = None) -> None:
        """Check whether a tag may be deleted. No request.

        Raises:
            TagImmutable: The policy forbids it.
            TagChanged: It is not as expected.
            LinkDamaged: Something is expected, but what it is can't be read.
            Unsupported: Something is expected, and the driver lacks conditional deletion.
        """
        if expected is not None and not self._exact:
            raise Unsupported(self._driver.name, "compare-and-swap deletion of tags")
        if self._policy.immutable(self._name, state.tag):
            raise TagImmutable(self._name, state.tag, (state.current and state.current.digest) or "")
        self._compare(state, expected)

    # ---- other writers' steps

    async def _wait_for_others(self, change: TagChange) -> None:
        """Wait while another writer may switch the tag over the very content that this change gives it."""
        recent, current = change.state.recent, change.state.current
        for pause in pauses():
            seen = [
                record.seen for record in undecided(recent, current) if self._young(change, record.written)
            ]
            if all(event is None or event.digest != change.digest for event in seen):
                return
            if self._late(change.since):
                return
            await asyncio.sleep(pause)
            (_, current, _), recent = await gather(
                self._read_current(change.state.tag), self.recent(change.state.tag)
            )

    async def _outlived(self, change: TagChange, info: FileInfo) -> bool:
        """Return whether a tag that was switched stays so beside deletions of the tag, after their end.

        A deletion that saw the new link is a later one, which may take it.
        """
        tag, before = change.state.tag, change.state.recent
        switched = asyncio.get_running_loop().time()
        recent = before if change.state.etag is None else await self.recent(tag)
        deletions: list[TagRecord] = []
        for pause in pauses():
            known = {record.number for record in deletions}
            deletions += [
                record
                for record in recent.records
                if record.successor is None
                and record.number not in known
                and (record.number >= before.next or record.number in before.pending)
                and info.modified - record.written <= self._patience
            ]
            if not any(record.number in recent.pending for record in deletions) or self._late(switched):
                break
            await asyncio.sleep(pause)
            recent = await self.recent(tag)
        if not deletions:
            return True
        etag, _, _ = await self._read_current(tag)
        if etag is not None or any(
            record.seen and record.seen.digest == change.digest for record in deletions
        ):
            return True
        # A deletion took this link instead of the one that it saw. The history has to tell that.
        gone = TagState(tag, info.etag, TagEvent(change.digest, info.modified), None, await self.recent(tag))
        record = self._record(gone, None)
        with suppress(ConditionFailed):
            if record is not None:
                await self._claim(record)
        return False

    async def settle(self, tag: Tag, digest: Digest) -> TagState:
        """Return a tag when no other writer is about to give it a revision any more. 2 requests, 1 round trip.

        Beside such a writer it waits, `Capabilities.metadata_timeout` at most.
        """
        began = asyncio.get_running_loop().time()
        now: datetime | None = None
        for pause in pauses():
            (etag, current, damage), recent = await gather(self._read_current(tag), self.recent(tag))
            state = TagState(tag, etag, current, damage, recent)
            pending = [
                record
                for record in undecided(recent, current)
                if record.successor == digest and (not self._exact or record.seen == current)
            ]
            if state.has(digest) or not pending or self._late(began):
                return state
            if now is None:
                now = await self._store_time(state)
            if all(now - record.written > self._patience for record in pending):
                return state
            await asyncio.sleep(pause)
        raise AssertionError("pauses have no end")  # pragma: no cover

    async def _store_time(self, state: TagState) -> datetime:
        """Return the present by the store's clock: the time of a claim that no record follows."""
        claim = TagClaim(self._name, state.tag, state.recent.next)
        try:
            return (await self._driver.put(self._layout.key(claim), b"", condition=IfAbsent())).modified
        except ConditionFailed:
            return (await self._driver.stat(self._layout.key(claim))).modified

    def _young(self, change: TagChange, written: datetime) -> bool:
        return change.claimed is not None and change.claimed - written <= self._patience

    def _late(self, since: float) -> bool:
        return asyncio.get_running_loop().time() - since > self._patience.total_seconds()

    # ---- inside

    def _record(self, state: TagState, successor: Digest | None) -> _Change | None:
        """Return the record of a change: what the tag is, and what it is about to become (None: to be deleted).

        None where there is nothing to tell: no tag is to be deleted, or its link can't be read.
        """
        if state.damage:
            return None
        claims = self._driver.capabilities.conditional_put
        number = state.recent.next
        if not claims and state.recent.records and state.recent.records[-1].seen == state.current:
            number -= 1  # without claims, writers that saw the same tag write about the same change
        about = (self._name, state.tag, number)
        seen = state.current
        if seen is None or seen.digest is None:
            return None if successor is None else TagCreated(*about, successor, flat=not claims)
        if successor is None:
            return TagDeleted(*about, seen.since, seen.digest, flat=not claims)
        return TagReplaced(*about, seen.since, seen.digest, successor, flat=not claims)

    async def _claim(self, record: _Change, *, deletes: bool = False) -> tuple[datetime, float]:
        """Claim the number of a change and leave its record; return the time by the store's and the loop's clock.

        Raises:
            ConditionFailed: Another writer has the number.
        """
        since = asyncio.get_running_loop().time()
        key = self._layout.key(record)
        writes = [self._driver.put(key, b"")]
        if not record.flat:
            claim = TagClaim(record.name, record.tag, record.sequence)
            # It names the record: where several writers leave one under a number, it tells whose counts.
            writes.append(self._driver.put(self._layout.key(claim), key.encode(), condition=IfAbsent()))
        if deletes:
            mark = TagPending(record.name, record.tag, record.sequence)
            writes.append(self._driver.put(self._layout.key(mark), b""))
        infos = await gather(*writes)
        return infos[-1].modified, since

    async def take_back(self, change: TagChange) -> None:
        """Take back a change that was announced and is not to be switched. 1 request."""
        if change.record is not None:
            await self._driver.delete_many(self._keys(change.record))

    async def _again(self, tag: Tag, record: _Change | None) -> TagState:
        """Look at a tag again after another writer was first; take back the record of what did not take place."""
        if record is None:
            return await self.look(tag)
        _, state = await gather(self._driver.delete_many(self._keys(record)), self.look(tag))
        return state

    async def _yield(self, record: _Change | None) -> None:
        """Take back the record of a writer whose number another one claimed. 2 requests.

        Writers that are to do the same leave the same record, which stays with the claim.
        """
        if record is None:
            return
        keys = self._keys(record)
        claim = TagClaim(record.name, record.tag, record.sequence)
        with suppress(KeyNotFound):
            if (await self._driver.get(self._layout.key(claim))).content != keys[0].encode():
                await self._driver.delete_many(keys)

    def _keys(self, record: _Change) -> Sequence[str]:
        """Return the keys of a record that end with it; the claim of its number stays."""
        keys = [self._layout.key(record)]
        if isinstance(record, TagDeleted) and not self._exact:
            keys.append(self._layout.key(TagPending(record.name, record.tag, record.sequence)))
        return keys

    def _compare(self, state: TagState, expected: Expected) -> None:
        actual = state.current.digest if state.current else None
        if expected is ABSENT and state.etag is not None:
            raise TagChanged(self._name, state.tag, None, actual)
        if isinstance(expected, Digest) and actual != expected:
            if state.damage:
                raise copy(state.damage)  # no cycle with this frame
            raise TagChanged(self._name, state.tag, expected, actual)

    async def _read_current(self, tag: Tag) -> tuple[str | None, TagEvent | None, LinkDamaged | None]:
        """Return the current link's etag, what it says, or what is wrong with it."""
        key = self._key(tag)
        try:
            link = read_link(await self._driver.get(key, limit=LINK_LIMIT))
        except KeyNotFound:
            return None, None, None
        except (LinkDamaged, ObjectTooLarge):
            # Once more, for the etag; a link that was healed meanwhile is looked at again by the switch.
            try:
                etag = (await self._driver.stat(key)).etag
            except KeyNotFound:
                return None, None, None
            return etag, None, LinkDamaged(key, b"")
        return link.etag, TagEvent(link.digest, link.modified), None


def undecided(recent: TagRecords, current: TagEvent | None) -> Sequence[TagRecord]:
    """Return the records of switches that may still be to come: nothing shows that they took place.

    A switch took place if the tag has its revision now, or a later writer saw it there. Where several writers were
    to do the same, that shows one of them only, so it counts where the next record saw it.
    """
    found = []
    records = [record for record in recent.records if record.place.flat or record.number in recent.claims]
    twins = Counter((record.seen and record.seen.digest, record.successor) for record in records)
    for place, record in enumerate(records):
        later = [each.seen.digest if each.seen else None for each in records[place + 1 :]]
        later.append(current.digest if current else None)
        alone = twins[record.seen and record.seen.digest, record.successor] == 1
        if record.successor is not None and record.successor not in (later if alone else later[:1]):
            found.append(record)
    return found
