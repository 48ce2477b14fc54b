"""The tag store: a repository's tags, what each points at, and what it pointed at before.

A tag is its current link, one object whose replacement is the one visible switch. Before it is written, the
index link that Docker Distribution keeps for the new revision, and our record of what the tag is about to
leave, are in place (see `revstore_async.tag_history`).
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from .concurrency import gather, gather_map
from .digest import Digest
from .driver import LIST_LIMIT, Condition, Driver, FileInfo, IfAbsent, IfMatch, entries
from .errors import (
    ConditionFailed,
    InvalidArgument,
    KeyNotFound,
    LinkDamaged,
    ManifestUnknown,
    ObjectTooLarge,
    TagChanged,
    TagContended,
    TagImmutable,
    TagUnknown,
    Unsupported,
)
from .layout import Layout, TagCreated, TagCurrent, TagDeleted, TagIndex, TagReplaced
from .links import LINK_LIMIT, Link, LinkStore, read_link
from .names import RepositoryName, Tag
from .policy import Policy
from .revisions import RevisionStore
from .tag_history import IndexEntry, TagEvent, TagRecord, history
from .tag_listing import TagInfo, TagPage, list_tags
from .threads import in_thread_if_large

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


class TagStore:
    """The tags of one repository."""

    def __init__(
        self,
        name: RepositoryName,
        revisions: RevisionStore,
        driver: Driver,
        layout: Layout,
        policy: Policy,
    ) -> None:
        self._name = name
        self._revisions = revisions
        self._driver = driver
        self._links = LinkStore(driver)
        self._layout = layout
        self._policy = policy

    def _key(self, tag: Tag) -> str:
        return self._layout.key(TagCurrent(self._name, tag))

    # ---- reading

    async def exists(self, tag: str) -> bool:
        """Say whether there is such a tag. One request.

        Raises:
            InvalidTag: The name is outside the grammar.
        """
        return await self._links.linked(self._key(Tag(tag)))

    async def resolve(self, tag: str) -> Digest:
        """Return the revision that a tag points at. One request.

        Raises:
            InvalidTag: The name is outside the grammar.
            TagUnknown: There is no such tag.
            LinkDamaged: Its link is not a digest.
        """
        return (await self.read(Tag(tag))).digest

    async def read(self, tag: Tag) -> Link:
        """Return a tag's current link. One request.

        Raises:
            TagUnknown: There is no such tag.
            LinkDamaged: Its content is not a digest.
        """
        try:
            return await self._links.readlink(self._key(tag))
        except KeyNotFound as error:
            raise TagUnknown(self._name, tag) from error

    async def list(self, *, limit: int = LIST_LIMIT, last: str | None = None) -> TagPage:
        """Return one page of the tags, in the lexical order of their names.

        One request for a page of 100, however many tags there are, where tags had eight revisions or fewer on
        average: 1,000 keys are listed at once, one for each tag and one for each revision it had, but of one
        tag never more than that. One round trip more where the page ends among names that continue, with
        `-` or `.`, the name of a tag that it must show.

        Args:
            limit: Tags of the page at most.
            last: Only names after this are listed; it need not exist.

        Raises:
            InvalidTag: `last` is outside the grammar.
            InvalidArgument: `limit` is below 1.
        """
        return await list_tags(
            self._driver, self._layout, self._name, limit=limit, last=None if last is None else Tag(last)
        )

    async def __aiter__(self) -> AsyncIterator[TagInfo]:
        """Yield each tag, in the lexical order of their names, by pages of 1,000."""
        last: Tag | None = None
        while True:
            page = await self.list(last=last)
            for info in page.tags:
                yield info
            if page.next is None:
                return
            last = page.next

    async def revisions(self, tag: str) -> Sequence[Digest]:
        """Return the revisions that a tag has or had, in no order. One round trip, of two listings.

        Raises:
            InvalidTag: The name is outside the grammar.
            TagUnknown: Nothing is known of such a tag.
            LinkDamaged: Its current link is not a digest.
        """
        return list(dict.fromkeys(event.digest for event in await self.history(tag) if event.digest))

    async def history(self, tag: str) -> Sequence[TagEvent]:
        """Return each revision that a tag had, with the time since when, the oldest first. One round trip.

        A tag that went from A to B and back to A has three entries; the time after a deletion is an entry
        without a digest. The history outlives the deletion of the tag.

        Raises:
            InvalidTag: The name is outside the grammar.
            TagUnknown: Nothing is known of such a tag.
            LinkDamaged: Its current link is not a digest; `set` it to heal it.
        """
        tag = Tag(tag)
        link, records, index = await gather(
            self._links.find(self._key(tag)), self._records(tag), self._index(tag)
        )
        current = TagEvent(link.digest, link.modified) if link else None
        # Some 20 bytes of each entry are looked at; a tag may have had thousands of revisions.
        events = await in_thread_if_large(20 * (len(records) + len(index)), history, records, index, current)
        if not events:
            raise TagUnknown(self._name, tag)
        return events

    async def as_of(self, tag: str, time: datetime) -> Digest:
        """Return the revision that a tag had at a time. One round trip.

        Args:
            tag: The tag.
            time: An aware time; compared with the store's clock.

        Raises:
            InvalidTag: The name is outside the grammar.
            InvalidArgument: The time has no zone.
            TagUnknown: There was no such tag at that time.
            LinkDamaged: Its current link is not a digest.
        """
        if time.tzinfo is None:
            raise InvalidArgument("time", time, "it has no zone, so it is no moment")
        then = [event for event in await self.history(tag) if event.since <= time]
        if not then or then[-1].digest is None:
            raise TagUnknown(self._name, tag)
        return then[-1].digest

    # ---- writing

    async def set(self, tag: str, digest: str, *, expected: Expected = None) -> None:
        """Point a tag at a revision of this repository. Three round trips; four where it must be tried anew.

        Args:
            tag: The tag, new or not.
            digest: The revision.
            expected: What the tag must point at now, or `ABSENT`: of many callers who expect the same, exactly
                one succeeds. None to set it whatever it is; the last caller's stands.

        Raises:
            InvalidTag: The name is outside the grammar.
            InvalidDigest: The digest, or the expected one, is outside the grammar.
            ManifestUnknown: The repository has no such revision.
            TagChanged: The tag is not as expected; nothing was changed.
            TagImmutable: The policy forbids to move it.
            TagContended: Others changed it each of 100 times.
            Unsupported: Something is expected, or the tag is immutable, and the driver lacks conditional writes.
        """
        tag, digest, expected = Tag(tag), Digest(digest), check_expected(expected)
        state, known = await gather(self.look(tag), self._revisions.exists(digest))
        if not known:
            raise ManifestUnknown(self._name, digest)
        self.judge(state, digest, expected)
        await self.announce(state, digest)
        await self.switch(state, digest, expected)

    async def restore(self, tag: str, time: datetime) -> Digest:
        """Point a tag at the revision it had at a time, and return that. Also after it was deleted.

        Raises:
            InvalidTag: The name is outside the grammar.
            InvalidArgument: The time has no zone.
            TagUnknown: There was no such tag at that time.
            ManifestUnknown: The revision was deleted since.
            LinkDamaged: Its current link is not a digest; `set` it to heal it.
            TagImmutable: The policy forbids to move it.
            TagContended: Others changed it each of 100 times.
        """
        digest = await self.as_of(tag, time)
        await self.set(tag, digest)
        return digest

    async def delete(self, tag: str) -> None:
        """Delete a tag; its revisions and its history stay. Four round trips.

        Where the driver lacks conditional deletion, a tag that is set at this very moment is deleted too.

        Raises:
            InvalidTag: The name is outside the grammar.
            TagUnknown: There is no such tag.
            TagImmutable: The policy forbids to delete it.
            TagContended: Others changed it each of 100 times.
        """
        if not await self._delete(await self.look(Tag(tag)), lambda state: state.etag is not None):
            raise TagUnknown(self._name, tag)

    async def delete_all_of(self, digest: Digest) -> Sequence[Tag]:
        """Delete the tags that point at a revision, and return them.

        One request for each 1,000 keys of tags; then the tags that ever had the revision are read together.

        Raises:
            TagImmutable: The policy forbids to delete one of them; none was deleted.
        """

        def is_of(state: TagState) -> bool:
            return state.current is not None and state.current.digest == digest

        at_once = self._driver.capabilities.connections
        candidates = await self._candidates(digest)
        states = [state for state in await gather_map(self.look, candidates, limit=at_once) if is_of(state)]
        for state in states:
            self._judge_deletion(state)
        deleted = await gather_map(lambda state: self._delete(state, is_of), states, limit=at_once)
        return [state.tag for state, gone in zip(states, deleted, strict=True) if gone]

    # ---- the steps of a change, for callers that take them together with others

    async def look(self, tag: Tag) -> TagState:
        """Return a tag as it is before a change. One round trip."""
        (etag, current, damage), listed = await gather(
            self._read_current(tag),
            self._driver.list_all(self._layout.history_of(self._name, tag), limit=1),
        )
        return TagState(tag, etag, current, damage, next(self._told(listed.entries), None))

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
        if expected is ABSENT and state.etag is not None:
            raise TagChanged(self._name, state.tag, None, actual)
        if isinstance(expected, Digest) and actual != expected:
            if state.damage:
                raise state.damage
            raise TagChanged(self._name, state.tag, expected, actual)

    async def announce(self, state: TagState, digest: Digest) -> None:
        """Write what must lie in the store before a tag is switched. One round trip."""
        index = self._layout.key(TagIndex(self._name, state.tag, digest))
        if state.current and state.current.digest == digest:
            await self._links.create(index, digest)  # it may have gone with a deletion at the same time
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

    # ---- inside

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

    def _judge_deletion(self, state: TagState) -> None:
        if self._policy.immutable(self._name, state.tag):
            raise TagImmutable(self._name, state.tag, (state.current and state.current.digest) or "")

    async def _delete(self, state: TagState, wanted: Callable[[TagState], bool]) -> bool:
        """Delete a tag as long as its state is one in which that is wanted; say whether it was."""
        for _ in range(TRIES):
            if state.etag is None or not wanted(state):
                return False
            self._judge_deletion(state)
            await self._record(state, None)
            atomic = self._driver.capabilities.conditional_delete
            try:
                await self._driver.delete(
                    self._key(state.tag), condition=IfMatch(state.etag) if atomic else None
                )
            except ConditionFailed:
                state = await self.look(state.tag)
                continue
            # The index goes last: whoever looks for the tags of a revision finds them by it.
            await self._driver.delete_prefix(self._layout.index_of(self._name, state.tag))
            return True
        raise TagContended(self._name, state.tag)

    async def _candidates(self, digest: Digest) -> Sequence[Tag]:
        """Return the tags that may point at a revision: that have it in their index, or have no index.

        A tag that is set while it is deleted may lose its index to the deletion; all of it, that is.
        """
        tags: set[Tag] = set()
        indexed: set[Tag] = set()
        having: set[Tag] = set()
        async for info in entries(self._driver.list_all, self._layout.tags_of(self._name)):
            match self._layout.parse(info.key):
                case TagCurrent(tag=tag):
                    tags.add(tag)
                case TagIndex(tag=tag, digest=revision):
                    indexed.add(tag)
                    if revision == digest:
                        having.add(tag)
        return sorted(tags & (having | (tags - indexed)))

    async def _records(self, tag: Tag) -> Sequence[TagRecord]:
        folder = self._layout.history_of(self._name, tag)
        return list(self._told([info async for info in entries(self._driver.list_all, folder)]))

    def _told(self, listed: Iterable[FileInfo]) -> Iterator[TagRecord]:
        for info in listed:
            place = self._layout.parse(info.key)
            if isinstance(place, TagCreated | TagReplaced | TagDeleted):
                yield TagRecord(place, info.modified)

    async def _index(self, tag: Tag) -> Sequence[IndexEntry]:
        return [
            IndexEntry(place, info.modified)
            async for info in entries(self._driver.list_all, self._layout.index_of(self._name, tag))
            if isinstance(place := self._layout.parse(info.key), TagIndex)
        ]
