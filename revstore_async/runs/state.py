"""The state of the collector: one JSON object, by which all processes on a store agree on a run.

Each change is a compare-and-swap. Each state differs from all earlier ones: a store may give equal contents equal
ETags. No object is an idle state.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final, Self
from uuid import uuid4

from ..driver.deadline import METADATA_TIMEOUT
from ..formats.digest import Digest

VERSION: Final = 1
"""The version of states that this engine writes, and the highest that it reads."""


class NewerVersion(ValueError):
    """A state by which only newer engines may write."""


class Phase(Enum):
    """The phases of a run."""

    IDLE = "idle"
    CONDEMNED = "condemned"
    SEALED = "sealed"
    SWEEPING = "sweeping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The times that all processes on a store agree on.

    Attributes:
        keep: How long a writer may keep a state in memory.
        link_within: The time within which a writer links content that it found or wrote.
        lease: Nothing younger is condemned.
        metadata: The longest time of one operation on metadata.
        hold: How long a server may carry out a deletion after it accepted it.
        lag: How long a listing may lag behind writes.
    """

    keep: timedelta = timedelta(minutes=1)
    link_within: timedelta = timedelta(minutes=10)
    lease: timedelta = timedelta(days=1)
    metadata: timedelta = METADATA_TIMEOUT
    hold: timedelta = timedelta(minutes=15)
    lag: timedelta = timedelta(0)

    @property
    def grace(self) -> timedelta:
        """The time after which every writer knows of a run, and has linked all that it found before."""
        return self.keep + self.link_within + self.metadata

    def greatest(self, other: "Bounds") -> "Bounds":
        """Return the greater of each two times."""
        return Bounds(
            **{each.name: max(getattr(self, each.name), getattr(other, each.name)) for each in fields(self)}
        )


@dataclass(frozen=True, slots=True)
class FormerBounds:
    """Bounds that processes may still act by.

    Attributes:
        bounds: The bounds.
        until: The time, by the store's clock, after which no process acts by them.
    """

    bounds: Bounds
    until: datetime


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a run's list, which is deleted as one step.

    Attributes:
        name: Its name among the objects of the run.
        keys: The number of its hashes.
        digest: The digest of its sorted hashes, as they are stored.
    """

    name: str
    keys: int
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A state.

    Attributes:
        phase: The phase.
        n: The number of seals so far.
        run: The name of the run; None while idle.
        owner: The process that runs it, in words for people.
        until: The time, by the store's clock, until which the owner carries on, unless it swaps in a later one.
            After it, any process may set the state to idle; while sweeping, `Bounds.hold` later.
        shards: The run list, in the order of deletion.
        done: The number of shards that are deleted.
        spared: The hashes of the list that stay; None before the sweep.
        bounds: The bounds.
        former: The bounds before these, until they have passed.
        enabled: When the operator said that every writer knows this protocol, by the store's clock.
        retention: The digest of the retention rules of the run.
        fenced: Whether the store refuses the deletions of the run after `until`. If not, no process sets the sweep
            of another process to idle; an operator ends it.
        last: When the last run ended, or began by a schedule, by the store's clock.
        version: The version of the state.
        writers: The least version of engines that may write.
        nonce: It makes a state differ from all others.
    """

    phase: Phase = Phase.IDLE
    n: int = 0
    run: str | None = None
    owner: str = ""
    until: datetime | None = None
    shards: tuple[Shard, ...] = ()
    done: int = 0
    spared: Shard | None = None
    bounds: Bounds = Bounds()
    former: FormerBounds | None = None
    enabled: datetime | None = None
    retention: Digest | None = None
    fenced: bool = True
    last: datetime | None = None
    version: int = VERSION
    writers: int = VERSION
    nonce: str = field(default="", compare=False)

    def idle(self) -> "State":
        """Return this state without its run."""
        return replace(
            self,
            phase=Phase.IDLE,
            run=None,
            owner="",
            until=None,
            shards=(),
            done=0,
            spared=None,
            retention=None,
            fenced=True,
        )

    def is_over(self, now: datetime) -> bool:
        """Return whether any process may set the run to idle, as its owner did not carry on.

        Args:
            now: The time, by the store's clock.
        """
        if self.until is None:
            return False
        if self.phase is Phase.SWEEPING:
            return self.fenced and now > self.until + self.in_force(now).hold
        return now > self.until

    def in_force(self, now: datetime) -> Bounds:
        """Return the bounds by which some process may still act, the greatest of each time.

        Args:
            now: The time, by the store's clock.
        """
        former = self.former
        return self.bounds if former is None or now >= former.until else self.bounds.greatest(former.bounds)

    def encode(self) -> bytes:
        """Return the state as the bytes to store. Each call returns other bytes."""
        said = asdict(replace(self, nonce=str(uuid4())))
        return json.dumps(said, default=_encoded, indent=1).encode()

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Read a state from stored bytes.

        Raises:
            NewerVersion: Only newer engines may write by it.
            ValueError: The bytes are not a state.
        """
        try:
            said = json.loads(content)
            newer = int(said["writers"]) > VERSION
            state = None if newer else cls(**_members(said))
        except (TypeError, KeyError, AttributeError, OverflowError, RecursionError, ValueError) as error:
            raise ValueError(f"it is no state of the collector: {error}") from error
        if state is None:
            raise NewerVersion(f"its version is {said['writers']}")
        return state

    def __post_init__(self) -> None:
        is_open = self.run is not None and self.until is not None
        if is_open != (self.phase is not Phase.IDLE):
            raise ValueError("its phase is not that of its run")
        if self.phase is Phase.SWEEPING and self.spared is None:
            raise ValueError("it sweeps without the list of the keys that stay")


def _members(said: Mapping[str, Any]) -> dict[str, Any]:
    former = said["former"]
    return {
        "phase": Phase(said["phase"]),
        "n": int(said["n"]),
        "run": None if said["run"] is None else str(said["run"]),
        "owner": str(said["owner"]),
        "until": _moment(said["until"]),
        "shards": tuple(_shard(each) for each in said["shards"]),
        "done": int(said["done"]),
        "spared": None if said["spared"] is None else _shard(said["spared"]),
        "bounds": _bounds(said["bounds"]),
        "former": None
        if former is None
        else FormerBounds(_bounds(former["bounds"]), datetime.fromisoformat(former["until"])),
        "enabled": _moment(said["enabled"]),
        "retention": None if said["retention"] is None else Digest(said["retention"]),
        "fenced": bool(said.get("fenced", True)),
        "last": _moment(said.get("last")),
        "version": int(said["version"]),
        "writers": int(said["writers"]),
        "nonce": str(said["nonce"]),
    }


def _encoded(value: object) -> object:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case timedelta():
            return value.total_seconds()
        case Enum():
            return value.value
    raise TypeError(type(value).__name__)


def _moment(said: str | None) -> datetime | None:
    return None if said is None else datetime.fromisoformat(said).astimezone(UTC)


def _shard(said: Mapping[str, Any]) -> Shard:
    return Shard(str(said["name"]), int(said["keys"]), Digest(said["digest"]))


def _bounds(said: Mapping[str, float]) -> Bounds:
    found = {each.name: timedelta(seconds=float(said[each.name])) for each in fields(Bounds)}
    if min(found.values()) < timedelta(0):
        raise ValueError("a bound is negative")
    return Bounds(**found)
