"""The ceiling of the load itself: the same client and loop, against a server that does nothing.

A registry's rate near this ceiling measures the load rather than the registry.
"""

import sys
from functools import partial

from ..content import SMALL, Images
from ..context import Bench
from ..load import Load, Outcome, ready
from ..processes import answers, free_port, running, without_aws
from ..results import Case
from ..turns import in_turns

_ASKED = {"manifest by tag": 2000, "GET layer 100 kB": SMALL}
"""Operations, each with the bytes that answer it."""


async def run(bench: Bench) -> None:
    """Measure each number of clients with small and large answers."""
    for operation, size in _ASKED.items():
        port = free_port()
        command = [sys.executable, "-m", "bench.servers.trivial", str(port), str(size)]
        log = bench.folder / "trivial.log"
        with running(command, without_aws(), log, partial(answers, port, "/")):
            for clients in bench.options.clients:
                await _measure(bench, port, operation, clients)


async def _measure(bench: Bench, port: int, operation: str, clients: int) -> None:
    cpu: list[float] = []
    nothing = Images("bench/none", 1, (), "sha256:" + "0" * 64, (), bench.options.seed)

    async def once(turn: int) -> float:
        load = Load(
            port=port,
            images=nothing,
            mix={operation: 1.0},
            clients=clients,
            seconds=min(2.0, bench.options.duration),
        )
        async with ready(load) as go:
            outcome: Outcome = await go()
        if turn >= 0:
            cpu.append(outcome.own_cpu * 1000 / outcome.requests)
        return outcome.rate

    bench.progress(f"ceiling: {clients} clients, {operation}")
    taken, failed = await in_turns({"load": once}, bench.options.runs, warm_up=0)
    case: Case = {"clients": clients, "answer": operation}
    bench.keep("ceiling", case, "/s", "rate", taken, failed)
    bench.keep("ceiling", case, "ms", "cpu", {"load": cpu} if taken else {}, failed)
