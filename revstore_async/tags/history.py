"""A tag's history, made of what lies in the store. No I/O.

Three sorts of witnesses are read together:

- the current link: which revision, since when;
- our records, written just before each change of a tag. A record tells what its writer saw there (which revision,
  since when; or no tag), and what the writer was about to do. A record has a number of its own, which its writer
  claimed; the numbers are the order of the changes, whatever clocks say;
- the index links, of Docker Distribution's layout: which revisions the tag was meant to have, and when that was
  first or last written.

A record's sight is exact, whether or not its change took place. Between two sights that a record explains (it saw
the first, and led to the second), nothing else happened. Elsewhere another program changed the tag, which writes
no records; there the index links are hints.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

from ..errors import InvalidArgument
from ..formats.digest import Digest
from ..layout import SEQUENCE_LIMIT
from .records import IndexEntry, TagEvent, TagRecord

_TOGETHER = timedelta(minutes=1)  # a record and an index link of one attempt are written within this
_LATE = 16  # a writer that found no tag may make it after so many later changes have made and deleted it
_PLACE = re.compile(r"([0-9]{1,12})\.([0-9]{1,9})")
_since = attrgetter("since")


def history(
    records: Sequence[TagRecord],
    index: Iterable[IndexEntry],
    current: TagEvent | None,
) -> Sequence[TagEvent]:
    """Return the history of a tag, the oldest entry first; no two neighbours have one revision.

    Args:
        records: The records that count, by their number.
        index: The index links.
        current: What the tag is now.
    """
    return [event for _, event in Timeline(records, current).entries(index)]


@dataclass(frozen=True, slots=True, order=True)
class TagPlace:
    """The place of an entry in a tag's history; a later entry has a greater place.

    Attributes:
        number: The number of the change whose record tells the entry first. For the tag's last entry and for hints
            before it, the number that comes next.
        order: How many entries of the same number are before it.
    """

    number: int
    order: int

    def __str__(self) -> str:
        return f"{self.number}.{self.order}"

    @classmethod
    def parse(cls, text: str) -> "TagPlace":
        """Read the text of a place, as `str` writes it.

        Raises:
            InvalidArgument: The text is no place.
        """
        match = _PLACE.fullmatch(text)
        if match is None:
            raise InvalidArgument("last", text, "it is no place in a tag's history")
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class _Known:
    """An entry that is certain.

    Attributes:
        number: That of its place.
        event: The entry.
        after: The time of the entry before it; None for the first.
        explained: Whether a record led from the entry before it to this one, so that nothing was between them.
    """

    number: int
    event: TagEvent
    after: datetime | None
    explained: bool


class Timeline:
    """A tag's history by its records, or by some consecutive ones of them; hints of index links fill its gaps.

    Attributes:
        numbers: The number of each change that left a record, in order.
    """

    def __init__(self, records: Sequence[TagRecord], current: TagEvent | None, *, whole: bool = True) -> None:
        """Find the entries that are certain.

        Args:
            records: The records that count, by their number.
            current: What the tag is now.
            whole: Whether the first record is that of the first change.
        """
        steps = [list(same) for _, same in groupby(records, key=lambda record: record.number)]
        self.numbers: Sequence[int] = [step[0].number for step in steps]
        self._lost = [
            event for step, after in _with_next(steps, current) for event in _overtaken(step, after)
        ]
        self._attempts: dict[Digest | None, list[datetime]] = {}
        self._led: dict[tuple[TagEvent | None, Digest | None], list[int]] = {}
        for record in records:
            self._attempts.setdefault(record.successor, []).append(record.written)
            self._led.setdefault((record.seen, record.successor), []).append(record.number)
        self._known = self._placed(_known(steps, current, whole=whole))

    def _placed(self, events: Sequence[TagEvent]) -> Sequence[_Known]:
        following = self.numbers[-1] + 1 if self.numbers else 0
        known: list[_Known] = []
        before: TagEvent | None = None
        number = least = 0
        for event in events:
            number = max(number, following if event.number is None else event.number)
            # After a deletion the next sight is of no tag.
            seen = None if before is None or before.digest is None else before
            leading = self._led.get((seen, event.digest), ())
            explained = any(least - (_LATE if seen is None else 0) <= each <= number for each in leading)
            after = before.since if before else None
            known.append(_Known(number, event, after, explained))
            before, least = event, number
        return known

    def has_gaps(self, first: int, last: int) -> bool:
        """Return whether index links may tell of entries at these numbers or between them."""
        return any(not known.explained for known in self._known if first <= known.number <= last)

    def entries(self, index: Iterable[IndexEntry] = ()) -> Sequence[tuple[TagPlace, TagEvent]]:
        """Return the history, the oldest entry first; no two neighbours have one revision.

        Args:
            index: The index links; without them the gaps stay empty.
        """
        hints = [TagEvent(entry.place.digest, entry.written) for entry in index]
        hints.sort(key=_since)
        found: list[tuple[TagPlace, TagEvent]] = []
        place = TagPlace(-1, 0)
        latest: TagEvent | None = None
        for known in self._known:
            for event in (*self._hints(known, hints), known.event):
                place = TagPlace(known.number, place.order + 1 if place.number == known.number else 0)
                if latest is None or latest.digest != event.digest:
                    latest = event
                    found.append((place, event))
        return found

    def _hints(self, known: _Known, hints: Sequence[TagEvent]) -> Sequence[TagEvent]:
        """Return the hints between an entry and the one before it."""
        if known.explained:
            return ()
        first = 0 if known.after is None else bisect_right(hints, known.after, key=_since)
        return [
            hint
            for hint in hints[first : bisect_left(hints, known.event.since, key=_since)]
            if hint.digest != known.event.digest
            and (_is_near(hint, self._lost) or not self._is_attempt(hint))
        ]

    def _is_attempt(self, hint: TagEvent) -> bool:
        """Return whether a hint is one of our own writers': its record tells more."""
        written = self._attempts.get(hint.digest, ())
        return any(abs(time - hint.since) <= _TOGETHER for time in written)


