"""What does it buy to read signatures together? `python -m bench`.

A revision with N signatures is read in three ways (see `bench.revision_read`), in turns, so that a noisy machine
disturbs all of them alike. The store is the memory driver behind a link whose latency is slept: the figures
compare ways of asking, not stores.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from bench.revision_read import NAME, PAYLOAD, WAYS
from revstore_async import Registry, SigningKey, sign
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import LatencyDriver


async def measure(signatures: int, latency: float, runs: int) -> dict[str, list[float]]:
    """Return the milliseconds of each run of each way."""
    memory, key = MemoryDriver(), SigningKey.generate()
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    async with Registry(LatencyDriver(memory, latency)) as registry:
        await registry.repository(NAME).revisions.put(
            PAYLOAD, [sign(PAYLOAD, key) for _ in range(signatures)]
        )
        for run in range(runs + 1):  # the first one warms up
            for way, read in WAYS.items():
                start = time.perf_counter()
                if await read(registry) != signatures:
                    raise AssertionError(way)
                if run:
                    taken[way].append((time.perf_counter() - start) * 1000)
    return taken


def main() -> None:
    """Measure, and print a table, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--signatures", type=int, nargs="+", default=[0, 1, 8, 64, 256])
    parser.add_argument("--latency", type=float, default=20.0, help="of the link, in milliseconds")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m bench", *sys.argv[1:]]),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version(), "revstore-async": version("revstore-async")},
        "latency_ms": options.latency,
        "revision read": {},
    }
    for count in options.signatures:
        print(f"{count} signatures ...", file=sys.stderr)
        result["revision read"][count] = asyncio.run(measure(count, options.latency / 1000, options.runs))
    print(json.dumps(result) if options.json else table(result))


def table(result: dict[str, Any]) -> str:
    """Write the result as Markdown."""
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    taken_on = f"{result['machine']}, {versions}, {result['time']}, link {result['latency_ms']:g} ms"
    lines = [
        f"{taken_on}: `{result['command']}`",
        "",
        f"| signatures | {' | '.join(f'{way}, ms' for way in WAYS)} | one by one / ours |",
        "| ---: " * (len(WAYS) + 2) + "|",
    ]
    for count, taken in result["revision read"].items():
        medians = [statistics.median(taken[way]) for way in WAYS]
        shown = [
            f"{median:.1f} ({min(taken[way]):.1f} to {max(taken[way]):.1f})"
            for way, median in zip(WAYS, medians, strict=True)
        ]
        lines.append(f"| {count} | {' | '.join(shown)} | {medians[0] / medians[-1]:.1f} |")
    return "\n".join(lines)


main()
