"""The benchmark's figures: medians, ratios, turns, results, bars, tables."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import profiling, report
from bench.bars import BARS
from bench.bars import table as bars_table
from bench.options import parse, size, size_text
from bench.report import write_report
from bench.results import Measurement, Results
from bench.spread import Spread, percentile, ratio
from bench.turns import in_turns

SAMPLES = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=50)


def test_a_percentile_between_two_samples_is_in_proportion():
    assert percentile([10, 20, 30, 40], 50) == 25
    assert percentile([40, 10, 30, 20], 25) == 17.5
    assert percentile([7], 99) == 7


@given(SAMPLES)
def test_a_spread_is_in_order_and_within_the_samples(samples):
    spread = Spread.of(samples)
    assert min(samples) <= spread.low <= spread.median <= spread.high <= max(samples)
    assert spread.count == len(samples)


@given(SAMPLES, st.floats(0.1, 10))
def test_a_ratio_is_not_moved_by_what_slows_both_of_a_pair(samples, slower):
    noise = [1 + number % 7 for number in range(len(samples))]
    one = [sample * slow for sample, slow in zip(samples, noise, strict=True)]
    other = [sample * slower * slow for sample, slow in zip(samples, noise, strict=True)]
    assert ratio(other, one) == pytest.approx(slower)


async def test_ways_take_turns_in_turned_order_and_the_warm_up_does_not_count():
    order = []

    def way(name):
        async def once(turn):
            order.append((turn, name))
            return float(turn)

        return once

    taken, failed = await in_turns({"a": way("a"), "b": way("b")}, 2, warm_up=1)
    assert order == [(-1, "b"), (-1, "a"), (0, "a"), (0, "b"), (1, "b"), (1, "a")]
    assert taken == {"a": [0.0, 1.0], "b": [0.0, 1.0]}
    assert not failed


async def test_a_way_that_fails_is_told_and_the_others_go_on():
    async def good(_turn):
        return 1.0

    async def bad(turn):
        if turn == 1:
            raise ValueError("no more")
        return 2.0

    taken, failed = await in_turns({"good": good, "bad": bad}, 3)
    assert taken == {"good": [1.0, 1.0, 1.0]}
    assert failed == {"bad": "ValueError: no more"}


def results(*measurements):
    machine = {"cpu": "a", "cores": 2, "memory_mib": 1, "kernel": "k", "load_before": 0.0}
    about = {"date": "d", "command": "c", "seed": 1, "machine": machine, "versions": {"python": "3"}}
    return Results(about, list(measurements))


def operation(name, way, *samples, **facts):
    case = {"latency": 20.0, "operation": name}
    return Measurement("operations", case, way, "time", "ms", samples, facts)


def judged(found, says):
    return next(line for line in bars_table(found).splitlines() if says in line)


def test_results_come_back_from_json(tmp_path):
    before = results(operation("HEAD layer", "ours", 1.0, 2.0, requests=2), operation("mount", "ours"))
    before.write(tmp_path / "r.json")
    after = Results.read(tmp_path / "r.json")
    assert after.measurements == before.measurements
    assert after.about == before.about
    assert json.loads((tmp_path / "r.json").read_text())["measurements"][0]["spread"]["median"] == 1.5


@pytest.mark.parametrize(("theirs", "verdict"), [(12.0, "| met |"), (11.9, "**not met**")])
def test_a_bar_is_judged_by_the_ratio_of_one_run(theirs, verdict):
    found = results(
        operation("HEAD layer", "ours", 2.0, 2.0), operation("HEAD layer", "distribution", theirs, theirs)
    )
    assert verdict in judged(found, "HEAD of a layer")


def test_round_trips_are_those_of_the_fastest_raw_client():
    found = results(
        operation("manifest by digest", "aioboto3", 25.0),
        operation("manifest by digest", "obstore", 20.0),
        operation("manifest by tag", "ours", 44.0),
    )
    assert "| 1.1 | met |" in judged(found, "manifest by tag: times two round trips")


def test_without_results_no_bar_is_met():
    lines = bars_table(results()).splitlines()
    assert len([line for line in lines if "not measured" in line]) == len(BARS)


def test_memory_that_grows_with_the_layer_does_not_meet_its_bar():
    def memory(of, peak):
        return Measurement("layers", {"transfer": "pull", "size": of}, "ours", "memory", "MiB", (peak,))

    flat = results(memory("64 MiB", 20.0), memory("256 MiB", 60.0), memory("2 GiB", 62.0))
    grows = results(memory("64 MiB", 20.0), memory("256 MiB", 60.0), memory("2 GiB", 500.0))
    assert "| met |" in judged(flat, "peak memory, server")
    assert "**not met**" in judged(grows, "peak memory, server")


def test_a_report_shows_ratios_requests_and_failures():
    ours = operation("mount", "ours", 50.0, requests=3, round_trips=2)
    theirs = operation("mount", "distribution", 75.0)
    broken = Measurement(
        "operations", {"latency": 20.0, "operation": "x"}, "ours", "time", "ms", failed="a|b"
    )
    written = write_report(results(ours, theirs, broken))
    assert "| 20 | mount | 50.0 (50.0 to 50.0) | 75.0 (75.0 to 75.0) | 1.50 | ours 3 (2) |" in written
    assert "failed: a/b" in written


def test_sizes_are_read_and_shown():
    assert size("64MiB") == 64 << 20
    assert size("512") == 512
    assert size_text(2 << 30) == "2 GiB"
    assert size_text(1500) == "1500 B"


def test_quick_options_are_less_than_full_ones_and_can_be_overridden():
    quick, full = (parse([*more, "--runs", "4"], ["a"]) for more in (["--quick"], []))
    assert quick.tags < full.tags
    assert quick.runs == full.runs == 4
    assert quick.scenarios == ("a",)


@pytest.mark.parametrize("wrong", [["unknown"], ["--parties", "zot"], ["--latency", "fast"]])
def test_a_wrong_option_ends_the_program_with_a_word_on_it(wrong, capsys):
    with pytest.raises(SystemExit):
        parse(wrong, ["operations"])
    assert "python -m bench" in capsys.readouterr().err


def test_plots_are_drawn_for_what_was_measured(tmp_path):
    plots = pytest.importorskip("bench.plots", reason="matplotlib is not installed", exc_type=ImportError)
    signed = Measurement("revisions", {"latency": 20.0, "signatures": 8}, "ours", "time", "ms", (1.0, 2.0))
    plots.draw(
        results(operation("mount", "ours", 50.0), operation("mount", "distribution", 75.0), signed), tmp_path
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "operations-latency-20.0.png",
        "revisions-20.0.png",
    ]


def test_a_profile_tells_where_samples_were_taken(tmp_path):
    stacks = tmp_path / "stacks"
    stacks.write_text("main;work;write 3\nmain;work 1\n")
    themselves, within = profiling.told(stacks).split("with what they call:")
    assert "75.0%  write" in themselves
    assert "100.0%  work" in within


def test_the_readme_keeps_what_stands_above_its_mark_and_gets_the_latest_results(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    report.README.write_text(f"# Ours\n\n{report.MARK}\n\nolder\n")
    report.readme(results(operation("mount", "ours", 50.0)))
    written = report.README.read_text()
    assert written.startswith("# Ours\n")
    assert "older" not in written
    assert "| 20 | mount |" in written
