"""The bars for speed, each judged from the results of one run: `python -m bench.bars FILE`."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .memory import UNVERIFIED, UPLOAD, VERIFIED
from .options import size
from .results import Case, Measurement, Part, Results
from .spread import ratio

_LINK = 20.0
_CLIENTS = 64
_MIB = 1 << 20
_LARGE = 256 << 20

Found = float | None


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: a limit for a ratio or another figure.

    Attributes:
        says: The demand, without the limit.
        limit: The limit.
        least: Whether the figure must be at least the limit, rather than at most.
        measured: Takes the figure from the results; returns None if they don't have it.
    """

    says: str
    limit: float
    least: bool
    measured: Callable[[Results], Found]

    def met(self, found: float) -> bool:
        """Return whether a figure meets the bar."""
        return found >= self.limit if self.least else found <= self.limit


def _one(results: Results, scenario: str, measure: str, way: str, **case: Part) -> Measurement | None:
    return next(results.find(scenario, measure, way, **case), None)


def _ahead(results: Results, operation: str) -> Found:
    """Return how many times faster than Distribution we are at 20 ms."""
    case: Case = {"latency": _LINK, "operation": operation}
    ours = _one(results, "operations", "time", "ours", **case)
    theirs = _one(results, "operations", "time", "distribution", **case)
    return ratio(theirs.samples, ours.samples) if ours and theirs else None


def _round_trip(results: Results, scenario: str, **case: Part) -> Found:
    """Return the wait for one request: that of the fastest raw client, in the same turns."""
    raw = [
        found.spread.median
        for way in ("aioboto3", "obstore", "aioboto3, one request", "obstore, one request")
        for found in results.find(scenario, "time", way, latency=_LINK, **case)
    ]
    return min(raw, default=None)


def _by_tag(results: Results) -> Found:
    ours = _one(results, "operations", "time", "ours", latency=_LINK, operation="manifest by tag")
    trip = _round_trip(results, "operations", operation="manifest by digest")
    return ours.spread.median / (2 * trip) if ours and trip else None


def _signed_ahead(results: Results) -> Found:
    case: Case = {"latency": _LINK, "signatures": 64}
    ours = _one(results, "revisions", "time", "ours", **case)
    slow = _one(results, "revisions", "time", "one by one", **case)
    return ratio(slow.samples, ours.samples) if ours and slow else None


def _signed_trips(results: Results) -> Found:
    ours = _one(results, "revisions", "time", "ours", latency=_LINK, signatures=64)
    trip = _round_trip(results, "revisions", signatures=64)
    return ours.spread.median / (2 * trip) if ours and trip else None


def _cpu(results: Results, pull: str) -> Found:
    case: Case = {"clients": _CLIENTS, "pull": pull}
    ours = _one(results, "clients", "cpu", "ours", **case)
    theirs = _one(results, "clients", "cpu", "distribution", **case)
    return ratio(ours.samples, theirs.samples) if ours and theirs else None


def _stream(results: Results, direction: str, raw_direction: str | None = None) -> Found:
    """Return the engine's speed against the fastest raw client's; of all sizes, the worst."""
    worst = None
    for engine in results.find("layers", "speed", "engine", transfer=direction):
        raw = [
            found.spread.median
            for way in ("aioboto3", "obstore")
            for found in results.find(
                "layers", "speed", way, **{**engine.case, "transfer": raw_direction or direction}
            )
        ]
        if raw:
            share = engine.spread.median / max(raw)
            worst = share if worst is None else min(worst, share)
    return worst


def _flat(results: Results, way: str) -> Found:
    """Return how much memory grows for each byte by which the layer grows; of all transfers, the worst.

    Layers below 256 MiB don't count: they have fewer parts than the engine has under way at once.
    """
    peaks: dict[str, dict[int, float]] = {}
    for each in results.find("layers", "memory", way):
        sizes = peaks.setdefault(str(each.case["transfer"]), {})
        sizes[size(str(each.case["size"]).replace(" ", ""))] = each.spread.median
    grown = []
    for by_size in peaks.values():
        large = {of: peak for of, peak in by_size.items() if of >= _LARGE}
        if len(large) > 1:
            least, most = min(large), max(large)
            grown.append((large[most] - large[least]) * _MIB / (most - least))
    return max(grown, default=None)


def _push_256(results: Results) -> Found:
    case: Case = {"transfer": "push POST PUT", "size": "256 MiB"}
    ours = _one(results, "layers", "speed", "ours", **case)
    theirs = _one(results, "layers", "speed", "distribution", **case)
    return ratio(ours.samples, theirs.samples) if ours and theirs else None


def _pages(results: Results) -> Found:
    """Return the requests of a page among the most tags, against those among a thousand."""
    few = list(results.find("pages", "time", "engine", page="first", tags=1000))
    many = [
        each
        for each in results.find("pages", "time", "engine", page="first")
        if int(each.case["tags"]) > 1000
    ]
    if not few or not many:
        return None
    most = max(many, key=lambda each: int(each.case["tags"]))
    return float(most.facts["requests"]) / float(few[0].facts["requests"])


