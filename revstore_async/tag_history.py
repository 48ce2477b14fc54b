"""A tag's history, made of what lies in the store. No I/O.

Three sorts of witnesses are read together:

- the current link: which revision, since when;
- our records, written just before each change of a tag: what the writer saw there (which revision, since when;
  or no tag), and what it was about to do. What was seen is exact, whether or not the change then took place;
- the index links, of Docker Distribution's layout: which revisions the tag was meant to have, and when that was
  first or last written. They are a hint: a writer that crashed, or that another one outran, leaves one of a
  revision that the tag never had.

So what was seen counts, and a hint adds an event only where it leaves room for one: what another program, which
writes no records, did to the tag before the last thing that is known of it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, islice

from .digest import Digest
from .driver import FileInfo
from .layout import Layout, TagCreated, TagDeleted, TagIndex, TagReplaced

_TOGETHER = timedelta(minutes=1)  # a record and an index link of one attempt are written within this


@dataclass(frozen=True, slots=True)
class TagEvent:
    """One entry of a tag's history: from `since` until the next entry, the tag had this revision.

    Attributes:
        digest: The revision; None for the time after the tag was deleted.
        since: When it got it, by the store's clock (whole seconds on S3).
    """

    digest: Digest | None
    since: datetime


@dataclass(frozen=True, slots=True)
class TagRecord:
    """A record as listed: what its key says, and when it was written."""

    place: TagCreated | TagReplaced | TagDeleted
    written: datetime

    @property
    def seen(self) -> TagEvent | None:
        """What the writer saw; None for no tag."""
        if isinstance(self.place, TagCreated):
            return None
        return TagEvent(self.place.digest, self.place.since)


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """An index link as listed."""

    place: TagIndex
    written: datetime


def read_records(layout: Layout, listed: Iterable[FileInfo]) -> Sequence[TagRecord]:
    """Return the records among listed objects, in their order."""
    return [
        TagRecord(place, info.modified)
        for info in listed
        if isinstance(place := layout.parse(info.key), TagCreated | TagReplaced | TagDeleted)
    ]


def read_index(layout: Layout, listed: Iterable[FileInfo]) -> Sequence[IndexEntry]:
    """Return the index links among listed objects, in their order."""
    return [
        IndexEntry(place, info.modified)
        for info in listed
        if isinstance(place := layout.parse(info.key), TagIndex)
    ]


def history(
    records: Iterable[TagRecord], index: Iterable[IndexEntry], current: TagEvent | None
) -> Sequence[TagEvent]:
    """Return the history of a tag, the oldest entry first; no two neighbours have one revision."""
    told = sorted(records, key=lambda record: (record.place.sequence, record.written))
    changes = [list(same) for _, same in groupby(told, key=lambda record: record.place.sequence)]
    known: list[TagEvent] = []
    lost: list[TagEvent] = []
    for number, change in enumerate(changes):
        last = number + 1 == len(changes)
        after = current if last else changes[number + 1][0].seen
        known += dict.fromkeys(record.seen for record in change if record.seen)
        if after is None:
            deletions = [record for record in change if isinstance(record.place, TagDeleted)]
            known += [TagEvent(None, record.written) for record in deletions[-1:]]
        lost += _overtaken(change, after)
    if current and current not in known[-1:]:
        known.append(current)
    if told and not current and known and known[-1].digest:
        known.append(TagEvent(None, told[-1].written))  # another program deleted it; it was not earlier
    if not known:
        return []
    end = current.since if current else max(event.since for event in known)
    hints = [TagEvent(entry.place.digest, entry.written) for entry in index if entry.written < end]
    evidence = _Evidence(told, known, hints)
    added = [
        hint
        for hint in hints
        if not evidence.tells(hint) and (_is_near(hint, lost) or not evidence.refutes(hint))
    ]
    # The sort is stable: of one whole second, what is known stays in the order of the changes.
    return _without_repeats(sorted([*known, *added], key=lambda event: event.since))


def _overtaken(change: Sequence[TagRecord], after: TagEvent | None) -> Sequence[TagEvent]:
    """Return what one of our writers set, if another program replaced it before we saw it there.

    Args:
        change: The records of one change.
        after: What was seen next.
    """
    attempts = {
        record.place.successor: record.written
        for record in change
        if not isinstance(record.place, TagDeleted)
    }
    if len(attempts) != 1 or after is None or after.digest in attempts:
        return []
    if any(record.seen == after for record in change):
        return []  # the change did not take place
    return [TagEvent(digest, written) for digest, written in attempts.items()]


def _is_near(hint: TagEvent, events: Iterable[TagEvent]) -> bool:
    """Say whether a hint was written together with one of these."""
    return any(event.digest == hint.digest and abs(event.since - hint.since) <= _TOGETHER for event in events)


class _Evidence:
    """What is known of a tag, ordered for looking up by time: a history may have thousands of entries."""

    def __init__(
        self, told: Sequence[TagRecord], known: Sequence[TagEvent], hints: Sequence[TagEvent]
    ) -> None:
        self._known = set(known)
        self._events = sorted([*known, *hints], key=lambda event: event.since)
        self._attempts: dict[Digest, list[datetime]] = {}
        for record in told:
            if not isinstance(record.place, TagDeleted):
                self._attempts.setdefault(record.place.successor, []).append(record.written)
        self._absent = max((record.written for record in told if record.seen is None), default=None)
        self._spans = sorted(
            ((record.seen, record.written) for record in told if record.seen), key=lambda span: span[0].since
        )

    def tells(self, hint: TagEvent) -> bool:
        """Say whether a known event is what the hint announced: the same revision, with no other in between."""
        end = None
        start = bisect_left(self._events, hint.since, key=lambda event: event.since)
        for event in islice(self._events, start, None):
            if end is not None and event.since > end:
                break
            if event.digest == hint.digest and event in self._known:
                return True
            if event.digest != hint.digest and event.since > hint.since and end is None:
                end = event.since
        return False

    def refutes(self, hint: TagEvent) -> bool:
        """Say whether the hint is one of our writers', or the tag is known not to have had the revision then."""
        attempts = self._attempts.get(hint.digest, []) if hint.digest else []
        if any(abs(written - hint.since) <= _TOGETHER for written in attempts):
            return True
        if self._absent is not None and hint.since <= self._absent:
            return True  # there was no tag, and the deletion of one takes its index with it
        before = bisect_right(self._spans, hint.since, key=lambda span: span[0].since)
        for seen, written in islice(reversed(self._spans), len(self._spans) - before, None):
            if seen.since < self._spans[before - 1][0].since:
                break  # spans follow one another: an earlier one ended before this one began
            if hint.since <= written and seen.digest != hint.digest:
                return True  # the tag had another revision all that time
        return False


def _without_repeats(events: Sequence[TagEvent]) -> Sequence[TagEvent]:
    kept: list[TagEvent] = []
    for event in events:
        if not kept or kept[-1].digest != event.digest:
            kept.append(event)
    return kept
