"""The tag store: a repository's tags, what each points at, and what it pointed at before."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from functools import partial
from types import NoneType

from ..arguments import check_moment, check_type
from ..blobs.gate import TRIES as GATE_TRIES
from ..blobs.gate import Window
from ..blobs.links import Link, LinkStore
from ..concurrency import gather, gather_map
from ..driver import LIST_LIMIT, Driver, FileInfo, entries
from ..errors import InvalidArgument, ManifestUnknown, TagContended, TagUnknown
from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag
from ..layout import BlobData, Layout, RevisionLink, TagCurrent, TagIndex
from ..policy import Policy
from ..revisions.store import RevisionStore
from ..threads import in_thread_if_large
from .changes import TRIES, TagChanges
from .current import find_current, read_current
from .history import TagPlace, history
from .listing import TagInfo, TagPage, list_tags
from .pages import HistoryPages, TagHistoryPage
from .records import TagEvent, read_index, read_records
from .state import Expected, TagState, check_expected


class TagStore:
    """The tags of one repository.

    Attributes:
        changes: The steps by which a tag changes, for callers that take them together with others.
    """

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
        self.changes: TagChanges = TagChanges(name, driver, layout, policy)
        # A method of this store would make a cycle of the two.
        self._current = partial(_current, self._links, layout, name)
        self._pages = HistoryPages(name, driver, layout, self.changes.claims, self._current)

    def _key(self, tag: Tag) -> str:
        return self._layout.key(TagCurrent(self._name, tag))

    # ---- reading

    async def exists(self, tag: str) -> bool:
        """Say whether there is such a tag. One request.

        Raises:
            InvalidTag: The name is outside the grammar.
        """
        return (await read_current(self._driver, self._key(Tag(tag)))).is_there

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
        link = await find_current(self._links, self._key(tag))
        if link is None:
            raise TagUnknown(self._name, tag)
        return link

    async def list(self, *, limit: int = LIST_LIMIT, last: str | None = None) -> TagPage:
        """Return one page of the tags, in the lexical order of their names.

        One request for a page of 100, however many tags there are, where tags had eight revisions or fewer on
        average: 1,000 keys are listed at once, one for each tag and one for each revision it had, but of one
        tag never more than that. One round trip more where the page ends among names that continue, with
        `-` or `.`, the name of a tag that it must show.

        Args:
            limit: Tags of the page at most. A page of 0 is empty, and the last one; it asks nothing.
            last: Only names after this are listed; it need not exist.

        Raises:
            InvalidTag: `last` is outside the grammar.
            InvalidArgument: `limit` is below 0.
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
        """Return the revisions that a tag has or had, in no order. The costs are those of `history`.

        Raises:
            InvalidTag: The name is outside the grammar.
            TagUnknown: Nothing is known of such a tag.
            LinkDamaged: Its current link is not a digest.
        """
        return list(dict.fromkeys(event.digest for event in await self.history(tag) if event.digest))

    async def history(self, tag: str) -> Sequence[TagEvent]:
        """Return each revision that a tag had, with the time since when, the oldest first.

        It reads the whole history: 3 requests, 1 round trip. Each further 500 changes are 1 request and 1 round
        trip more. `history_page` reads a part of it.

        A tag that went from A to B and back to A has three entries; the time after a deletion is an entry
        without a digest. The history outlives the deletion of the tag.

        Raises:
            InvalidTag: The name is outside the grammar.
            TagUnknown: Nothing is known of such a tag.
            LinkDamaged: Its current link is not a digest; `set` it to heal it.
        """
        tag = Tag(tag)
        current, told, indexed = await gather(
            self._current(tag),
            self._listed(self._layout.history_of(self._name, tag)),
            self._listed(self._layout.index_of(self._name, tag)),
        )
        # Some 100 bytes of each key are read; a tag may have had thousands of revisions.
        size = 100 * (len(told) + len(indexed))
        records = await self.changes.claims.settled(
            tag, await in_thread_if_large(size, read_records, self._layout, told)
        )
        index = read_index(self._layout, indexed)
        events = await in_thread_if_large(size, history, records, index, current)
        if not events:
            raise TagUnknown(self._name, tag)
        return events

    async def history_page(
        self, tag: str, *, limit: int = 100, last: str | None = None, until: datetime | None = None
    ) -> TagHistoryPage:
        """Return one page of a tag's history, the newest entry first.

        Costs, however long the history is:

        - 2 requests, 1 round trip: the tag, and a listing of some 40 to 70 keys and two for each entry of the page.
          A listing of more than 1,000 keys is several requests, one after another.
        - For a page with a gap, which another program left: 3 requests, 1 round trip more, and all index links of
          the tag, one for each revision that it had.
        - With `until`, where the 16 latest entries are later: a search in steps of 7 requests, 1 round trip. Each
          step leaves an eighth of the changes: 4 steps of 20,000. Then 2 requests, 1 round trip.
        - A store that lists in an order of its own is listed whole.

        Args:
            tag: The tag.
            limit: Entries of the page at most. A page of 0 is empty, and the last one; it asks nothing.
            last: Only entries before this one: `TagHistoryPage.next`, or the `place` of an entry of a page.
            until: Begin with the latest entry that is not after this time. An aware time; compared with the store's
                clock. Where that clock was wrong for a while, the search may begin with another entry that is not
                after the time.

        Raises:
            InvalidTag: The name is outside the grammar.
            InvalidArgument: `limit` is below 0, `last` is no place, or the time has no zone.
            TagUnknown: Nothing is known of such a tag.
            LinkDamaged: Its current link is not a digest; `set` it to heal it.
        """
        tag = Tag(tag)
        check_type("limit", limit, int)
        check_type("last", last, str, NoneType)
        place = None if last is None else TagPlace.parse(last)
        if limit < 0:
            raise InvalidArgument("limit", limit, "it is below 0")
        if until is not None:
            check_moment("until", until)
        if limit == 0:
            return TagHistoryPage((), None)
        if until is None:
            return await self._pages.page(tag, limit, place)
        return await self._pages.page_until(tag, limit, place, until)

    async def as_of(self, tag: str, time: datetime) -> Digest:
        """Return the revision that a tag had at a time.

        Among the 16 latest entries: 2 requests, 1 round trip. For an earlier time, see `until` in `history_page`.

        Args:
            tag: The tag.
            time: An aware time; compared with the store's clock.

        Raises:
            InvalidTag: The name is outside the grammar.
            InvalidArgument: The time has no zone.
            TagUnknown: There was no such tag at that time.
            LinkDamaged: Its current link is not a digest.
        """
        check_moment("time", time)
        events = (await self.history_page(tag, limit=1, until=time)).events
        if not events or events[0].digest is None:
            raise TagUnknown(self._name, Tag(tag))
        return events[0].digest

    # ---- writing

    async def set(self, tag: str, digest: str, *, expected: Expected = None) -> None:
        """Point a tag at a revision of this repository. 9 requests, 4 round trips.

        Where another writer was first it is tried anew: 4 requests, 3 round trips more.

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
            BeingCollected: The collector is deleting the tag.
            Unavailable: Runs of the collector came in between; the tag may have been set.
        """
        tag, digest, expected = Tag(tag), Digest(digest), check_expected(expected)
        written = self.changes.written(tag, digest)
        for _ in range(GATE_TRIES):
            window = await self._revisions.gate.open(*written)
            if await self._set(tag, digest, expected, window):
                return
        raise self._revisions.gate.gave_up(*written)

    async def _set(self, tag: Tag, digest: Digest, expected: Expected, window: Window) -> bool:
        """Set a tag within a window; return False if a run of the collector, or the window's end, came before."""
        change, known = await gather(
            self.changes.begin(tag, digest, expected), self._revisions.exists(digest)
        )
        if not known or not window.admits(RevisionLink(self._name, digest), BlobData(digest)):
            raise ManifestUnknown(self._name, digest)
        self.changes.check(change)
        if not await window.rely():
            return False
        for _ in range(TRIES):
            change = await self.changes.announce(change)
            # Asked for again: a deletion of the revision that begins later finds the announced tag, and deletes it.
            if not await self._revisions.linked(digest):
                await self.changes.take_back(change)
                raise ManifestUnknown(self._name, digest)
            if window.is_late(None if change.claim is None else change.claim.written):
                await self.changes.take_back(change)
                return False
            switch = await self.changes.switch(change)
            if switch.done:
                await window.close(switch.answered)
                return True
            change = await self.changes.again(change)
            self.changes.check(change)
        raise TagContended(self._name, tag)

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
            BeingCollected: The collector is deleting the tag.
            Unavailable: Runs of the collector came in between; the tag may have been set.
        """
        digest = await self.as_of(tag, time)
        await self.set(tag, digest)
        return digest

    async def delete(self, tag: str, *, expected: Expected = None) -> None:
        """Delete a tag; its revisions and its history stay. Four round trips.

        Where the driver lacks conditional writes, a tag that is set at this very moment is deleted too.

        Args:
            tag: The tag.
            expected: What the tag must point at now: of it and a change by others at once, one succeeds. None to
                delete it whatever it is. `ABSENT` deletes nothing: either `TagUnknown` or `TagChanged` says so.

        Raises:
            InvalidTag: The name is outside the grammar.
            InvalidDigest: The expected digest is outside the grammar.
            TagUnknown: There is no such tag, whatever was expected.
            TagChanged: The tag is not as expected; nothing was deleted.
            LinkDamaged: Something is expected, but what the tag is can't be read.
            TagImmutable: The policy forbids to delete it.
            TagContended: Others changed it each of 100 times.
            Unsupported: Something is expected, and the driver lacks conditional writes.
        """
        name, expected = Tag(tag), check_expected(expected)
        state = await self.changes.waits.look(name)
        if not await self.changes.delete(state, lambda state: state.link.is_there, expected):
            raise TagUnknown(self._name, name)

    async def delete_all_of(self, digest: Digest, *, after: Iterable[Tag] | None = None) -> Sequence[Tag]:
        """Delete the tags that point at a revision, and return them.

        One request for each 1,000 keys of tags; then the tags that ever had the revision are read together.

        Args:
            digest: The revision.
            after: The tags that were deleted before its link was. With them it waits for writers that are about to
                point a tag at it, and deletes those tags, too.

        Raises:
            TagImmutable: The policy forbids to delete one of them; none was deleted.
        """

        def is_of(state: TagState) -> bool:
            return state.current is not None and state.current.digest == digest

        async def look(tag: Tag) -> TagState:
            waits = self.changes.waits
            return await (waits.look(tag) if after is None else waits.settled(tag, digest))

        at_once = self._driver.capabilities.connections
        candidates = await self._candidates(digest, announced=after is not None)
        # The deletion of a tag takes the index with it, by which a writer at work would be found.
        candidates = sorted({*candidates, *(after or ())})
        states = [state for state in await gather_map(look, candidates, limit=at_once) if is_of(state)]
        for state in states:
            self.changes.check_deletion(state)
        deleted = await gather_map(lambda state: self.changes.delete(state, is_of), states, limit=at_once)
        return [state.tag for state, gone in zip(states, deleted, strict=True) if gone]

    # ---- inside

    async def _candidates(self, digest: Digest, *, announced: bool) -> Sequence[Tag]:
        """Return the tags that may point at a revision: that have it in their index, or have no index.

        A tag that is set while it is deleted may lose its index to the deletion; all of it, that is. With
        `announced`, a tag that is not there yet counts by its index.
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
        unindexed = tags - indexed
        return sorted((having if announced else tags & having) | unindexed)

    async def _listed(self, folder: str) -> Sequence[FileInfo]:
        return [info async for info in entries(self._driver.list_all, folder)]


async def _current(links: LinkStore, layout: Layout, name: RepositoryName, tag: Tag) -> TagEvent | None:
    """Return the revision that a tag has now, and since when. 1 request."""
    link = await find_current(links, layout.key(TagCurrent(name, tag)))
    return TagEvent(link.digest, link.modified) if link else None
