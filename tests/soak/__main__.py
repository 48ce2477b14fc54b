"""The command `make soak`: clients, faults and kills for minutes or hours.

A soak takes two minutes by default. The option `--keep` keeps its logs and its store.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.parts.minio import running

from .report import run_and_report
from .soak import Options


def main(arguments: list[str] | None = None) -> int:
    """Run the soak that the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=2.0, help="how long the clients work")
    parser.add_argument("--hours", type=float, help="the same in hours")
    parser.add_argument("--faults", type=float, default=0.05, help="the share of storage requests to spoil")
    parser.add_argument("--collectors", type=int, default=2, help="processes that run the collector")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the random numbers")
    parser.add_argument("--keep", type=Path, help="a new folder for the logs and the store")
    asked = parser.parse_args(arguments)
    seconds = asked.minutes * 60 if asked.hours is None else asked.hours * 3600
    options = Options(
        seconds,
        faults=asked.faults,
        collectors=asked.collectors,
        seed=asked.seed,
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        with running(folder) as minio:
            report = asyncio.run(run_and_report(minio, folder, options))
    print("\n".join(report.lines))
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
