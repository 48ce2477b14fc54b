"""Finds the programs that the benchmark and the tests run, starts them, and reads their figures in `/proc`."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PATIENCE = 30.0
CACHE = Path("~/.cache/revstore-async/bin")
"""Where `make` builds programs."""
_TICKS = os.sysconf("SC_CLK_TCK")


class ProgramMissing(LookupError):
    """A program that the benchmark compares with is not there."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not installed: `make {name}` builds it into {CACHE}, with Go")


def built(name: str) -> str:
    """Return the path of a program that `make <name>` builds.

    Raises:
        ProgramMissing: The program is not there.
    """
    cached = CACHE.expanduser() / name
    found = str(cached) if cached.exists() else shutil.which(name)
    if found is None:
        raise ProgramMissing(name)
    return found


def free_port() -> int:
    """Return a free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def without_aws() -> dict[str, str]:
    """Return the environment without AWS's variables: a CA bundle in them may keep a program from its start."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


@dataclass(frozen=True, slots=True)
class Process:
    """A running program."""

    pid: int

    @property
    def cpu(self) -> float:
        """Return its seconds of CPU so far, in user and kernel mode, all its threads together."""
        # The name, in parentheses, may hold anything; utime and stime are the 12th and 13th after it.
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def memory(self) -> int:
        """Return the bytes of memory that it holds now."""
        return self._status("VmRSS")

    @property
    def peak_memory(self) -> int:
        """Return the most bytes of memory that it held since its start, or since `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """Reset the peak (proc(5), clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise LookupError(name)


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], log: Path, ready: Callable[[], bool]
) -> Iterator[Process]:
    """Run a program for as long as the block lasts; block the thread until the program is ready.

    Args:
        command: The program and its arguments.
        environment: The program's environment.
        log: The file for the program's output.
        ready: Returns whether the program is ready.

    Raises:
        ChildProcessError: The program ended, or wasn't ready in half a minute; the error shows its log.
    """
    with (
        log.open("ab") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process,
    ):
        try:
            wait_until(ready, process, log)
            yield Process(process.pid)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a program is ready; block the thread meanwhile.

    Raises:
        ChildProcessError: The program ended, or wasn't ready in half a minute; the error shows its log.
    """
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        if ready():
            return
        time.sleep(0.05)
    raise ChildProcessError(f"{process.args!r} did not start:\n{log.read_text()[-2000:]}")


def answers(port: int, path: str) -> bool:
    """Return whether an HTTP server on loopback answers a path with 200 by now."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
            )
            return connection.recv(64).split(b" ", 2)[1:2] == [b"200"]
    except OSError:
        return False


async def told_by(
    module: str, *arguments: str, told: str = "", environment: Mapping[str, str] | None = None
) -> Any:  # noqa: ANN401 (it is JSON)
    """Run a module of Python in a process of its own; return the JSON that it prints.

    Args:
        module: The module's name.
        *arguments: The arguments of its command line.
        told: Its standard input.
        environment: Variables to add to this process's environment.

    Raises:
        ChildProcessError: The process failed; the error shows the end of its standard error.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        env={**os.environ, **(environment or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate(told.encode())
    if process.returncode:
        raise ChildProcessError(f"{module} ended with {process.returncode}: {errors.decode()[-200:]}")
    return json.loads(output)
