"""A run of the collector as writers see it: its state and its lists, written by hand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from revstore_async import CURRENT, Digest, Driver
from revstore_async.layout import CollectorState, Rescue, RunObject, StoredObject
from revstore_async.runs.lists import join_hashes, key_hash
from revstore_async.runs.state import Bounds, Phase, Shard, State
from revstore_async.runs.store import SeenState, StateStore

RUN = "20261201T000000Z-1"
STATE = CURRENT.key(CollectorState())
LATER = timedelta(hours=1)


def hash_of(item: StoredObject) -> bytes:
    """Return the hash of an object's key, as run lists have it."""
    return key_hash(CURRENT.root, CURRENT.key(item))


@dataclass
class RunAtWork:
    """A run on a store.

    Attributes:
        driver: The store.
        condemned: The objects of its list, by shards.
        bounds: The bounds of its state.
        run: Its name.
    """

    driver: Driver
    condemned: Sequence[Sequence[StoredObject]]
    bounds: Bounds = field(default_factory=Bounds)
    run: str = RUN

    async def enter(
        self,
        phase: Phase,
        *,
        n: int = 0,
        done: int = 0,
        spared: Iterable[StoredObject] = (),
        until: datetime | None = None,
        fenced: bool = True,
    ) -> SeenState:
        """Write the state of a phase, and the lists that it names."""
        if phase is Phase.IDLE:
            return await self.write(State(n=n, bounds=self.bounds))
        shards = [await self._put(f"{number}.hashes", part) for number, part in enumerate(self.condemned)]
        kept = await self._put("spared.hashes", spared) if phase is Phase.SWEEPING else None
        state = State(
            phase=phase,
            n=n + (phase is not Phase.CONDEMNED),
            run=self.run,
            owner="a test",
            until=datetime.now(UTC) + LATER if until is None else until,
            shards=tuple(shards),
            done=done,
            spared=kept,
            fenced=fenced,
            bounds=self.bounds,
        )
        return await self.write(state)

    async def write(self, state: State) -> SeenState:
        """Write a state over the present one."""
        states = StateStore(self.driver, CURRENT)
        seen = await states.swap(await states.read(), state)
        assert seen is not None
        return seen

    async def read(self) -> State:
        """Return the present state."""
        return (await StateStore(self.driver, CURRENT).read()).state

    async def rescued(self) -> set[str]:
        """Return the hashes that writers rescued, in hexadecimal digits."""
        page = await self.driver.list_all(CURRENT.rescued(self.run))
        items = [CURRENT.parse(info.key) for info in page.entries]
        return {item.hashed for item in items if isinstance(item, Rescue)}

    async def _put(self, name: str, items: Iterable[StoredObject]) -> Shard:
        content = join_hashes(map(hash_of, items))
        await self.driver.put(CURRENT.key(RunObject(self.run, name)), content)
        return Shard(name, len(content) // 32, Digest.of(content))
