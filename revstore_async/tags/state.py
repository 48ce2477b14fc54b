"""Values: a tag before a change, the change, and the caller's expectation of the tag. No I/O."""

from copy import copy
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from ..errors import TagChanged
from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag
from ..layout import TagCreated, TagDeleted, TagReplaced
from .current import CurrentLink
from .records import TagEvent, TagRecords

ChangeRecord = TagCreated | TagReplaced | TagDeleted
"""The record that a writer leaves of a change."""


class Absent(Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
"""What a caller expects who expects that there is no such tag."""

Expected = str | Absent | None
"""What a caller expects of a tag: a revision's digest, that there is none, or nothing."""


def check_expected(expected: Expected) -> Expected:
    """Return a caller's expectation of a tag, if a tag can be so.

    Raises:
        InvalidDigest: It is text, but not a digest.
        WrongType: It is neither text, `ABSENT` nor None.
    """
    return expected if expected is None or isinstance(expected, Absent) else Digest(expected)


@dataclass(frozen=True, slots=True)
class TagState:
    """A tag as a writer finds it before a change.

    Attributes:
        tag: The tag.
        link: Its current link.
        recent: The latest records of its changes: the last one, or the last few.
    """

    tag: Tag
    link: CurrentLink
    recent: TagRecords

    @property
    def current(self) -> TagEvent | None:
        """The tag's revision, and since when; None if there is no tag, or its link is damaged."""
        return self.link.event

    def has(self, digest: Digest) -> bool:
        """Return whether the tag points at a revision."""
        event = self.link.event
        return event is not None and event.digest == digest

    def check(self, name: RepositoryName, expected: Expected) -> None:
        """Check the tag against a caller's expectation.

        Raises:
            TagChanged: It is not as expected.
            LinkDamaged: Something is expected, but the tag's link is damaged.
        """
        event = self.link.event
        actual = event.digest if event else None
        if expected is ABSENT and self.link.is_there:
            raise TagChanged(name, self.tag, None, actual)
        if isinstance(expected, Digest) and actual != expected:
            if self.link.damage:
                raise copy(self.link.damage)  # no cycle with this frame
            raise TagChanged(name, self.tag, expected, actual)


@dataclass(frozen=True, slots=True)
class Claim:
    """A number of a tag's changes, claimed, with the record of the change.

    Attributes:
        record: The record.
        written: When the store got the claim, by the store's clock.
        since: When the writer began to claim, by the loop's clock, in seconds.
    """

    record: ChangeRecord
    written: datetime
    since: float


@dataclass(frozen=True, slots=True)
class Switch:
    """The result of a switch.

    Attributes:
        done: Whether the tag points at its revision.
        answered: The store's time of the answer; None where the driver can't tell it.
    """

    done: bool
    answered: datetime | None = None


@dataclass(frozen=True, slots=True)
class TagChange:
    """A change of a tag that a caller wants.

    Attributes:
        state: The tag as the writer saw it.
        digest: The revision that the tag is to get.
        expected: The caller's expectation.
        claim: The claim of the change, once it is announced. None before that, and where there is nothing to
            record: the tag has the revision, or its link is damaged.
    """

    state: TagState
    digest: Digest
    expected: Expected = None
    claim: Claim | None = None

    @property
    def is_done(self) -> bool:
        """Whether the tag had the revision already."""
        return self.state.has(self.digest)
