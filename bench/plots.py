"""Plots of a run, as PNG files; needs matplotlib."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from .results import Measurement, Results

_DRAWN = (
    ("operations", "time", "operation", "single operations over HTTP"),
    ("clients", "cpu", "pull", "CPU per operation"),
    ("layers", "speed", "transfer", "large layers"),
)


def draw(results: Results, folder: Path) -> None:
    """Draw the results of a run into a folder; make the folder.

    Args:
        results: The run.
        folder: The folder of the files: `<scenario>-<case>.png`, `revisions.png`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _revisions(results, folder)
    for scenario, measure, by, title in _DRAWN:
        chosen = [
            each for each in results.measurements if (each.scenario, each.measure) == (scenario, measure)
        ]
        groups: dict[str, list[Measurement]] = {}
        for each in chosen:
            rest = ", ".join(f"{name} {value}" for name, value in each.case.items() if name != by)
            groups.setdefault(rest, []).append(each)
        for rest, members in groups.items():
            _bars(members, by, f"{title}, {rest}", folder / f"{scenario}-{rest.replace(' ', '-')}.png")


def _revisions(results: Results, folder: Path) -> None:
    latencies = {
        each.case["latency"] for each in results.measurements if each.scenario == "revisions" and each.case
    }
    for latency in latencies:
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.add_subplot(xlabel="signatures", ylabel="ms", xscale="symlog", yscale="log")
        axes.set_title(f"reading a revision, link {latency} ms")
        for way in ("one by one", "links first", "ours"):
            found = list(results.find("revisions", "time", way, latency=latency))
            counts = [each.case["signatures"] for each in found]
            axes.plot(counts, [each.spread.median for each in found], marker="o", label=way)
        axes.legend()
        figure.savefig(folder / f"revisions-{latency}.png", dpi=120)


def _bars(members: Sequence[Measurement], by: str, title: str, path: Path) -> None:
    rows = list(dict.fromkeys(str(each.case[by]) for each in members))
    ways = list(dict.fromkeys(each.way for each in members if each.samples))
    if not ways:
        return
    height = 0.8 / len(ways)
    figure = Figure(figsize=(8, 1.5 + 0.5 * len(rows)), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=members[0].unit)
    for number, way in enumerate(ways):
        found = [each for each in members if each.way == way and each.samples]
        places = [rows.index(str(each.case[by])) + number * height for each in found]
        spreads = [each.spread for each in found]
        errors = [[one.median - one.low for one in spreads], [one.high - one.median for one in spreads]]
        axes.barh(places, [one.median for one in spreads], height, xerr=errors, label=way)
    axes.set_yticks([number + 0.4 - height / 2 for number in range(len(rows))], rows)
    axes.invert_yaxis()
    axes.legend()
    figure.savefig(path, dpi=120)
