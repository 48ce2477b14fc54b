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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from ..driver import FileInfo
from ..formats.digest import Digest
from ..layout import Layout, TagClaim, TagCreated, TagDeleted, TagIndex, TagPending, TagReplaced

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
        pending: The number of each deletion that is under way, or whose writer died, and when it began.
    """

    records: Sequence[TagRecord]
    claims: frozenset[int]
    pending: Mapping[int, datetime]

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
    pending: dict[int, datetime] = {}
    for info in listed:
        match layout.parse(info.key):
            case TagClaim(sequence=number):
                claims.add(number)
            case TagPending(sequence=number):
                pending[number] = info.modified
            case TagCreated() | TagReplaced() | TagDeleted() as place:
                records.append(TagRecord(place, info.modified))
    records.sort(key=lambda record: (record.number, record.written))
    return TagRecords(records, frozenset(claims), pending)


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
    *,
    exact: bool = True,
) -> Sequence[TagEvent]:
    """Return the history of a tag, the oldest entry first; no two neighbours have one revision.

    Args:
        records: The records that count, by their number.
        index: The index links.
        current: What the tag is now.
        exact: Whether the store deletes on a condition. Elsewhere a deletion may take a later link than its writer
            saw.
    """
    steps = [list(same) for _, same in groupby(records, key=lambda record: record.number)]
    known = _known(steps, current, exact=exact)
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


def _known(
    steps: Sequence[Sequence[TagRecord]], current: TagEvent | None, *, exact: bool
) -> Sequence[TagEvent]:
    """Return what the tag was for certain: the sights, the deletions that they show, and what it is now.

    A writer that was not first takes its record back. So where a deletion took the link of a writer that saw the
    same as it did, the record alone may tell of that link.
    """
    known: list[TagEvent] = []
    told: set[TagEvent] = set()
    open_deletions: list[TagRecord] = []  # whose effect no sight has shown yet
    switched: TagRecord | None = None
    for step, after in _with_next(steps, current):
        before, switched = switched, next((record for record in reversed(step) if record.successor), None)
        for seen in dict.fromkeys(record.seen for record in step):
            # A writer's sight may be old when it claims its number. Whole seconds don't tell that from a return.
            if seen is not None and (seen not in told or (not seen.since.microsecond and known[-1] != seen)):
                known.append(seen)
                told.add(seen)
        deletions = [record for record in step if record.successor is None]
        if after is not None:
            open_deletions += deletions
            continue
        if not exact and (unseen := _unseen(step, before, open_deletions)):
            known.append(TagEvent(unseen.successor, unseen.written, unseen.number))
            deletions = deletions or open_deletions
            open_deletions = []
        known += [TagEvent(None, record.written, record.number) for record in deletions[-1:]]
    if current and current not in known[-1:]:
        known.append(current)
    if steps and not current and known and known[-1].digest:
        known.append(TagEvent(None, steps[-1][-1].written))  # another program deleted it; it was not earlier
    return known


def _unseen(
    step: Sequence[TagRecord], before: TagRecord | None, deletions: Sequence[TagRecord]
) -> TagRecord | None:
    """Return the record of a switch whose link a deletion took before anyone saw it.

    Args:
        step: The records of a change after which no tag was seen.
        before: The record of the switch before it.
        deletions: Those before it whose effect was not seen.
    """
    last = step[-1]
    if last.successor is not None:
        return last if deletions else None
    if before is None or before.seen is None or last.seen is None:
        return None
    return before if before.seen.digest == last.seen.digest else None


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
