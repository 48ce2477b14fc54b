"""A page of a tag's history, the newest entry first, made of the few records that tell it.

The numbers of a tag's changes are dense and count down in the keys. A listing therefore gives the latest changes
first, and it can begin at any number. A page takes the records of its own changes and of some around them. The next
change shows whether a deletion took place, and a writer may record a sight that an earlier record tells already.

Index links are listed in the order of their digests. A page with a gap reads all of them, and other pages read no
index link. In a gap no record leads from one entry to the next, because another program changed the tag.

A store that lists in an order of its own is listed whole, for each page.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import dropwhile
from typing import Any, Final

from ..concurrency import gather, gather_map
from ..driver import LIST_LIMIT, Driver, FileInfo, entries
from ..errors import TagUnknown
from ..formats.names import RepositoryName, Tag
from ..layout import SEQUENCE_LIMIT, Layout, TagClaim, TagCreated, TagDeleted, TagReplaced
from ..threads import in_thread_if_large
from .claims import TagClaims
from .history import TagPlace, Timeline
from .records import IndexEntry, TagEvent, read_index, read_records

NEAR: Final = 16
"""Changes before and after those of a page that are read with them."""

FAR: Final = 512
"""The same for a page with a gap: those of about the minute around the hint of an index link."""

PROBES: Final = 7
"""Numbers that the search for a time asks about together."""

Current = Callable[[Tag], Coroutine[Any, Any, TagEvent | None]]
"""Reads what a tag is now."""

_CHANGES = (TagClaim, TagCreated, TagReplaced, TagDeleted)


@dataclass(frozen=True, slots=True)
class TagHistoryPage:
    """One page of a tag's history.

    Attributes:
        events: The entries, the newest first.
        next: What to pass as `last` for the page that follows; None after the last one.
    """

    events: tuple[TagEvent, ...]
    next: str | None


class HistoryPages:
    """Reads the history of a repository's tags by pages."""

    def __init__(
        self, name: RepositoryName, driver: Driver, layout: Layout, claims: TagClaims, current: Current
    ) -> None:
        self._name = name
        self._driver = driver
        self._layout = layout
        self._claims = claims
        self._current = current

    async def page(self, tag: Tag, limit: int, last: TagPlace | None = None) -> TagHistoryPage:
        """Return one page, of 1 entry or more; see `TagStore.history_page`."""
        ordered = await self._is_ordered(tag)
        window = await self._window(tag, limit, last, NEAR, ordered)
        if not window.has_gap():
            return window.page()
        if window.whole:
            window.index = await self._index(tag)
        else:
            index, window = await gather(self._index(tag), self._window(tag, limit, last, FAR, ordered))
            window.index = index
        return window.page()

    async def page_until(
        self, tag: Tag, limit: int, last: TagPlace | None, until: datetime
    ) -> TagHistoryPage:
        """Return the page that begins with the latest entry of a time or before it.

        A search by number finds that entry if it is not among the latest ones.
        """
        found = not await self._is_ordered(tag)  # such a store is read whole anyway
        wanted = SEQUENCE_LIMIT if found else max(limit, NEAR)
        page = await self.page(tag, wanted, last)
        while True:
            events = tuple(dropwhile(lambda event: event.since > until, page.events))
            if events and len(events) < limit and page.next is not None:
                newer = page.events[-len(events) - 1]
                return await self.page(tag, limit, TagPlace.parse(newer.place))
            if events or page.next is None:
                more = len(events) > limit
                return TagHistoryPage(events[:limit], events[limit - 1].place if more else page.next)
            last = TagPlace.parse(page.next)
            page = await (self.page(tag, wanted, last) if found else self._found(tag, wanted, last, until))
            found = True

    async def _found(self, tag: Tag, limit: int, last: TagPlace, until: datetime) -> TagHistoryPage:
        """Return a page that begins soon after the latest entry of a time or before it.

        Args:
            tag: The tag.
            limit: Its entries from that one on at most.
            last: The place of an entry after the time.
            until: The time.
        """
        high, ahead = await self._search(tag, last.number, until), NEAR
        while True:
            place = min(last, TagPlace(high + ahead, 0))
            page = await self.page(tag, limit + 2 * NEAR, place)
            # Writers that saw an earlier entry may have claimed numbers before a record tells of this one.
            if place == last or any(event.since > until for event in page.events):
                return page
            ahead *= 8

    async def _search(self, tag: Tag, high: int, until: datetime) -> int:
        """Return the number of a change soon after a time, where `high` is one of later."""
        low = -1  # announced up to the time, if it is a number
        while high - low > NEAR:
            numbers = [low + (high - low) * part // (PROBES + 1) for part in range(1, PROBES + 1)]
            probed = [each for each in await gather_map(self._probe(tag), numbers, limit=PROBES) if each]
            earlier = [number for number, written in probed if low < number < high and written <= until]
            below = max(earlier, default=low)
            above = min((number for number, _ in probed if below < number < high), default=high)
            if (below, above) == (low, high):
                break
            low, high = below, above
        return high

    def _probe(self, tag: Tag) -> Callable[[int], Awaitable[tuple[int, datetime] | None]]:
        async def probe(number: int) -> tuple[int, datetime] | None:
            """Return the latest change up to a number, and when it was announced. 1 request."""
            start = self._layout.history_from(self._name, tag, number)
            page = await self._driver.list_all(self._folder(tag), start_after=start, limit=1)
            for info in page.entries:
                change = _number(self._layout, info)
                return None if change is None else (change, info.modified)
            return None

        return probe

    # ---- reading

    async def _is_ordered(self, tag: Tag) -> bool:
        """Return whether a listing gives the latest changes first. 1 request where the store has no claims.

        A number has one folder there. If its options changed, a number of two folders is listed before it.
        """
        capabilities = self._driver.capabilities
        if not capabilities.ordered_listing or capabilities.conditional_put:
            return capabilities.ordered_listing
        first = (await self._driver.list_all(self._folder(tag), limit=1)).entries
        return not any(isinstance(self._layout.parse(info.key), TagClaim) for info in first)

    async def _window(
        self, tag: Tag, limit: int, last: TagPlace | None, near: int, ordered: bool
    ) -> "_Window":
        """Read the current link, and the records of a page and of `near` changes around it.

        The change that follows the page must be among them. Writers that were not first claim numbers and leave no
        records, so it may be farther away.
        """
        ahead = near
        while True:
            top = None if last is None or not ordered else last.number + ahead
            window = _Window(limit, last, near, top if top is None or top < SEQUENCE_LIMIT else None)
            window.current, _ = await gather(self._current(tag), self._go_on(tag, window, ordered))
            await self._settle(tag, window)
            while not window.ended and len(window.found()) <= limit:
                window.goal *= 2
                await self._go_on(tag, window, ordered)
                await self._settle(tag, window)
            if window.knows_next():
                if not window.found() and last is None:
                    raise TagUnknown(self._name, tag)
                return window
            ahead *= 8

    async def _go_on(self, tag: Tag, window: "_Window", ordered: bool) -> None:
        folder = self._folder(tag)
        if not ordered:
            window.listed = [info async for info in entries(self._driver.list_all, folder)]
            window.ended = True
            return
        place = None if window.top is None else self._layout.history_from(self._name, tag, window.top)
        while not window.ended and (wanted := window.goal - len(window.listed)) > 0:
            if window.listed:
                place = window.listed[-1].key
            page = await self._driver.list_all(folder, start_after=place, limit=min(wanted, LIST_LIMIT))
            window.listed += page.entries
            window.ended = page.next is None

    async def _settle(self, tag: Tag, window: "_Window") -> None:
        size = 100 * len(window.listed)  # some 100 bytes of each key are read
        records = await in_thread_if_large(size, read_records, self._layout, window.listed)
        if not window.ended:  # the last number may be listed in part
            cut = _number(self._layout, window.listed[-1])
            kept = [record for record in records.records if record.number != cut]
            records = replace(records, records=kept, claims=records.claims - {cut})
        window.newest = max((*records.claims, *(record.number for record in records.records)), default=-1)
        settled = await self._claims.settled(tag, records)
        window.timeline = await in_thread_if_large(
            size, partial(Timeline, settled, window.current, whole=window.ended)
        )

    async def _index(self, tag: Tag) -> Sequence[IndexEntry]:
        folder = self._layout.index_of(self._name, tag)
        return read_index(self._layout, [info async for info in entries(self._driver.list_all, folder)])

    def _folder(self, tag: Tag) -> str:
        return self._layout.history_of(self._name, tag)


@dataclass(slots=True)
class _Window:
    """The records of a page and of the changes around it.

    Attributes:
        limit: The entries of the page at most.
        last: The place that all of them are before.
        near: As many of the earliest changes read are not on the page, unless they are the first of all.
        top: The number from which on records are read; None for the latest.
        goal: How many keys are listed.
        listed: What was listed.
        ended: Whether it reaches the first change.
        newest: The latest number read; -1 for none.
        current: What the tag is now.
        index: The index links; empty until they are needed.
        timeline: What the records tell.
    """

    limit: int
    last: TagPlace | None
    near: int
    top: int | None
    goal: int = field(init=False)
    listed: list[FileInfo] = field(default_factory=list)
    ended: bool = False
    newest: int = -1
    current: TagEvent | None = None
    index: Sequence[IndexEntry] = ()
    timeline: Timeline = field(init=False)

    def __post_init__(self) -> None:
        changes = self.limit + 2 + self.near * (1 if self.top is None else 2) + 1
        self.goal = 2 * changes  # of most changes there are two keys, claim and record

    @property
    def whole(self) -> bool:
        """Whether these are all records of the tag."""
        return self.ended and self.top is None

    def knows_next(self) -> bool:
        """Return whether it has the change after those of the page, or the page has the latest."""
        if self.last is None or self.top is None or self.newest < self.top:
            return True
        return any(number > self.last.number for number in self.timeline.numbers[-1:])

    def found(self) -> Sequence[tuple[TagPlace, TagEvent]]:
        """Return the entries of the page and those after it in the listing, as far as they are sure."""
        numbers = self.timeline.numbers
        floor = -1 if self.ended else numbers[self.near - 1] if len(numbers) >= self.near else SEQUENCE_LIMIT
        return [
            (place, event)
            for place, event in reversed(self.timeline.entries(self.index))
            if place.number > floor and (self.last is None or place < self.last)
        ]

    def has_gap(self) -> bool:
        """Return whether index links may tell of more entries of the page."""
        found = self.found()
        first = found[self.limit - 1][0].number if len(found) > self.limit else -1
        return self.timeline.has_gaps(first, SEQUENCE_LIMIT if self.last is None else self.last.number)

    def page(self) -> TagHistoryPage:
        """Return the page."""
        found = self.found()
        events = tuple(replace(event, place=str(place)) for place, event in found[: self.limit])
        return TagHistoryPage(events, events[-1].place if len(found) > self.limit else None)


def _number(layout: Layout, info: FileInfo) -> int | None:
    """Return the number of the change of which an object is."""
    place = layout.parse(info.key)
    return place.sequence if isinstance(place, _CHANGES) else None
