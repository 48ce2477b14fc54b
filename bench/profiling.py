"""The profile of our server: `python -m bench.profiling "manifest by tag"`, with py-spy on the path.

Many clients ask it for one operation, on MinIO without a link, while py-spy samples it. The program prints the
functions with the most samples, by themselves and with all that they call; `--output` keeps the stacks, for a
flame graph.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from . import stores
from .content import fill
from .load import Load, Outcome, ready
from .operations import OPERATIONS
from .servers.registries import OURS, serving

_RATE = 200
_SHOWN = 40


async def sample(options: argparse.Namespace, stacks: Path) -> str:
    """Load the server and sample it.

    Args:
        options: The operation, and the numbers of clients, seconds and tags.
        stacks: The file that py-spy writes.

    Returns:
        The operations a second and the CPU of each; the sampling slows the server down a little.

    Raises:
        FileNotFoundError: py-spy is not installed.
        ChildProcessError: py-spy could not look into the server.
    """
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if spy is None:
        raise FileNotFoundError("py-spy is not installed")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        async with stores.opened("minio", folder) as store:
            images = await fill(store, options.spread, 1)
            async with serving(store, None, folder, [OURS]) as parties:
                party = parties[OURS]
                load = Load(
                    port=party.port,
                    images=images,
                    mix={options.operation: 1.0},
                    clients=options.clients,
                    seconds=options.seconds + 2,
                    spread=options.spread,
                )
                async with ready(load) as go:
                    command = ["record", "--pid", str(party.process.pid), "--duration", str(options.seconds)]
                    command += ["--rate", str(_RATE), "--format", "raw", "--output", str(stacks)]
                    watching = await asyncio.create_subprocess_exec(
                        spy, *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
                    )
                    before = party.process.cpu
                    outcome: Outcome = await go()
                    spent = party.process.cpu - before
                    _, errors = await watching.communicate()
    if watching.returncode:
        raise ChildProcessError(errors.decode())
    if outcome.failures:
        raise AssertionError(outcome.failure)
    return f"{outcome.rate:.0f}/s, {spent * 1000 / outcome.requests:.2f} ms of CPU each"


def told(stacks: Path) -> str:
    """Return the functions with the most samples."""
    themselves: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in stacks.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        themselves[frames[-1]] += int(count)
        within.update(dict.fromkeys(frames, int(count)))
    total = themselves.total() or 1
    lines = []
    for title, counted in (("themselves", themselves), ("with what they call", within)):
        lines.append(f"\n{title}:")
        lines += [f"{count / total:7.1%}  {frame}" for frame, count in counted.most_common(_SHOWN)]
    return "\n".join(lines)


def main() -> None:
    """Profile the server, and print the result."""
    parser = argparse.ArgumentParser(prog="python -m bench.profiling", description=__doc__)
    parser.add_argument("operation", choices=list(OPERATIONS))
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--spread", type=int, default=300, help="tags that are pulled")
    parser.add_argument("--output", type=Path, help="keep the stacks there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        stacks = options.output or Path(folder) / "stacks"
        print(asyncio.run(sample(options, stacks)))
        print(told(stacks))


if __name__ == "__main__":
    main()