def _known(
    steps: Sequence[Sequence[TagRecord]], current: TagEvent | None, *, whole: bool
) -> Sequence[TagEvent]:
    """Return what the tag was for certain: the sights, the deletions that they show, and what it is now."""
    known: list[TagEvent] = []
    told: dict[TagEvent, int] = {}
    ways = _Ways([record for step in steps for record in step], whole=whole)

    def is_return(seen: TagEvent, number: int) -> bool:
        # A writer's sight may be old when it claims its number. Whole seconds don't tell that from a return.
        return not seen.since.microsecond and ways.lead_back(known, seen, told[seen], number)

    for step, after in _with_next(steps, current):
        number = step[0].number
        for seen in dict.fromkeys(record.seen for record in step):
            if seen is None:
                continue
            if seen not in told or is_return(seen, number):
                known += [*ways.between(known, seen, number), seen]
            told[seen] = number
        if after is None:
            deleting = [record for record in step if record.successor is None]
            known += [ways.deletion(record) for record in deleting[-1:]]
    if current and (current not in known[-1:] or is_return(current, SEQUENCE_LIMIT)):
        known += [*ways.between(known, current), current]
    if steps and not current and known and known[-1].digest:
        # No record of the last change tells of a deletion: it is told by an earlier one, or another program did it.
        known.append(ways.deletion_of(known[-1]) or TagEvent(None, steps[-1][-1].written))
    return known


class _Ways:
    """The ways from one entry to the next, by the records. Each creation and each deletion is one way."""

    def __init__(self, records: Sequence[TagRecord], *, whole: bool) -> None:
        self._begins_without_tag = whole or not records or records[0].seen is None
        self._deleting: dict[TagEvent, list[TagRecord]] = {}
        self._replacing: dict[tuple[TagEvent, Digest | None], list[int]] = {}
        self._making: dict[Digest | None, list[int]] = {}
        for record in records:
            if record.seen is None:
                self._making.setdefault(record.successor, []).append(record.number)
            elif record.successor is None:
                self._deleting.setdefault(record.seen, []).append(record)
            else:
                self._replacing.setdefault((record.seen, record.successor), []).append(record.number)

    def deletion(self, record: TagRecord) -> TagEvent:
        """Return the entry of a deletion, which explains no other entry then."""
        if record.seen is not None:
            self._deleting[record.seen].remove(record)
        return TagEvent(None, record.written, record.number)

    def deletion_of(self, event: TagEvent, limit: int = SEQUENCE_LIMIT) -> TagEvent | None:
        """Return the deletion whose writer saw an entry and had a number below a limit; None without one."""
        records = [record for record in self._deleting.get(event, ()) if record.number < limit]
        return self.deletion(records[-1]) if records else None

    def lead_back(self, known: Sequence[TagEvent], event: TagEvent, first: int, number: int) -> bool:
        """Return whether the tag may have got back to an entry.

        Args:
            known: The entries that are known.
            event: The entry, which was seen before.
            first: The number under which it was last seen.
            number: The number under which it is seen now.
        """
        last = known[-1]
        if self._makes(event, number) and (last.digest is None or self._deletes(last, number)):
            return True
        replacing = self._replacing.get((last, event.digest), ())
        return last != event and any(first < each < number for each in replacing)

    def between(
        self, known: Sequence[TagEvent], event: TagEvent, number: int = SEQUENCE_LIMIT
    ) -> Sequence[TagEvent]:
        """Return the deletion between the last entry that is known and a new one, if no record shows another way.

        A writer that finds no tag may make it after later numbers have made and deleted it: one absence of a tag
        is like another. Then the number of the new entry's change is lower than that of the deletion.

        Args:
            known: The entries that are known.
            event: The new entry.
            number: The number under which it is seen.
        """
        if not known or known[-1].digest is None:
            if (known or self._begins_without_tag) and self._makes(event, number):
                del self._making[event.digest][0]
            return ()
        gone = self.deletion_of(known[-1], number) if self._makes(event, number) else None
        if gone is None:
            return ()
        del self._making[event.digest][0]
        return (gone,)

    def _makes(self, event: TagEvent, number: int) -> bool:
        return any(each < number for each in self._making.get(event.digest, ())[:1])

    def _deletes(self, event: TagEvent, number: int) -> bool:
        return any(record.number < number for record in self._deleting.get(event, ()))


def _with_next(
    steps: Sequence[Sequence[TagRecord]], current: TagEvent | None
) -> Iterable[tuple[Sequence[TagRecord], TagEvent | None]]:
    """Yield the records of each change, with what was seen next."""
    for number, step in enumerate(steps):
        yield step, current if number + 1 == len(steps) else steps[number + 1][0].seen


def _overtaken(step: Sequence[TagRecord], after: TagEvent | None) -> Sequence[TagEvent]:
    """Return what one of our writers set, if another program replaced it before we saw it there.

    Args:
        step: The records of one change.
        after: What was seen next.
    """
    attempts = {record.successor: record.written for record in step if record.successor}
    if len(attempts) != 1 or after is None or after.digest in attempts:
        return []
    if any(record.seen == after for record in step):
        return []  # the change did not take place
    return [TagEvent(digest, written) for digest, written in attempts.items()]


def _is_near(hint: TagEvent, events: Iterable[TagEvent]) -> bool:
    """Return whether a hint was written together with one of these."""
    return any(event.digest == hint.digest and abs(event.since - hint.since) <= _TOGETHER for event in events)
