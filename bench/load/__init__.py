"""Load on a registry from many clients, in a process of its own.

Closed loop, for rates and CPU per operation: each client asks again as soon as it has its answer. Open loop:
requests begin by a fixed schedule, and latency counts from the scheduled time. If the server stalls for a
second, every request scheduled in it shows the wait; a closed loop would hide this (coordinated omission).
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from ..content import Images


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The requests that a process sends to a registry.

    Attributes:
        port: The registry's port on loopback.
        images: The repository that the clients use.
        mix: Operations by name, each with its share.
        clients: The number of clients at once; in an open loop, the most connections.
        seconds: The duration.
        requests: The number of requests, instead of a duration; 0 for a duration.
        rate: The requests a second of an open loop; 0 for a closed one.
        warm_up: The number of requests before that; they don't count.
        warm_first: The number of the first of these.
        spread: The number of tags over which pulls go.
        first: The number of the first request.
        mark: Makes each pushed object different from all pushed before.
        seed: The seed of the choice among the mix.
    """

    port: int
    images: Images
    mix: Mapping[str, float]
    clients: int
    seconds: float = 0.0
    requests: int = 0
    rate: float = 0.0
    warm_up: int = 200
    warm_first: int = 0
    spread: int = 1
    first: int = 0
    mark: str = "0"
    seed: int = 0

    def as_json(self) -> str:
        """Return the load as JSON, for its process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Load":
        """Read the value of `as_json`."""
        told = json.loads(text)
        return cls(**told | {"images": Images.from_json(told["images"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a load.

    Attributes:
        requests: Operations that succeeded.
        seconds: From the first to the end of the last.
        failures: Operations that failed.
        failure: The message of the first failure.
        percentiles: Milliseconds of an operation, by share: 50, 90, 99, 99.9, 100.
        own_cpu: The seconds of CPU of the load itself.
        late: Of an open loop, the milliseconds by which requests began late, at the 99th percentile. If they
            are many, the load was the limit, not the registry.
    """

    requests: int
    seconds: float
    failures: int
    failure: str
    percentiles: Mapping[str, float]
    own_cpu: float
    late: float = 0.0

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.requests / self.seconds if self.seconds else 0.0


@asynccontextmanager
async def ready(load: Load) -> AsyncIterator[Callable[[], Any]]:
    """Start the process of a load and warm it up; yield a function that runs it and returns the outcome."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.load.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    assert process.stdin is not None
    try:
        process.stdin.write(load.as_json().encode() + b"\n")
        await _told(process)

        async def run() -> Outcome:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            return Outcome(**await _told(process))

        yield run
    finally:
        process.stdin.close()
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _told(process: asyncio.subprocess.Process) -> Any:  # noqa: ANN401 (it is JSON)
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise ChildProcessError("the load's process has ended")
    told = json.loads(line)
    if told.get("broken"):
        raise ChildProcessError(told["broken"])
    return told
