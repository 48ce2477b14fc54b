"""A state of the collector as a writer keeps it in memory, with the lists of its run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from ..driver import Driver
from ..errors import CollectorStateUnreadable, KeyNotFound, ObjectTooLarge
from ..formats.digest import Digest
from ..layout import Layout, RunObject, StoredObject
from ..runs.lists import HASH_SIZE, HashList, key_hash
from ..runs.state import Phase, Shard, State
from ..runs.store import SeenState
from ..threads import digest_of

_AHEAD: Final = 5.0
"""Seconds before the end of `Bounds.keep` at which a writer fetches the next state."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A key that the open run is about to delete.

    Attributes:
        key: The key.
        hashed: Its hash, as the run lists have it.
    """

    key: str
    hashed: bytes


@dataclass(eq=False, slots=True)
class RunLists:
    """The lists of one run in memory: 32 bytes a condemned key.

    Attributes:
        run: The run.
        shards: The hashes of its keys, in the order of deletion.
        spared: The hashes of the keys that stay; empty before the sweep.
        rescued: The hashes that this process has rescued. The store was asked afterwards, and the run was still
            condemned: it deletes none of them.
    """

    run: str
    shards: tuple[HashList, ...]
    spared: HashList = field(default_factory=HashList)
    rescued: set[bytes] = field(default_factory=set)

    @classmethod
    async def load(
        cls, driver: Driver, layout: Layout, state: State, known: "RunLists | None"
    ) -> "RunLists | None":
        """Return the lists that a state names; None while it is idle.

        1 request for each shard, and 1 for the list of the keys that stay; 0 for the lists in `known`.

        Raises:
            CollectorStateUnreadable: A list is missing, or has another digest.
        """
        run = state.run
        if run is None:
            return None
        if known is None or known.run != run:
            known = cls(run, tuple([await _load(driver, layout, run, each) for each in state.shards]))
        if state.spared is not None and len(known.spared) != state.spared.keys:
            known.spared = await _load(driver, layout, run, state.spared)
        return known

    def is_at_stake(self, hashed: bytes, done: int) -> bool:
        """Return whether the run is about to delete a key.

        Args:
            hashed: The hash of the key.
            done: The number of shards that are deleted.
        """
        if hashed in self.rescued or hashed in self.spared:
            return False
        return any(hashed in shard for shard in self.shards[done:])


async def _load(driver: Driver, layout: Layout, run: str, shard: Shard) -> HashList:
    key, size = layout.key(RunObject(run, shard.name)), shard.keys * HASH_SIZE
    try:
        content = (await driver.get(key, limit=size)).content
    except KeyNotFound as error:
        raise CollectorStateUnreadable(key, "a list that the state names is missing") from error
    except ObjectTooLarge as error:
        raise CollectorStateUnreadable(key, f"it holds {error.size} bytes instead of {size}") from error
    actual: Digest = await digest_of(content, shard.digest.algorithm)
    if actual != shard.digest or len(content) != size:
        raise CollectorStateUnreadable(key, f"it has the digest {actual} instead of {shard.digest}")
    return HashList(content)


class View:
    """A state of the collector, and when this process asked for it.

    Args:
        seen: The state as the store had it.
        asked: When this process asked for it, by `boottime`.
        run: The lists of the open run; None while the state is idle.
        layout: The keys of the store.

    Attributes:
        seen: As above.
        asked: As above.
        run: As above.
        keep: Seconds for which a writer may act by it.
        fresh: Seconds after which a writer fetches the next one ahead.
        link_within: The seconds of a window.
        lease: How long a layer link keeps its content.
        seals: The number of seals so far.
    """

    __slots__ = ("_layout", "asked", "fresh", "keep", "lease", "link_within", "run", "seals", "seen")

    def __init__(self, seen: SeenState, asked: float, run: RunLists | None, layout: Layout) -> None:
        self.seen: SeenState = seen
        self.asked: float = asked
        self.run: RunLists | None = run
        bounds = seen.state.bounds
        self.keep: float = bounds.keep.total_seconds()
        self.fresh: float = max(self.keep / 2, self.keep - _AHEAD)
        self.link_within: float = bounds.link_within.total_seconds()
        self.lease: timedelta = bounds.lease
        self.seals: int = seen.state.n
        self._layout = layout

    @property
    def is_condemned(self) -> bool:
        """Whether a writer can still rescue keys of the run."""
        return self.seen.state.phase is Phase.CONDEMNED

    def listed(self, objects: Iterable[StoredObject]) -> Sequence[Listed]:
        """Return the keys among these that the run is about to delete. No request."""
        run = self.run
        if run is None:
            return ()
        layout, done = self._layout, self.seen.state.done
        keys = {layout.key(each): None for each in objects}
        hashes = [Listed(key, key_hash(layout.root, key)) for key in keys]
        return [each for each in hashes if run.is_at_stake(each.hashed, done)]

    def doomed(self, objects: Iterable[StoredObject]) -> Sequence[Listed]:
        """Return the keys among these that no writer can rescue any more. No request."""
        return () if self.run is None or self.is_condemned else self.listed(objects)
