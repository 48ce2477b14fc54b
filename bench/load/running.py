"""The two loops."""

import asyncio
import random
import time
from collections.abc import Callable

from ..http import Client
from ..operations import OPERATIONS, Operations
from ..spread import percentile
from . import Load, Outcome

SHARES = (50.0, 90.0, 99.0, 99.9, 100.0)


class Run:
    """One run of a load."""

    def __init__(self, load: Load, client: Client | None = None) -> None:
        """Make a run; the given client may have warm connections."""
        self.client = client or Client(load.port)
        self._load = load
        self._operations = Operations(load.images, load.mark, load.spread)
        self._chance = random.Random(load.seed)
        self._names, self._shares = list(load.mix), list(load.mix.values())
        self._next = load.first
        self._times: list[float] = []
        self._late: list[float] = []
        self._failures: list[str] = []

    async def _one(self, since: float) -> None:
        number = self._next
        self._next += 1
        name = self._names[0]
        if len(self._names) > 1:
            name = self._chance.choices(self._names, self._shares)[0]
        try:
            await OPERATIONS[name](self._operations, self.client, number)
        except (OSError, AssertionError) as error:
            self._failures.append(f"{name}: {error}")
        else:
            self._times.append(time.perf_counter() - since)

    async def closed(self) -> Outcome:
        """Run the closed loop."""
        start = time.perf_counter()
        goes_on = self._limit(start)

        async def ask() -> None:
            while goes_on():
                await self._one(time.perf_counter())

        async with asyncio.TaskGroup() as clients:
            for _ in range(self._load.clients):
                clients.create_task(ask())
        return self._outcome(time.perf_counter() - start)

    def _limit(self, start: float) -> Callable[[], bool]:
        if self._load.requests:
            last = self._load.first + self._load.requests
            return lambda: self._next < last
        end = start + self._load.seconds
        return lambda: time.perf_counter() < end

    async def opened(self) -> Outcome:
        """Run the open loop; a request's wait for a connection counts as its latency."""
        places = asyncio.Semaphore(self._load.clients)
        count = self._load.requests or int(self._load.seconds * self._load.rate)

        async def ask(scheduled: float) -> None:
            async with places:
                await self._one(scheduled)

        start = time.perf_counter()
        async with asyncio.TaskGroup() as requests:
            for number in range(count):
                scheduled = start + number / self._load.rate
                if (ahead := scheduled - time.perf_counter()) > 0:
                    await asyncio.sleep(ahead)
                self._late.append(max(0.0, time.perf_counter() - scheduled))
                requests.create_task(ask(scheduled))
        return self._outcome(time.perf_counter() - start)

    def _outcome(self, seconds: float) -> Outcome:
        shares = {f"{share:g}": percentile(self._times, share) * 1000 for share in SHARES if self._times}
        return Outcome(
            requests=len(self._times),
            seconds=seconds,
            failures=len(self._failures),
            failure=self._failures[0] if self._failures else "",
            percentiles=shares,
            own_cpu=0.0,
            late=percentile(self._late, 99) * 1000 if self._late else 0.0,
        )
