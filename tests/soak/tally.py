"""The counts of the soak, and its failures."""

import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """The events so far.

    Attributes:
        operations: Finished operations by class of clients and kind.
        events: Other things, by name: answers 503, cut connections, kills, runs.
        failures: The failures that no injected fault explains, each as a sentence with its time.
    """

    operations: Counter[tuple[str, str]] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    start: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """The seconds since the begin."""
        return time.monotonic() - self.start

    def fail(self, sentence: str) -> None:
        """Note a failure."""
        self.failures.append(f"[{self.seconds:.1f} s] {sentence}")

    def lines(self) -> list[str]:
        """Return the counts as lines of text."""
        classes = sorted({name for name, _ in self.operations})
        lines = []
        for each in classes:
            kinds = sorted((kind, count) for (name, kind), count in self.operations.items() if name == each)
            lines.append(f"{each}: " + ", ".join(f"{count} {kind}" for kind, count in kinds))
        lines += [f"{name}: {count}" for name, count in sorted(self.events.items())]
        return lines
