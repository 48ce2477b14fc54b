"""A link of a chosen latency in front of a real server, with a door for each party that uses it.

It is a TCP proxy in a process of its own, so that no other process pays for its CPU. Each direction hands bytes
on after half of the latency, in order; a new connection pays one latency for its handshake. Each door counts
the HTTP requests that pass, and notes the requests that waited for others.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Passed:
    """The traffic of a door since its reset.

    Attributes:
        requests: The number of requests, by kind.
        connections: The number of new connections.
        round_trips: The length of the longest chain of requests: each but the first began after the answer of
            the one before it.
        trace: The first requests: kind, path, place in the chain, milliseconds of beginning and answer.
    """

    requests: Mapping[str, int]
    connections: int
    round_trips: int
    trace: Sequence[tuple[str, str, int, float, float]]

    @property
    def total(self) -> int:
        """The number of all requests."""
        return sum(self.requests.values())


class Link:
    """A running link; `running` makes one.

    Attributes:
        ports: The port of each door.
    """

    def __init__(self, process: asyncio.subprocess.Process, ports: Mapping[str, int]) -> None:
        self.ports = ports
        self._process = process
        self._turn = asyncio.Lock()

    def url(self, door: str) -> str:
        """Return the endpoint of a door."""
        return f"http://127.0.0.1:{self.ports[door]}"

    async def set_latency(self, milliseconds: float) -> None:
        """Set the latency of all doors, there and back."""
        await self._tell("latency", milliseconds)

    async def reset(self, door: str) -> None:
        """Start the count of a door anew."""
        await self._tell("reset", door)

    async def passed(self, door: str) -> Passed:
        """Return the traffic since the door's reset."""
        told = await self._tell("passed", door)
        return Passed(told["requests"], told["connections"], told["round_trips"], told["trace"])

    async def _tell(self, command: str, argument: object) -> Any:  # noqa: ANN401 (it is JSON)
        async with self._turn:
            pipe = self._process.stdin
            assert pipe is not None
            pipe.write(json.dumps([command, argument]).encode() + b"\n")
            await pipe.drain()
            return await _line(self._process)


async def _line(process: asyncio.subprocess.Process) -> Any:  # noqa: ANN401 (it is JSON)
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise ChildProcessError("the link has ended")
    return json.loads(line)


@asynccontextmanager
async def running(host: str, port: int, doors: Sequence[str]) -> AsyncIterator[Link]:
    """Run a link to a server, without latency at first, for as long as the block lasts.

    Args:
        host: The server's host.
        port: The server's port.
        doors: Names of the doors.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.link.proxy",
        host,
        str(port),
        *doors,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        yield Link(process, await _line(process))
    finally:
        if process.stdin is not None:
            process.stdin.close()  # it ends with that
        await process.wait()
