"""Many clients, closed loop, no latency: operations a second, and the registry's CPU for each.

Clients pull manifests by tag in three ways: `cold`, each tag once from a server that was just started; `warm`,
the same tags again, after a pull of all of them; `hot`, the same four tags for all clients. A server without a
cache does the same in `cold` and `warm`. CPU comes from `/proc` around each run, so other processes on the
cores don't distort it. They do distort rates: the store and the load run on the same cores.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..content import Images, fill
from ..context import Bench
from ..load import Load, Outcome, ready
from ..results import Case
from ..servers.registries import Party
from ..turns import Way, in_turns

_HOT = 4


@dataclass(frozen=True, slots=True)
class _Pull:
    """The clients' pulls: the operation, its tags, and its warm-up."""

    name: str
    operation: str
    make: Callable[[Images, int, int], Mapping[str, Any]]
    fresh: bool = False


def _cold(images: Images, turn: int, turns: int) -> Mapping[str, Any]:
    """Take the next slice of the tags; the first slice is for the warm-up."""
    slice_size = images.tags // (turns + 2)
    return {
        "spread": images.tags,
        "first": (turn + 2) * slice_size,
        "requests": slice_size,
        "warm_up": slice_size // 2 if turn < 0 else 0,
        "warm_first": 0,
    }


def _warm(images: Images, turn: int, _turns: int) -> Mapping[str, Any]:
    return {"spread": images.tags, "warm_up": images.tags if turn < 0 else 200}


def _hot(_images: Images, _turn: int, _turns: int) -> Mapping[str, Any]:
    return {"spread": _HOT}


def _same(_images: Images, _turn: int, _turns: int) -> Mapping[str, Any]:
    return {}


_PULLS = (
    _Pull("manifest by tag, cold", "manifest by tag", _cold, fresh=True),
    _Pull("manifest by tag, warm", "manifest by tag", _warm),
    _Pull("manifest by tag, hot", "manifest by tag", _hot),
    _Pull("HEAD layer", "HEAD layer", _same),
    _Pull("GET layer 100 kB", "GET layer 100 kB", _same),
)


async def run(bench: Bench) -> None:
    """Measure each pull with each number of clients."""
    images = await fill(bench.store, bench.options.tags, bench.options.seed, name="bench/many")
    for clients in bench.options.clients:
        for pull in _PULLS:
            async with bench.registries(0) as parties:  # started anew for each: nothing is cached yet
                await _measure(bench, parties, images, pull, clients)


async def _measure(
    bench: Bench, parties: Mapping[str, Party], images: Images, pull: _Pull, clients: int
) -> None:
    cpu: dict[str, list[float]] = {name: [] for name in parties}
    outcomes: dict[str, list[Outcome]] = {name: [] for name in parties}

    async def once(party: Party, turn: int) -> float:
        outcome, spent = await _run(bench, party, images, pull, clients, turn)
        if turn >= 0:
            cpu[party.name].append(spent * 1000 / outcome.requests)
            outcomes[party.name].append(outcome)
        return outcome.rate

    ways: dict[str, Way] = {name: partial(once, party) for name, party in parties.items()}
    taken, failed = await in_turns(
        ways,
        bench.options.runs,
        on_turn=lambda turn: bench.progress(f"clients: {clients}, {pull.name}, run {turn}", passing=turn > 0),
    )
    case: Case = {"clients": clients, "pull": pull.name}
    facts = {name: facts_of(each) for name, each in outcomes.items() if each}
    bench.keep("clients", case, "/s", "rate", taken, failed, facts)
    bench.keep("clients", case, "ms", "cpu", {name: cpu[name] for name in taken}, failed)


async def _run(
    bench: Bench, party: Party, images: Images, pull: _Pull, clients: int, turn: int
) -> tuple[Outcome, float]:
    told = {"seconds": bench.options.duration, **pull.make(images, turn, bench.options.runs)}
    load = Load(
        port=party.port,
        images=images,
        mix={pull.operation: 1.0},
        clients=clients,
        seed=bench.options.seed + turn,
        **told,
    )
    async with ready(load) as go:
        before = party.process.cpu
        outcome: Outcome = await go()
        spent = party.process.cpu - before
    if outcome.failures or not outcome.requests:
        raise AssertionError(f"{outcome.failures} failed: {outcome.failure}")
    return outcome, spent


def facts_of(outcomes: list[Outcome]) -> Mapping[str, Any]:
    """Return percentiles and the load's own CPU, of the run with the middle one of the median latencies."""
    middle = sorted(outcomes, key=lambda outcome: outcome.percentiles["50"])[len(outcomes) // 2]
    return {
        "percentiles": dict(middle.percentiles),
        "load_cpu_ms": middle.own_cpu * 1000 / middle.requests,
        "late": middle.late,
    }
