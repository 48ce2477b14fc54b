"""The process of a load: `python -m bench.load.worker`.

It reads a load as a line of JSON, warms up, reports that, and runs at the next line.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, replace

from .. import loops
from . import Load, Outcome
from .running import Run


async def work() -> None:
    """Read the load, warm up, and run it."""
    load = Load.from_json(await asyncio.to_thread(sys.stdin.readline))
    run = Run(load)
    if load.warm_up:
        warm = replace(load, requests=load.warm_up, rate=0.0, first=load.warm_first, mark=f"{load.mark}-warm")
        if failure := (await Run(warm, run.client).closed()).failure:
            print(json.dumps({"broken": f"while warming up: {failure}"}), flush=True)
            return
    print(json.dumps({"ready": True}), flush=True)
    if not await asyncio.to_thread(sys.stdin.readline):
        return
    cpu = time.process_time()
    outcome: Outcome = await (run.opened() if load.rate else run.closed())
    print(json.dumps(asdict(replace(outcome, own_cpu=time.process_time() - cpu))), flush=True)


if __name__ == "__main__":
    loops.run(work())
