"""Results as Markdown: a table for each thing measured, and how the run was taken."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .bars import table as bars_table
from .results import Measurement, Results
from .servers.registries import DISTRIBUTION, OURS
from .spread import ratio

_TITLES = {
    "revisions": "A revision with N signatures, in the engine",
    "operations": "Single operations over HTTP, one client",
    "pages": "A page of 100 tags, in the engine",
    "requests": "Single requests to the store, by client",
    "ceiling": "What the load itself can do, against a server that does nothing",
    "clients": "Many clients, no latency",
    "layers": "Large layers",
    "mixed": "Mixed load, 95 pulls and 5 pushes of a hundred, open loop",
    "gc": "Garbage collection of a store of which half the blobs are garbage, nothing else at work",
    "gc-online": "The same garbage collection, while four clients push",
}
_MEASURES = {
    "time": "Time",
    "cpu": "CPU of the process, per operation",
    "rate": "Operations a second",
    "speed": "Speed",
    "memory": "Peak memory above what the process held",
    "process memory": "Peak memory of the process",
    "process cpu": "CPU of the process",
    "requests": "Requests to the store",
    "all requests": "Requests to the store, of the collection",
    "work": "Time of the work, without waits",
    "waits": "Time of the waits that the bounds of the store ask for",
    "pushes": "Pushes meanwhile",
    "failed pushes": "Pushes that failed",
    "p99": "99th percentile of latency",
    "p50": "Median latency",
}
_SLOW = "one by one"
MARK = "<!-- results -->"
README = Path(__file__).with_name("README.md")


def write_report(results: Results) -> str:
    """Return the whole report."""
    parts = [taken(results.about), "## Bars", bars_table(results)]
    for scenario, title in _TITLES.items():
        measured = [each for each in results.measurements if each.scenario == scenario]
        if measured:
            parts += [f"## {title}", *_tables(measured)]
    return "\n\n".join(parts) + "\n"


def taken(about: Mapping[str, Any]) -> str:
    """Describe the circumstances of the run."""
    on, found = about["machine"], about["versions"]
    shown = ", ".join(f"{name} {version}" for name, version in found.items() if version != "absent")
    return (
        f"Taken {about['date']} by `{about['command']}`, seed {about['seed']}, on {on['cpu']}, "
        f"{on['cores']} cores, {on['memory_mib']} MiB, {on['kernel']}, load average before "
        f"{on['load_before']}. {shown}.\n\n"
        f"Store, link, registry and load shared these {on['cores']} cores: compare within a row. "
        "Figures are medians, with the quartiles in parentheses; ratios are medians of pairs taken in turns."
    )


def _tables(measured: Sequence[Measurement]) -> Iterator[str]:
    groups: dict[tuple[str, tuple[str, ...]], list[Measurement]] = {}
    for each in measured:
        groups.setdefault((each.measure, tuple(each.case)), []).append(each)
    for (measure, names), members in groups.items():
        units = "/".join(sorted({each.unit for each in members if each.unit}))
        title = f"**{_MEASURES.get(measure, measure)}**" + (f", {units}" if units else "")
        yield f"{title}\n\n{_table(names, members, measure)}"


def _table(names: Sequence[str], members: Sequence[Measurement], measure: str) -> str:
    ways = list(dict.fromkeys(each.way for each in members))
    rows: dict[tuple[str | int | float, ...], dict[str, Measurement]] = {}
    for each in members:
        rows.setdefault(tuple(each.case.values()), {})[each.way] = each
    peer = next((way for way in (DISTRIBUTION, _SLOW) if {OURS, way} <= set(ways)), None)
    asked = any("requests" in each.facts for each in members)
    heads = [*names, *ways]
    if peer:
        heads.append(f"{peer} / ours" if measure == "time" else f"ours / {peer}")
    if asked:
        heads.append("requests (round trips)")
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(names)}{' ---: |' * (len(heads) - len(names))}"]
    for case, found in rows.items():
        cells = [f"{value:g}" if isinstance(value, int | float) else str(value) for value in case]
        cells += [_cell(found.get(way)) for way in ways]
        if peer:
            cells.append(_ratio(found.get(OURS), found.get(peer), measure))
        if asked:
            cells.append(", ".join(_asked(each) for each in found.values() if "requests" in each.facts))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(measurement: Measurement | None) -> str:
    if measurement is None:
        return ""
    if not measurement.samples:
        why = measurement.failed.replace("|", "/").replace("\n", " ")
        return f"failed: {why}" if len(why) <= 120 else f"failed: {why[:40]} ... {why[-80:]}"
    spread = measurement.spread
    return f"{_short(spread.median)} ({_short(spread.low)} to {_short(spread.high)})"


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def _ratio(ours: Measurement | None, theirs: Measurement | None, measure: str) -> str:
    if ours is None or theirs is None or not ours.samples or not theirs.samples:
        return ""
    if measure == "time":
        return f"{ratio(theirs.samples, ours.samples):.2f}"
    return f"{ratio(ours.samples, theirs.samples):.2f}"


def _asked(measurement: Measurement) -> str:
    facts = measurement.facts
    trips = f" ({facts['round_trips']})" if "round_trips" in facts else ""
    return f"{measurement.way} {facts['requests']}{trips}"


def readme(results: Results) -> None:
    """Put the report into bench/README.md, below its mark."""
    kept = README.read_text().partition(MARK)[0]
    README.write_text(f"{kept}{MARK}\n\n{write_report(results)}")
