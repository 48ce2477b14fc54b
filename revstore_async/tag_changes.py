"""How a tag changes: looked at, judged, announced, switched. Each is one round trip, or none.

A tag is its current link, one object whose replacement is the one visible switch. Before it is written, the
index link that Docker Distribution keeps for the new revision, and our record of what the tag is about to
leave, are in place (see `revstore_async.tag_history`). The switch is made over the very link that was looked at;
where another writer was first, all begins anew.
"""

from collections.abc import Callable
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from enum import Enum
from typing import Final

from .concurrency import gather
from .digest import Digest
from .driver import Condition, Driver, IfAbsent, IfMatch, entries
from .errors import (
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
from .layout import Layout, TagCreated, TagCurrent, TagDeleted, TagIndex, TagReplaced
from .links import LINK_LIMIT, LinkStore, read_link
from .names import RepositoryName, Tag
from .policy import Policy
from .tag_history import TagEvent, TagRecord, read_records

TRIES: Final = 100
"""How often a change is tried anew when other writers change the tag meanwhile."""


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
    """
    return Digest(expected) if isinstance(expected, str) else expected


@dataclass(frozen=True, slots=True)
class TagState:
    """A tag as it was found before a change.

    Attributes:
        tag: The tag.
        etag: The version of its current link; None where there is none.
        current: Its revision, and since when; None where there is no tag, or its link is damaged.
        damage: What is wrong with its link, if anything.
        latest: The latest record of its changes.
    """

    tag: Tag
    etag: str | None
    current: TagEvent | None
    damage: LinkDamaged | None
    latest: TagRecord | None


class TagChanges:
    """The steps by which the tags of one repository change, for callers that take them together with others."""

    def __init__(self, name: RepositoryName, driver: Driver, layout: Layout, policy: Policy) -> None:
        self._name = name
        self._driver = driver
        self._links = LinkStore(driver)
        self._layout = layout
        self._policy = policy

    def _key(self, tag: Tag) -> str:
        return self._layout.key(TagCurrent(self._name, tag))

    async def look(self, tag: Tag) -> TagState:
        """Return a tag as it is before a change. One round trip."""
        (etag, current, damage), latest = await gather(self._read_current(tag), self._latest(tag))
        return TagState(tag, etag, current, damage, latest)

    def judge(self, state: TagState, digest: Digest, expected: Expected) -> None:
        """Say whether a tag may be changed from this state. No request.

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

    async def announce(self, state: TagState, digest: Digest) -> None:
        """Write what must lie in the store before a tag is switched. One round trip."""
        index = self._layout.key(TagIndex(self._name, state.tag, digest))
        if state.current and state.current.digest == digest:
            # It may have gone with a deletion at the same time. It is looked for first, as it is there nearly
            # always: a create-only write that finds it may cost a driver a second request.
            if not await self._links.linked(index):
                await self._links.create(index, digest)
        else:
            await gather(self._links.create(index, digest), self._record(state, digest))

    async def switch(self, state: TagState, digest: Digest, expected: Expected) -> None:
        """Point the tag at a revision: the visible change. One request, when nobody else changes it.

        Raises:
            TagChanged: It is not as expected; nothing was changed.
            TagImmutable: The policy forbids to move it.
            TagContended: Others changed it each of 100 times.
        """
        key, content = self._key(state.tag), digest.encode()
        for _ in range(TRIES):
            if state.current and state.current.digest == digest:
                return
            condition: Condition | None = None
            if self._driver.capabilities.conditional_put:
                condition = IfAbsent() if state.etag is None else IfMatch(state.etag)
            try:
                await self._driver.put(key, content, condition=condition)
            except ConditionFailed:
                state = await self.look(state.tag)
                self.judge(state, digest, expected)
                await self.announce(state, digest)
            else:
                return
        raise TagContended(self._name, state.tag)

    async def delete(
        self, state: TagState, wanted: Callable[[TagState], bool], expected: Expected = None
    ) -> bool:
        """Delete a tag as long as its state is one in which that is wanted; say whether it was.

        Four round trips with the look before it. Where the driver lacks conditional deletion, a tag that is set
        at this very moment is deleted too.

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
            recorded = await self._record_if_room(state)
            atomic = self._driver.capabilities.conditional_delete
            try:
                await self._driver.delete(
                    self._key(state.tag), condition=IfMatch(state.etag) if atomic else None
                )
            except ConditionFailed:
                state = await self.look(state.tag)
                continue
            # The index goes last: whoever looks for the tags of a revision finds them by it. What is left of it
            # names a tag that is not there, which every reader sees.
            with suppress(RevstoreError):
                await self._driver.delete_prefix(self._layout.index_of(self._name, state.tag))
            if not recorded:
                await self._record_if_room(state)
            return True
        raise TagContended(self._name, state.tag)

    def judge_deletion(self, state: TagState, expected: Expected = None) -> None:
        """Say whether a tag may be deleted. No request.

        Raises:
            TagImmutable: The policy forbids it.
            TagChanged: It is not as expected.
            LinkDamaged: Something is expected, but what it is can't be read.
            Unsupported: Something is expected, and the driver lacks conditional deletion.
        """
        if expected is not None and not self._driver.capabilities.conditional_delete:
            raise Unsupported(self._driver.name, "compare-and-swap deletion of tags")
        if self._policy.immutable(self._name, state.tag):
            raise TagImmutable(self._name, state.tag, (state.current and state.current.digest) or "")
        self._compare(state, expected)

    # ---- inside

    async def _record_if_room(self, state: TagState) -> bool:
        """Record that the tag is about to be deleted; return False where the storage is full.

        A deletion makes room, so it must work on a full disk: it goes on without its record, and writes it after.
        """
        try:
            await self._record(state, None)
        except StorageFull:
            return False
        return True

    def _compare(self, state: TagState, expected: Expected) -> None:
        actual = state.current.digest if state.current else None
        if expected is ABSENT and state.etag is not None:
            raise TagChanged(self._name, state.tag, None, actual)
        if isinstance(expected, Digest) and actual != expected:
            if state.damage:
                raise copy(state.damage)  # no cycle with this frame
            raise TagChanged(self._name, state.tag, expected, actual)

    async def _latest(self, tag: Tag) -> TagRecord | None:
        """Return the latest record of a tag, the first by its key; a store that does not sort is asked for all."""
        folder = self._layout.history_of(self._name, tag)
        if self._driver.capabilities.ordered_listing:
            listed = (await self._driver.list_all(folder, limit=1)).entries
        else:
            found = [info async for info in entries(self._driver.list_all, folder)]
            listed = tuple(sorted(found, key=lambda info: info.key)[:1])
        return next(iter(read_records(self._layout, listed)), None)

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

    async def _record(self, state: TagState, successor: Digest | None) -> None:
        """Record what the tag is, and what it is about to become; None for its deletion."""
        place: TagCreated | TagReplaced | TagDeleted
        if state.damage:
            return
        latest = state.latest
        # Writers who saw the same tag write about the same change.
        same = latest is not None and latest.seen == state.current
        number = (latest.place.sequence if latest else -1) + (0 if same else 1)
        about = (self._name, state.tag, number)
        seen = state.current
        if seen is None or seen.digest is None:
            if successor is None:
                return
            place = TagCreated(*about, successor)
        elif successor is None:
            place = TagDeleted(*about, seen.since, seen.digest)
        else:
            place = TagReplaced(*about, seen.since, seen.digest, successor)
        await self._driver.put(self._layout.key(place), b"")
