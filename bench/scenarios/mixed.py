"""A registry's daily load, open loop: 95 pulls and 5 pushes of a hundred, at fixed rates.

Latency counts from a request's scheduled time, so that a stall shows in all requests that it held up.
"""

from collections.abc import Mapping
from functools import partial

from ..content import Images, fill
from ..context import Bench
from ..load import Load, Outcome, ready
from ..results import Case
from ..servers.registries import Party
from ..turns import Way, in_turns
from .clients import facts_of

MIX: Mapping[str, float] = {
    "manifest by tag": 35,
    "manifest by digest": 20,
    "HEAD layer": 20,
    "GET layer 100 kB": 18,
    "tag list": 2,
    "push layer 50 kB POST PUT": 2,
    "put manifest by tag": 2,
    "mount": 1,
}
"""The operations among a hundred; 5 of them are pushes."""

_CONNECTIONS = 256
_TAGS = 500


async def run(bench: Bench) -> None:
    """Measure each rate, without latency and, if it is among the latencies, at 20 ms."""
    images = await fill(bench.store, _TAGS, bench.options.seed, name="bench/mixed")
    for latency in bench.options.latencies:
        if latency not in {0, 20}:
            continue
        async with bench.registries(latency) as parties:
            for rate in bench.options.rates:
                await _measure(bench, parties, images, latency, rate)


async def _measure(
    bench: Bench, parties: Mapping[str, Party], images: Images, latency: float, rate: float
) -> None:
    cpu: dict[str, list[float]] = {name: [] for name in parties}
    outcomes: dict[str, list[Outcome]] = {name: [] for name in parties}

    async def once(party: Party, turn: int) -> float:
        load = Load(
            port=party.port,
            images=images,
            mix=MIX,
            clients=_CONNECTIONS,
            seconds=bench.options.duration,
            rate=rate,
            spread=images.tags,
            first=(turn + 2) * 1_000_000,
            mark=f"{party.name}-{latency:g}-{rate:g}-{turn + 1}",
            seed=bench.options.seed + turn,
        )
        async with ready(load) as go:
            before = party.process.cpu
            outcome: Outcome = await go()
            spent = party.process.cpu - before
        if outcome.failures or not outcome.requests:
            raise AssertionError(f"{outcome.failures} failed: {outcome.failure}")
        if turn >= 0:
            cpu[party.name].append(spent * 1000 / outcome.requests)
            outcomes[party.name].append(outcome)
        return outcome.percentiles["99"]

    ways: dict[str, Way] = {name: partial(once, party) for name, party in parties.items()}
    taken, failed = await in_turns(
        ways,
        bench.options.runs,
        warm_up=0,
        on_turn=lambda turn: bench.progress(
            f"mixed: {latency:g} ms, {rate:g}/s, run {turn}", passing=turn > 0
        ),
    )
    case: Case = {"latency": latency, "rate": rate}
    facts = {name: facts_of(each) for name, each in outcomes.items() if each}
    bench.keep("mixed", case, "ms", "p99", taken, failed, facts)
    medians = {name: [each.percentiles["50"] for each in outcomes[name]] for name in taken}
    bench.keep("mixed", case, "ms", "p50", medians, failed)
    bench.keep("mixed", case, "ms", "cpu", {name: cpu[name] for name in taken}, failed)
