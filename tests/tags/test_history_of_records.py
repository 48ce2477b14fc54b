"""A history made of records alone, also where several sights have one time: whole seconds don't tell them apart."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from revstore_async import Digest, TagEvent
from revstore_async.formats.names import RepositoryName, Tag
from revstore_async.layout import TagCreated, TagDeleted, TagReplaced
from revstore_async.tags.history import history
from revstore_async.tags.records import TagRecord

NAME, TAG = RepositoryName("library/hello"), Tag("latest")
SECOND = datetime(2026, 1, 1, tzinfo=UTC)


def digest(name: str) -> Digest:
    return Digest.of(name.encode())


@dataclass(frozen=True, slots=True)
class Clock:
    """The time of an entry and of a record.

    Attributes:
        fine: Whether each has a time of its own; else all have the same second.
    """

    fine: bool

    def since(self, visit: int) -> datetime:
        return SECOND + timedelta(microseconds=1 + visit) if self.fine else SECOND


def records(changes: str, clock: Clock) -> Sequence[TagRecord]:
    """Return the records of changes.

    Args:
        changes: Each change as the revision that its writer saw and the one that it gives, `-` for no tag, such as
            `-A AB B-`. Digits after a revision tell which of several visits the writer saw. A `.` is a number whose
            writer took back its record.
        clock: The times.
    """
    found: list[TagRecord] = []
    for number, change in enumerate(changes.split()):
        if change == ".":
            continue
        seen, successor, about = change[:-1], change[-1], (NAME, TAG, number)
        written = clock.since(100 + number)
        if seen == "-":
            found.append(TagRecord(TagCreated(*about, digest(successor)), written))
            continue
        sight = (*about, clock.since(int(seen[1:] or 0)), digest(seen[0]))
        place = TagDeleted(*sight) if successor == "-" else TagReplaced(*sight, digest(successor))
        found.append(TagRecord(place, written))
    return found


def told(changes: str, current: str, clock: Clock) -> str:
    """Return the revisions of a history as one text, `-` for the time after a deletion.

    Args:
        changes: The changes, as in `records`.
        current: The revision that the tag has now, `-` for no tag.
        clock: The times.
    """
    now = None if current == "-" else TagEvent(digest(current[0]), clock.since(int(current[1:] or 0)))
    names = {digest(name): name for name in "ABCD"}
    events = history(records(changes, clock), (), now)
    return "".join("-" if event.digest is None else names[event.digest] for event in events)


OLD_SIGHTS = [
    pytest.param("-A A- -B AC", "B", "A-B", id="before a deletion"),
    pytest.param("-A A- -B AC BD", "D", "A-BD", id="before a deletion, and the tag went on"),
    pytest.param(
        "-A A- -B AC B- -A", "A1", "A-B-A", id="before a deletion, and the revision came back later"
    ),
    pytest.param("-A AB AC", "B", "AB", id="of the last entry but one"),
    pytest.param("-A AB BC AD", "C", "ABC", id="of an entry of before"),
    pytest.param("-A AB AC BD", "D", "ABD", id="and the tag went on"),
    pytest.param("-A A- AB -B", "B", "A-B", id="before a deletion, and it was to set the next revision"),
    pytest.param("-A A- AB -B B-", "-", "A-B-", id="so, and the tag was deleted again"),
    pytest.param("-A -C A- AC CA", "A1", "A-CA", id="so, and another writer saw no tag long before"),
    pytest.param("-A AB AC B-", "-", "AB-", id="and the tag was deleted"),
]


@pytest.mark.parametrize("fine", [True, False], ids=["microseconds", "seconds"])
@pytest.mark.parametrize(("changes", "current", "life"), OLD_SIGHTS)
def test_an_old_sight_of_a_writer_that_died_is_no_return(
    changes: str, current: str, life: str, fine: bool
) -> None:
    """A writer looks at the tag and may claim its number much later. If it dies then, its record stays."""
    assert told(changes, current, Clock(fine)) == life


RETURNS = [
    pytest.param("-A AB BA A1C", "C", "ABAC", id="by a move"),
    pytest.param("-A AB BA A1-", "-", "ABA-", id="by a move, and the tag was deleted"),
    pytest.param("-A AB B- -A A1C", "C", "AB-AC", id="after a deletion"),
    pytest.param("-A A- -A A1C", "C", "A-AC", id="after a deletion of the same"),
    pytest.param("-A A- -A A1- -A A2B", "B", "A-A-AB", id="after two deletions of the same"),
    pytest.param("-A A- -B BA A1C", "C", "A-BAC", id="by a move from an entry after a deletion"),
    pytest.param("-A -A A- A1B", "B", "A-AB", id="by a writer that saw no tag long before"),
    pytest.param("-A -A A- A1-", "-", "A-A-", id="by such a writer, and the tag was deleted"),
    pytest.param("-A -A AB B- A1C", "C", "AB-AC", id="by such a writer, after a move"),
    pytest.param("-A -A A-", "A1", "A-A", id="by such a writer, and the tag is so now"),
]


@pytest.mark.parametrize("fine", [True, False], ids=["microseconds", "seconds"])
@pytest.mark.parametrize(("changes", "current", "life"), RETURNS)
def test_a_return_within_a_second_is_told(changes: str, current: str, life: str, fine: bool) -> None:
    assert told(changes, current, Clock(fine)) == life


@dataclass(slots=True)
class Life:
    """The life of a tag that writers change at once, each step of a writer at any time.

    Attributes:
        random: Chooses the order of the steps, and the changes.
        clock: The times.
        held: Each number that was claimed, with its record as in `records`; `.` once it is taken back.
        current: The revision of the tag, `-` for no tag.
        visit: How often the tag has changed.
        life: All revisions that the tag had, in order.
    """

    random: Random
    clock: Clock
    held: list[str] = field(default_factory=list)
    current: str = "-"
    visit: int = 0
    life: str = ""

    def run(self, writers: int, deaths: int) -> None:
        """Let writers change the tag; some of them die between two steps."""
        at_work = [self._writer() for _ in range(writers)]
        while at_work:
            writer = self.random.choice(at_work)
            dies = deaths > 0 and self.random.random() < 0.04
            deaths -= dies
            if dies or next(writer, self) is self:
                at_work.remove(writer)

    def _writer(self) -> Iterator[None]:
        for _ in range(self.random.randint(1, 3)):
            wanted = self.random.choice("AB-" if self.random.random() < 0.5 else "ABC-")
            done = False
            while not done:
                done = yield from self._try(wanted)

    def _try(self, wanted: str) -> Generator[None, None, bool]:
        """Look in any order, claim a number, switch the tag if it is as seen; return whether that is done."""
        listed_first = self.random.random() < 0.5
        number = len(self.held) if listed_first else None
        yield
        seen, visit = self.current, self.visit
        yield
        number = len(self.held) if number is None else number
        yield
        if seen == wanted:
            return True
        if number < len(self.held):
            return False
        self.held.append(f"{seen}{'' if seen == '-' else visit}{wanted}")
        yield
        if seen == self.current and (seen == "-" or visit == self.visit):
            self.current, self.visit = wanted, self.visit + 1
            self.life += wanted if self.life[-1:] != wanted else ""
            return True
        yield
        self.held[number] = "."
        return False


@pytest.mark.parametrize("fine", [True, False], ids=["microseconds", "seconds"])
@pytest.mark.parametrize("deaths", [0, 1])
def test_a_history_is_the_life_of_a_tag_in_whatever_order_its_writers_act(deaths: int, fine: bool) -> None:
    """With more than one death several lives may leave the same records."""
    returned = 0
    for seed in range(1000):
        life = Life(Random(seed), Clock(fine))
        life.run(2 + seed % 4, deaths)
        changes = " ".join(life.held)
        current = life.current if life.current == "-" else f"{life.current}{life.visit}"
        assert told(changes, current, life.clock) == life.life, (seed, changes)
        returned += len(set(life.life)) < len(life.life)
    assert returned > 250
