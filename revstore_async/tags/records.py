"""The witnesses of a tag's history as they are listed: records, claims and index links. No I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from ..driver import FileInfo
from ..formats.digest import Digest
from ..layout import Layout, TagClaim, TagCreated, TagDeleted, TagIndex, TagReplaced


@dataclass(frozen=True, slots=True)
class TagEvent:
    """One entry of a tag's history: from `since` until the next entry, the tag had this revision.

    Attributes:
        digest: The revision; None for the time after the tag was deleted.
        since: When it got it, by the store's clock (whole seconds on S3).
        number: The number of the change that ended it; None for the last entry, and for changes by other programs.
        place: `TagStore.history_page` takes it as `last`, to return the entries before this one. Empty elsewhere.
    """

    digest: Digest | None
    since: datetime
    number: int | None = field(default=None, compare=False)
    place: str = field(default="", compare=False)


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
        held: When each of these was claimed that its writer did not give back.
    """

    records: Sequence[TagRecord]
    claims: frozenset[int]
    held: Mapping[int, datetime]

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
        counted = [record.number for record in self.records if record.number in self.held]
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
            or (record.number in self.held and winners.get(record.number, record.place) == record.place)
        ]


def read_records(layout: Layout, listed: Iterable[FileInfo]) -> TagRecords:
    """Return the records among listed objects."""
    records: list[TagRecord] = []
    claims: set[int] = set()
    held: dict[int, datetime] = {}
    for info in listed:
        match layout.parse(info.key):
            case TagClaim(sequence=number):
                claims.add(number)
                if info.size:
                    held[number] = info.modified
            case TagCreated() | TagReplaced() | TagDeleted() as place:
                records.append(TagRecord(place, info.modified))
    records.sort(key=lambda record: (record.number, record.written))
    return TagRecords(records, frozenset(claims), held)


def read_index(layout: Layout, listed: Iterable[FileInfo]) -> Sequence[IndexEntry]:
    """Return the index links among listed objects, in their order."""
    return [
        IndexEntry(place, info.modified)
        for info in listed
        if isinstance(place := layout.parse(info.key), TagIndex)
    ]
