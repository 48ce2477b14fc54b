"""The cost of single requests for their process: our drivers, and the raw clients below them, on S3.

CPU is that of all threads of the process, so other processes on the machine's cores don't distort it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec

from ..context import Bench
from ..processes import told_by
from ..requests import REQUESTS, WAYS
from ..results import Case
from ..stores import S3Store, Unfit
from ..turns import Way, in_turns


async def run(bench: Bench) -> None:
    """Measure each request with each number at once."""
    store = bench.store
    if not isinstance(store, S3Store):
        raise Unfit(f"raw clients speak S3, which a store of the kind {store.kind} does not")
    for at_once in bench.options.clients:
        for request in REQUESTS:
            await _measure(bench, store, request, at_once)


async def _measure(bench: Bench, store: S3Store, request: str, at_once: int) -> None:
    told = {"store": asdict(store), "at_once": at_once, "seconds": min(2.0, bench.options.duration)}
    cpu: dict[str, list[float]] = {}

    async def once(way: str, _turn: int) -> float:
        found: Mapping[str, float] = await told_by("bench.requests", way, request, told=json.dumps(told))
        cpu.setdefault(way, []).append(found["cpu"])
        return found["rate"]

    ways: dict[str, Way] = {
        way: partial(once, way) for way in WAYS if "obstore" not in way or find_spec("obstore")
    }
    bench.progress(f"requests: {at_once} at once, {request}")
    taken, failed = await in_turns(ways, bench.options.runs, warm_up=0)
    case: Case = {"at once": at_once, "request": request}
    bench.keep("requests", case, "/s", "rate", taken, failed)
    bench.keep("requests", case, "ms", "cpu", {way: cpu[way] for way in taken}, failed)
