"""Load on a registry from many clients, made by a process of its own.

Closed loop: each client asks again as soon as it was answered: for rates and CPU per operation. Open loop:
requests begin by a fixed schedule, whatever became of those before, and latency counts from the scheduled
time: a server that stalls for a second shows as a second for all that should have been served meanwhile
(coordinated omission is what a closed loop would make of it).
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
    """What is asked of a registry.

    Attributes:
        port: Where it listens on loopback.
        images: The repository that it is asked for.
        mix: Operations by name, each with its share.
        clients: How many at once; in an open loop, connections at most.
        seconds: How long.
        requests: How many in all, instead of a time; 0 for a time.
        rate: Requests a second of an open loop; 0 for a closed one.
        warm_up: Requests before that, which don't count.
        warm_first: The number of the first of them.
        spread: Over how many tags pulls go.
        first: The number of the first request.
        mark: Makes what is pushed unlike anything pushed before.
        seed: Of the choice among the mix.
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
        """Return it for the process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Load":
        """Read what `as_json` wrote."""
        told = json.loads(text)
        return cls(**told | {"images": Images.from_json(told["images"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a load.

    Attributes:
        requests: Operations that succeeded.
        seconds: From the first to the end of the last.
        failures: Operations that failed.
        failure: What the first of them said.
        percentiles: Milliseconds of an operation, by share: 50, 90, 99, 99.9, 100.
        own_cpu: Seconds of CPU that the load itself took.
        late: Of an open loop, the milliseconds by which a request began late, at the 99th percentile: where
            they are many, the load and not the registry was the limit.
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
    """Start the process of a load and have it warm up; the block gets what runs it and returns the outcome."""
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
