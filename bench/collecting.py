"""One collection beside other programs, in a process of its own: `python -m bench.collecting`.

It collects the store that REVSTORE_STORE names, and prints as JSON the seconds that it waited and the keys that it
deleted.
"""

import asyncio
import json
import time
from os import environ
from typing import Any

from revstore_async import Registry
from revstore_async.collector import Progress
from revstore_async.concurrency import alongside

from .loops import run

_LOOK = 0.01
"""Seconds between two looks at the phase of the run."""


async def collect(url: str) -> dict[str, Any]:
    """Collect a store; return the seconds of its waits, its numbers, and the reasons for which it spared keys."""
    progress = Progress()
    waited = 0.0

    async def look() -> None:
        nonlocal waited
        last = time.perf_counter()
        while True:
            waits = progress.phase == "wait"
            await asyncio.sleep(_LOOK)
            now = time.perf_counter()
            waited += now - last if waits else 0.0
            last = now

    async with Registry.open(url) as registry, alongside(look()):
        collected = await registry.collector.run(progress=progress)
    return {
        "waited": waited,
        "manifests": progress.manifests,
        "keys": collected.numbers.keys,
        "blobs": collected.numbers.blobs,
        "spared": dict(collected.spared),
        "left": collected.left,
    }


if __name__ == "__main__":
    print(json.dumps(run(collect(environ["REVSTORE_STORE"]))))
