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

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from .digest import Digest
from .layout import TagCreated, TagDeleted, TagIndex, TagReplaced

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


def history(
    records: Iterable[TagRecord], index: Iterable[IndexEntry], current: TagEvent | None
) -> Sequence[TagEvent]:
    """Return the history of a tag, the oldest entry first; no two neighbours have one revision."""
    told = sorted(records, key=lambda record: (record.place.sequence, record.written))
    # A dict, to keep those of one whole second in the order of their changes.
    seen = dict.fromkeys(record.seen for record in told if record.seen)
    known = [*seen, *([current] if current and current not in seen else [])]
    known += [TagEvent(None, deletion.written) for deletion in _deletions(told, current)]
    if not known:
        return []
    end = current.since if current else max(event.since for event in known)
    hints = [TagEvent(entry.place.digest, entry.written) for entry in index if entry.written < end]
    lost = _overtaken(told, current)
    added = [
        hint
        for hint in hints
        if not _told(hint, known, hints) and (hint.digest in lost or not _refuted(hint, told))
    ]
    return _without_repeats(sorted([*known, *added], key=lambda event: event.since))


def _deletions(told: Sequence[TagRecord], current: TagEvent | None) -> Iterable[TagRecord]:
    """Yield the records of deletions that took place: after them, no tag was seen."""
    for record in told:
        if isinstance(record.place, TagDeleted):
            later = [after for after in told if after.place.sequence > record.place.sequence]
            if later[0].seen is None if later else current is None:
                yield record


def _overtaken(told: Sequence[TagRecord], current: TagEvent | None) -> Collection[Digest]:
    """Return revisions that our writers set, and another program's replaced before we saw them there."""
    lost = set()
    changes = [list(same) for _, same in groupby(told, key=lambda record: record.place.sequence)]
    for number, change in enumerate(changes):
        after = changes[number + 1][0].seen if number + 1 < len(changes) else current
        wanted = {record.place.successor for record in change if not isinstance(record.place, TagDeleted)}
        before = {record.seen.digest for record in change if record.seen}
        if len(wanted) == 1 and after is not None and after.digest not in wanted | before:
            lost |= wanted
    return lost


def _told(hint: TagEvent, known: Sequence[TagEvent], hints: Sequence[TagEvent]) -> bool:
    """Say whether a known event is what the hint announced: the same revision, with no other in between."""
    end = min(
        (
            event.since
            for event in [*known, *hints]
            if event.digest != hint.digest and event.since > hint.since
        ),
        default=None,
    )
    return any(
        event.digest == hint.digest and event.since >= hint.since and (end is None or event.since <= end)
        for event in known
    )


def _refuted(hint: TagEvent, told: Sequence[TagRecord]) -> bool:
    """Say whether the hint is of one of our writers, or the tag is known not to have had the revision then."""
    for record in told:
        place, seen = record.place, record.seen
        if not isinstance(place, TagDeleted) and place.successor == hint.digest:
            if abs(record.written - hint.since) <= _TOGETHER:
                return True
        elif seen is None:
            if hint.since <= record.written:
                return True  # there was no tag, whose deletion takes the index with it
        elif seen.digest != hint.digest and seen.since <= hint.since <= record.written:
            return True  # the tag had another revision all that time
    return False


def _without_repeats(events: Sequence[TagEvent]) -> Sequence[TagEvent]:
    kept: list[TagEvent] = []
    for event in events:
        if not kept or kept[-1].digest != event.digest:
            kept.append(event)
    return kept
