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

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from ..driver import FileInfo
from ..formats.digest import Digest
from ..layout import Layout, TagClaim, TagCreated, TagDeleted, TagIndex, TagReplaced

_TOGETHER = timedelta(minutes=1)  # a record and an index link of one attempt are written within this


@dataclass(frozen=True, slots=True)
class TagEvent:
    """One entry of a tag's history: from `since` until the next entry, the tag had this revision.

    Attributes:
        digest: The revision; None for the time after the tag was deleted.
        since: When it got it, by the store's clock (whole seconds on S3).
        number: The number of the change that ended it; None for the last entry, and for changes by other programs.
    """

    digest: Digest | None
    since: datetime
    number: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class TagRecord:
    """A record as listed: what its key says, and when it was written."""

    place: TagCreated | TagReplaced | TagDeleted
    written: datetime

    @property
    def number(self) -> int:
        """The number of the change."""
        return self.place.sequence

    @property
    def seen(self) -> TagEvent | None:
        """The sight of the writer; None for no tag."""
        if isinstance(self.place, TagCreated):
            return None
        return TagEvent(self.place.digest, self.place.since, self.number)

    @property
    def successor(self) -> Digest | None:
        """The revision that the tag was to get; None for a deletion."""
        return None if isinstance(self.place, TagDeleted) else self.place.successor


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """An index link as listed."""

    place: TagIndex
    written: datetime


@dataclass(frozen=True, slots=True)
class TagRecords:
    """The records of a tag, as listed.

    Attributes:
        records: Those of changes, by their number.
        claims: The numbers that were claimed.
    """

    records: Sequence[TagRecord]
    claims: frozenset[int]

    @property
    def next(self) -> int:
        """The number to claim next.

        Claims are dense, and listed before the records of their number. A record without a claim is one of a writer
        that has not claimed its number yet.
        """
        taken = [*self.claims, *(record.number for record in self.records if record.place.flat)]
        if taken:
            return max(taken) + 1
        return max((record.number for record in self.records), default=0)

    def contested(self) -> Sequence[int]:
        """Return the numbers for which several writers left a record: only the claim tells which of them counts."""
        counted = [record.number for record in self.records if record.number in self.claims]
        return [number for number, same in groupby(counted) if len(list(same)) > 1]

    def settled(self, winners: Mapping[int, object]) -> Sequence[TagRecord]:
        """Return the records that count: those whose writer had the number, and those of older engines.

        Args:
            winners: The record of each contested number whose claim names it.
        """
        return [
            record
            for record in self.records
            if record.place.flat
            or (record.number in self.claims and winners.get(record.number, record.place) == record.place)
        ]


def read_records(layout: Layout, listed: Iterable[FileInfo]) -> TagRecords:
    """Return the records among listed objects."""
    records: list[TagRecord] = []
    claims: set[int] = set()
    for info in listed:
        match layout.parse(info.key):
            case TagClaim(sequence=number):
                claims.add(number)
            case TagCreated() | TagReplaced() | TagDeleted() as place:
                records.append(TagRecord(place, info.modified))
    records.sort(key=lambda record: (record.number, record.written))
    return TagRecords(records, frozenset(claims))


def read_index(layout: Layout, listed: Iterable[FileInfo]) -> Sequence[IndexEntry]:
    """Return the index links among listed objects, in their order."""
    return [
        IndexEntry(place, info.modified)
        for info in listed
        if isinstance(place := layout.parse(info.key), TagIndex)
    ]


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
    steps = [list(same) for _, same in groupby(records, key=lambda record: record.number)]
    known = _known(steps, current)
    hints = [TagEvent(entry.place.digest, entry.written) for entry in index]
    hints.sort(key=lambda hint: hint.since)
    led = {(record.seen, record.successor) for record in records}
    lost = [event for step, after in _with_next(steps, current) for event in _overtaken(step, after)]
    events: list[TagEvent] = []
    before: TagEvent | None = None
    for event in known:
        # After a deletion the next sight is of no tag.
        if (None if before is None or before.digest is None else before, event.digest) not in led:
            events += [
                hint
                for hint in hints
                if (before is None or before.since < hint.since)
                and hint.since < event.since
                and hint.digest != event.digest
                and (_is_near(hint, lost) or not _is_attempt(hint, records))
            ]
        events.append(event)
        before = event
    return _without_repeats(events)


def _known(steps: Sequence[Sequence[TagRecord]], current: TagEvent | None) -> Sequence[TagEvent]:
    """Return what the tag was for certain: the sights, the deletions that they show, and what it is now."""
    known: list[TagEvent] = []
    told: set[TagEvent] = set()
    deletions = _Deletions(record for step in steps for record in step)
    for step, after in _with_next(steps, current):
        for seen in dict.fromkeys(record.seen for record in step):
            # A writer's sight may be old when it claims its number. Whole seconds don't tell that from a return.
            if seen is not None and (seen not in told or (not seen.since.microsecond and known[-1] != seen)):
                known += [*deletions.between(known, seen), seen]
                told.add(seen)
        if after is None:
            deleting = [record for record in step if record.successor is None]
            known += [TagEvent(None, record.written, record.number) for record in deleting[-1:]]
    if current and current not in known[-1:]:
        known += [*deletions.between(known, current), current]
    if steps and not current and known and known[-1].digest:
        # No record of the last change tells of a deletion: it is told by an earlier one, or another program did it.
        known.append(deletions.of(known[-1]) or TagEvent(None, steps[-1][-1].written))
    return known


class _Deletions:
    """The deletions that a tag's records tell of, and the writers that were to make the tag anew."""

    def __init__(self, records: Iterable[TagRecord]) -> None:
        self._deleting: dict[TagEvent, TagRecord] = {}
        self._replacing: set[tuple[TagEvent, Digest | None]] = set()
        self._making: Counter[Digest | None] = Counter()
        for record in records:
            if record.seen is None:
                self._making[record.successor] += 1
            elif record.successor is None:
                self._deleting[record.seen] = record
            else:
                self._replacing.add((record.seen, record.successor))

    def of(self, event: TagEvent) -> TagEvent | None:
        """Return the deletion whose writer saw an entry, if there is one."""
        record = self._deleting.get(event)
        return None if record is None else TagEvent(None, record.written, record.number)

    def between(self, known: Sequence[TagEvent], event: TagEvent) -> Sequence[TagEvent]:
        """Return the deletion between the last entry that is known and a new one, if no record shows another way.

        A writer that finds no tag may make it after later numbers have made and deleted it: one absence of a tag
        is like another. Then the number of the new entry's change is lower than that of the deletion.
        """
        deleted = known[-1].digest is None if known else True
        if deleted:
            self._making[event.digest] -= 1
            return ()
        gone = self.of(known[-1])
        if gone is None or (known[-1], event.digest) in self._replacing or self._making[event.digest] < 1:
            return ()
        self._making[event.digest] -= 1
        return (gone,)


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


def _is_attempt(hint: TagEvent, records: Iterable[TagRecord]) -> bool:
    """Return whether a hint is one of our own writers': its record tells more."""
    return any(
        record.successor == hint.digest and abs(record.written - hint.since) <= _TOGETHER
        for record in records
    )


def _without_repeats(events: Sequence[TagEvent]) -> Sequence[TagEvent]:
    kept: list[TagEvent] = []
    for event in events:
        if not kept or kept[-1].digest != event.digest:
            kept.append(event)
    return kept