def _collected_ahead(results: Results, store: str) -> Found:
    """Return how many times faster than Distribution's our collection is; of all stores, the worst."""
    found = []
    for ours in results.find("gc", "time", "ours", store=store):
        theirs = _one(results, "gc", "time", "distribution", **ours.case)
        if theirs is not None:
            found.append(ratio(theirs.samples, ours.samples))
    return min(found, default=None)


def _collectors_memory(results: Results) -> Found:
    peaks = [
        max(each.samples)
        for scenario in ("gc", "gc-online")
        for each in results.find(scenario, "process memory", "ours")
    ]
    return max(peaks, default=None)


def _collectors_requests(results: Results) -> Found:
    """Return the requests of a collection beside pushes, against those that it may take; the worst."""
    found = results.find("gc-online", "all requests", "ours")
    return max((max(each.samples) / float(each.facts["allowed"]) for each in found), default=None)


def _failed_pushes(results: Results) -> Found:
    return max(
        (max(each.samples) for each in results.find("gc-online", "failed pushes", "ours")), default=None
    )


BARS: Sequence[Bar] = (
    Bar("20 ms, manifest by tag: times two round trips", 1.15, False, _by_tag),
    Bar("20 ms, manifest by tag: times faster", 2.2, True, partial(_ahead, operation="manifest by tag")),
    Bar("20 ms, HEAD of a layer: times faster", 6, True, partial(_ahead, operation="HEAD layer")),
    Bar("20 ms, GET of a 100 kB layer: times faster", 5, True, partial(_ahead, operation="GET layer 100 kB")),
    Bar(
        "20 ms, put of a manifest by tag: times faster",
        3.5,
        True,
        partial(_ahead, operation="put manifest by tag"),
    ),
    Bar(
        "20 ms, push of 50 kB, POST PUT: times faster",
        5,
        True,
        partial(_ahead, operation="push layer 50 kB POST PUT"),
    ),
    Bar("20 ms, mount: times faster", 1.5, True, partial(_ahead, operation="mount")),
    Bar("20 ms, engine, 64 signatures: times faster than one by one", 50, True, _signed_ahead),
    Bar("20 ms, engine, 64 signatures: times two round trips", 1.3, False, _signed_trips),
    Bar(
        "64 clients, CPU, nothing cached: of Distribution's",
        0.8,
        False,
        partial(_cpu, pull="manifest by tag, cold"),
    ),
    Bar(
        "64 clients, CPU, manifests cached: of Distribution's",
        0.45,
        False,
        partial(_cpu, pull="manifest by tag, warm"),
    ),
    Bar(
        "64 clients, CPU, hot tags: of Distribution's",
        0.15,
        False,
        partial(_cpu, pull="manifest by tag, hot"),
    ),
    Bar(
        "64 clients, CPU, 100 kB layer: of Distribution's",
        0.25,
        False,
        partial(_cpu, pull="GET layer 100 kB"),
    ),
    Bar("upload stream, engine: of the fastest raw client's", 0.9, True, partial(_stream, direction=UPLOAD)),
    Bar(
        "download stream, neither verified: of the fastest raw client's",
        0.9,
        True,
        partial(_stream, direction=UNVERIFIED),
    ),
    Bar(
        "download stream, both verified: of the fastest raw client's",
        0.9,
        True,
        partial(_stream, direction=VERIFIED),
    ),
    Bar(
        "download stream, engine verified: of the fastest raw client's, not verified",
        0.9,
        True,
        partial(_stream, direction=VERIFIED, raw_direction=UNVERIFIED),
    ),
    Bar("peak memory, engine: growth by the layer's growth", 0.02, False, partial(_flat, way="engine")),
    Bar("peak memory, server: growth by the layer's growth", 0.02, False, partial(_flat, way="ours")),
    Bar("push of 256 MiB, POST PUT: times Distribution's MiB/s", 2, True, _push_256),
    Bar("tag page, requests among the most tags against 1,000", 1, False, _pages),
    Bar("garbage collection on MinIO: times faster", 5, True, partial(_collected_ahead, store="minio")),
    Bar("garbage collection on files: times faster", 5, True, partial(_collected_ahead, store="file")),
    Bar("garbage collection, peak memory: MiB", 256, False, _collectors_memory),
    Bar(
        "garbage collection beside pushes: requests, of listings + new manifests + deleted keys / 1,000 + 200",
        1,
        False,
        _collectors_requests,
    ),
    Bar("garbage collection beside pushes: failed pushes", 0, False, _failed_pushes),
)


def table(results: Results) -> str:
    """Return a Markdown table of all bars."""
    lines = ["| bar | demanded | measured | |", "| --- | ---: | ---: | --- |"]
    for bar in BARS:
        found = bar.measured(results)
        limit = f"{'at least' if bar.least else 'at most'} {bar.limit:g}"
        if found is None:
            lines.append(f"| {bar.says} | {limit} | | not measured |")
        else:
            lines.append(
                f"| {bar.says} | {limit} | {found:.3g} | {'met' if bar.met(found) else '**not met**'} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(Results.read(Path(sys.argv[1]))))
