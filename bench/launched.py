"""Runs a command and prints the time, CPU and memory that it took: `python -m bench.launched`.

It reads the command as JSON from its standard input. It is a small process of its own, because the kernel counts
the peak memory of a process from the memory of the process that started it.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .processes import told_by


@dataclass(frozen=True, slots=True)
class Taken:
    """The time, CPU and memory of a command that has ended.

    Attributes:
        seconds: From its start to its end.
        cpu: Seconds of CPU, in user and kernel mode, all of its threads together.
        peak_mib: The most memory that it held, in MiB.
        output: Its standard output.
    """

    seconds: float
    cpu: float
    peak_mib: float
    output: str


async def launch(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, *, limit: float
) -> Taken:
    """Run a command to its end.

    Args:
        command: The program and its arguments.
        environment: The program's environment.
        folder: The folder of its output.
        limit: The most seconds that it may take.

    Raises:
        ChildProcessError: The command failed, or took too long; the error shows the end of its output.
    """
    told = {"command": command, "environment": environment, "folder": str(folder), "limit": limit}
    found = await told_by("bench.launched", told=json.dumps(told))
    code = found.pop("code")
    if found["seconds"] >= limit:
        raise ChildProcessError(f"{Path(command[0]).name} took more than {limit:g} seconds")
    taken = Taken(**found, output=(folder / "launched.out").read_text(errors="replace"))
    if code:
        errors = (folder / "launched.err").read_text(errors="replace")
        raise ChildProcessError(
            f"{Path(command[0]).name} ended with {code}: {(taken.output + errors)[-500:]}"
        )
    return taken


def main() -> None:
    """Run the command of the standard input, and print the figures."""
    told = json.load(sys.stdin)
    folder = Path(told["folder"])
    with (folder / "launched.out").open("wb") as output, (folder / "launched.err").open("wb") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            told["command"],
            env=told["environment"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
        )
        end = threading.Timer(told["limit"], process.kill)
        end.start()
        _, status, usage = os.wait4(process.pid, 0)
        end.cancel()
        taken = {
            "seconds": time.perf_counter() - start,
            "cpu": usage.ru_utime + usage.ru_stime,
            "peak_mib": usage.ru_maxrss / 1024,
            "code": os.waitstatus_to_exitcode(status),
        }
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
