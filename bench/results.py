"""The results of a run: values that go into JSON and come back from it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .spread import Spread

Part = str | int | float
Case = Mapping[str, Part]
"""The circumstances that all compared ways share: latency, operation, clients, size."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Samples of one way of doing one thing.

    Attributes:
        scenario: The scenario that measured it.
        case: The operation and its circumstances.
        way: The party that did it: `ours`, `distribution`, a raw client, a way of asking.
        measure: The kind of the samples: `time`, `cpu`, `rate`, `speed`, `memory`, `requests`.
        unit: Their unit.
        samples: One number for each run or operation, in order.
        facts: Further figures: requests to the store, the round trips among them, percentiles.
        failed: The reason if there are no samples.
    """

    scenario: str
    case: Case
    way: str
    measure: str
    unit: str
    samples: tuple[float, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    failed: str = ""

    @property
    def spread(self) -> Spread:
        """The median and quartiles of the samples."""
        return Spread.of(self.samples)

    @property
    def rounded(self) -> dict[str, Any]:
        """The measurement as JSON holds it: with median and quartiles beside the samples."""
        written = asdict(self) | {"samples": [float(f"{sample:.6g}") for sample in self.samples]}
        if self.samples:
            written["spread"] = asdict(self.spread)
        return written


class Results:
    """A run: its circumstances and its measurements.

    Attributes:
        about: Machine, versions, command, seed, options, date.
        measurements: The measurements, in the order in which they were taken.
    """

    def __init__(self, about: Mapping[str, Any], measurements: list[Measurement] | None = None) -> None:
        self.about = about
        self.measurements = measurements or []

    def add(self, measurement: Measurement) -> None:
        """Keep a measurement."""
        self.measurements.append(measurement)

    def find(self, scenario: str, measure: str, way: str, **case: Part) -> Iterator[Measurement]:
        """Yield the measurements of a way, in cases that have these members."""
        for each in self.measurements:
            asked = (each.scenario, each.measure, each.way) == (scenario, measure, way)
            if asked and each.samples and all(each.case.get(name) == value for name, value in case.items()):
                yield each

    def write(self, path: Path) -> None:
        """Write them as JSON."""
        content = {"about": self.about, "measurements": [each.rounded for each in self.measurements]}
        path.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read the file that `write` wrote."""
        content = json.loads(path.read_text())
        measurements = []
        for each in content["measurements"]:
            each.pop("spread", None)
            measurements.append(Measurement(**each | {"samples": tuple(each["samples"])}))
        return cls(content["about"], measurements)
