"""Whether the replicas of the soak hold the same at its end as before."""

from collections import Counter
from dataclasses import dataclass, field

from .replicas import Held

MEMORY = 48 << 20
"""Bytes by which the memory of a replica may grow after the first third of its life."""

HANDLES = 64
"""Handles of connections to the store, which a replica keeps open."""


@dataclass(slots=True)
class Flatness:
    """The memory, handles and tasks of the replicas, as seen from time to time.

    Attributes:
        idle: Those of each replica before the clients came.
        seen: Those of each replica since then, by its name and life.
    """

    idle: dict[str, Held] = field(default_factory=dict)
    seen: dict[tuple[str, int], list[Held]] = field(default_factory=dict)

    def begin(self, name: str, held: Held) -> None:
        """Note the figures of a replica before the clients come."""
        self.idle[name] = held

    def see(self, name: str, lives: int, held: Held) -> None:
        """Note the present figures of a replica."""
        self.seen.setdefault((name, lives), []).append(held)

    def shown(self) -> str:
        """Return the last figures as a line."""
        last = {name: held[-1] for (name, _), held in self.seen.items()}
        return "; ".join(
            f"{name} {held.memory >> 20} MiB, {held.handles} handles, {len(held.tasks)} tasks"
            for name, held in last.items()
        )

    def wrong(self, name: str, lives: int, held: Held) -> list[str]:
        """Return a sentence for each thing of which an idle replica holds more than it may.

        Args:
            name: The replica's name.
            lives: Its life.
            held: Its figures now, after the clients have left.
        """
        sentences = []
        seen = self.seen.get((name, lives), [])
        if len(seen) >= 6:
            warm = seen[len(seen) // 3].memory
            if held.memory > warm + MEMORY:
                sentences.append(f"the memory of {name} grew from {warm >> 20} to {held.memory >> 20} MiB")
        if held.handles > self.idle[name].handles + HANDLES:
            sentences.append(f"{name} holds {held.handles} handles, {self.idle[name].handles} at its begin")
        more = Counter(held.tasks) - Counter(self.idle[name].tasks)
        if more:
            sentences.append(f"{name} holds tasks that it did not hold at its begin: {dict(more)}")
        return sentences
