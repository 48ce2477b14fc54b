"""Errors of the collector, which frees the space of a store."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from .base import Conflict, InvalidInput, StorageFailure


@dataclass(eq=False)
class InvalidRetention(InvalidInput):
    """Retention rules are not as they must be. Nothing was deleted.

    Attributes:
        source: The file, or another name of the text.
        where: The member that is wrong, such as `rule[2].keep.newest`; empty for the whole text.
        reason: The fault, and what would be right.
    """

    source: str
    where: str
    reason: str
    says: ClassVar[str] = "{source}: {where}{reason}"

    def _shown(self, field: str) -> object:
        if field == "where":
            return f"{super()._shown(field)}: " if self.where else ""
        return super()._shown(field)


@dataclass(eq=False)
class ForeignKey(Conflict):
    """The store holds a key that no layout explains. A run can't tell its purpose. Nothing was deleted.

    Attributes:
        key: The first such key.
    """

    key: str
    says: ClassVar[str] = "the store holds {key!r}, which is no key of a registry"
    advice: ClassVar[str] = "move it elsewhere, or delete it if you know it"


@dataclass(eq=False)
class CollectorStateUnreadable(StorageFailure):
    """The state of the collector can't be read. No content is written until it can."""

    key: str
    reason: str
    says: ClassVar[str] = "the state of the collector, {key!r}, can't be read: {reason}"
    advice: ClassVar[str] = "writes are refused; if no run is open, delete that object"


@dataclass(eq=False)
class CollectorStateOfNewerEngine(StorageFailure):
    """The state of the collector is one by which only newer engines may write. No content is written."""

    key: str
    reason: str
    says: ClassVar[str] = "the state of the collector, {key!r}, needs a newer engine to write: {reason}"
    advice: ClassVar[str] = "writes are refused; update this program"


@dataclass(eq=False)
class BeingCollected(StorageFailure):
    """The collector deletes a key that the call needs. The call succeeds after that.

    Attributes:
        key: The key.
        retry_after: Seconds to wait before the next try.
    """

    key: str
    retry_after: float
    retryable: ClassVar[bool] = True
    says: ClassVar[str] = "the collector is deleting {key!r}; try again in {retry_after} seconds"


@dataclass(eq=False)
class RunUnderWay(Conflict):
    """Another run of the collector is open.

    Attributes:
        run: The run.
        owner: The process that it belongs to.
        phase: Its phase.
        until: When any process may end it, unless its owner goes on, by the store's clock.
    """

    run: str
    owner: str
    phase: str
    until: datetime | None
    retryable: ClassVar[bool] = True
    says: ClassVar[str] = "run {run} of {owner} is open ({phase}), until {until} at least"


@dataclass(eq=False)
class RunLost(Conflict):
    """Another process ended this run of the collector. The run deletes no more keys."""

    run: str
    says: ClassVar[str] = "another process ended run {run}"
    advice: ClassVar[str] = "begin a new run"


@dataclass(eq=False)
class CollectorNotEnabled(Conflict):
    """The operator has not said that every writer knows the collector, or said so too short a time ago.

    Attributes:
        since: When the operator said it; None if the operator did not.
        begins: When runs may begin.
    """

    since: datetime | None
    begins: datetime | None

    def __str__(self) -> str:
        if self.since is None:
            return (
                "runs beside other programs are not enabled; 'revstore gc enable' says that each program that"
                " writes to this store knows of the collector; with --offline nothing else may be at work"
            )
        begins = self._shown("begins")
        return f"runs beside other programs may begin at {begins}, one lease after 'revstore gc enable'"
