"""Processes of the soak: the replicas and the faulty proxy."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import Process, free_port

_STARTS_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Held:
    """The figures of a process.

    Attributes:
        memory: Bytes of memory.
        handles: Open files and sockets.
        tasks: Names of its tasks.
    """

    memory: int
    handles: int
    tasks: tuple[str, ...]


class Replica:
    """A process of `revstore serve` on a port of its own; it starts again after each kill.

    Attributes:
        name: Its name.
        lives: The number of its starts; it is odd while the replica is up.
    """

    def __init__(self, name: str, store: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.lives = 0
        self._port = free_port()
        self._store = store
        self._tasks = folder / f"{name}.tasks"
        self._log = folder / f"{name}.log"
        self._environment = {**os.environ, **environment}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def was_up_since(self, lives: int) -> bool:
        """Return whether the replica was up when `lives` was read, and is in the same life still."""
        return self.lives == lives and lives % 2 == 1

    def log(self) -> str:
        """Return all that it wrote to standard error, in all its lives."""
        return self._log.read_text()

    async def start(self) -> None:
        """Start the process, and wait until it answers.

        Raises:
            ChildProcessError: It ended, or does not answer within a minute.
        """
        arguments = ["--store", self._store, "serve", "--port", str(self._port), "--log-level", "warning"]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "tests.soak.replica", str(self._tasks), *arguments),
                "--wait-for-store",
                "30s",
                env=self._environment,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
            )
        end = asyncio.get_running_loop().time() + _STARTS_WITHIN
        while not await self._answers():
            if self._process.returncode is not None or asyncio.get_running_loop().time() > end:
                raise ChildProcessError(f"{self.name} does not start:\n{self.log()[-2000:]}")
            await asyncio.sleep(0.05)
        self.lives += 1

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.close()
        return True

    async def kill(self) -> None:
        """Kill the process as `kill -9` does."""
        assert self._process is not None
        self.lives += 1  # before the kill, so that the clients find a reason for their cut connections
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> int:
        """End the process as an operator does; return its exit code."""
        if self._process is None or self._process.returncode is not None:
            return 0
        self.lives += 1
        self._process.terminate()
        return await self._process.wait()

    def tracebacks(self) -> list[str]:
        """Return the last lines of the tracebacks in its log."""
        lines = self.log().splitlines()
        begins = [number for number, line in enumerate(lines) if line.startswith("Traceback")]
        return [end for begin in begins if (end := _end_of_traceback(lines[begin + 1 :]))]

    async def held_if_up(self, lives: int) -> Held | None:
        """Return the figures of the process; None if it is in another life by then."""
        try:
            return await self.held()
        except (OSError, LookupError, TimeoutError):
            if self.was_up_since(lives):
                raise
            return None

    async def held(self) -> Held:
        """Return the figures of the process."""
        assert self._process is not None
        process = Process(self._process.pid)
        self._tasks.unlink(missing_ok=True)
        os.kill(process.pid, signal.SIGUSR1)
        end = asyncio.get_running_loop().time() + _STARTS_WITHIN
        while not self._tasks.exists():
            if asyncio.get_running_loop().time() > end:
                raise TimeoutError(f"{self.name} does not tell its tasks")
            await asyncio.sleep(0.02)
        handles = len(os.listdir(f"/proc/{process.pid}/fd"))  # noqa: PTH208 (it never waits for a disk)
        return Held(process.memory, handles, tuple(json.loads(self._tasks.read_text())))


def _end_of_traceback(lines: list[str]) -> str:
    """Return the last error of a chain, which begins with the first lines."""
    ends = (number for number, line in enumerate(lines) if line and not line.startswith(" "))
    end = next(ends, 0)
    chained = lines[end + 1 : end + 5]
    if any(line.startswith(("The above exception", "During handling")) for line in chained):
        return ""
    return lines[end] if lines else ""


class FaultyProxy:
    """A running faulty proxy; `faulty_proxy` makes one.

    Attributes:
        port: Its port.
        counts: Its requests and faults, as of the last call of `spoil`.
    """

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.port = port
        self.counts: dict[str, int] = {}
        self._process = process

    async def spoil(self, share: float) -> None:
        """Spoil this share of the requests from now on."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{share}\n".encode())
        await self._process.stdin.drain()
        self.counts = await _line(self._process)


@asynccontextmanager
async def faulty_proxy(upstream: int, seed: int, log: Path) -> AsyncIterator[FaultyProxy]:
    """Run a faulty proxy before a port of loopback for as long as the block lasts; it spoils nothing yet."""
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.soak.faulty_proxy", str(upstream), str(seed)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    try:
        yield FaultyProxy(process, await _line(process))
    finally:
        if process.stdin is not None:
            process.stdin.close()  # it ends with that
        await process.wait()


async def _line(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise ChildProcessError("the faulty proxy has ended")
    return json.loads(line)
