"""The progress of a run of the collector, as a line for a terminal."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    """How far a run is; it changes while the run goes on. Its text is one line for a terminal.

    Attributes:
        phase: What the run does: `list`, `read`, `mark`, `wait`, `list again`, `delete`.
        keys: The keys that were listed.
        manifests: The manifests that were read.
        deleted: The keys that were deleted.
        bytes: The bytes of content that were deleted.
        left: Seconds that are left of a wait.
        clock: Gives the time in seconds.
    """

    phase: str = "list"
    keys: int = 0
    manifests: int = 0
    deleted: int = 0
    bytes: int = 0
    left: float = 0.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    _all: int = 0  # manifests or keys of the phase
    _before: int = 0  # those of earlier phases
    _begun: float = 0.0

    def begin(self, phase: str, *, todo: int = 0) -> None:
        """Begin a phase.

        Args:
            phase: The phase.
            todo: The manifests to read, or the keys to delete.
        """
        self.phase = phase
        self._all, self._before, self._begun = todo, self._counted, self.clock()

    @property
    def seconds_left(self) -> float | None:
        """How long the phase still takes; None if that is not known.

        A reading or deletion goes on at its speed so far, as far as this tells.
        """
        if self.phase == "wait":
            return self.left
        done, passed = self._counted - self._before, self.clock() - self._begun
        if not self._all or done <= 0 or passed <= 0:
            return None
        return max(0, self._all - done) * passed / done

    @property
    def _counted(self) -> int:
        return self.deleted if self.phase == "delete" else self.manifests

    def __str__(self) -> str:
        seconds = self.seconds_left
        left = "" if seconds is None else f", {_length(seconds)} left"
        done = self._counted - self._before
        of_all = f" of {self._all}" if self._all else ""
        match self.phase:
            case "list":
                return f"listing: {self.keys} keys"
            case "read":
                return f"reading: {done}{of_all} manifests, {self.keys} keys{left}"
            case "mark":
                return f"finding out what is needed, of {self.keys} keys"
            case "wait":
                return f"waiting for clients and servers{left}"
            case "list again":
                return "listing what was written since"
            case _:
                return f"deleting: {done}{of_all} keys, {self.bytes} bytes{left}"


def _length(seconds: float) -> str:
    """Return a length of time as people read it."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
