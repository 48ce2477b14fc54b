"""The soak: clients at work on two replicas over MinIO, with faults and kills, then a look at everything."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import aiohttp

from revstore_async import Registry
from tests.parts.minio import MinIO

from .clients import EXPIRES_AFTER, KEPT, NUMBERS, Client
from .collecting import Collecting, Commands
from .flatness import Flatness
from .images import image
from .model import Model
from .pulling import HISTORY
from .pushing import Pushing, Target
from .replicas import FaultyProxy, Replica, faulty_proxy
from .restoring import Restorer
from .tally import Tally
from .verifying import Whole, everything_is_whole
from .wire import Wire

CYCLE = 600.0
"""Seconds at most of a time with kills of replicas, and the time without that follows."""

WITH_KILLS = 0.6
"""The share of the cycle in which replicas are killed."""

KILLED_EVERY = 12.0
"""Mean seconds between two kills of replicas."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a soak.

    Attributes:
        seconds: How long the clients work.
        faults: The share of storage requests that are spoilt.
        collectors: The number of processes that run the collector again and again.
        seed: The seed of all random numbers. The order of events differs from run to run all the same.
        tell: Takes lines of progress.
    """

    seconds: float = 120.0
    faults: float = 0.05
    collectors: int = 2
    seed: int = 1
    tell: Callable[[str], None] = lambda _line: None


@dataclass(slots=True)
class Soak:
    """A running soak.

    Attributes:
        options: The options.
        bucket: The bucket of the store.
        replicas: The replicas.
        proxy: The faulty proxy.
        model: What the clients know.
        tally: The counts.
        session: The connections of the clients.
        chance: The random numbers.
        commands: The commands of the collector.
        log: Gets a line for each request about a manifest.
        registry: A registry of the library on the same store, through the faulty proxy.
        flatness: What the replicas hold.
    """

    options: Options
    bucket: str
    replicas: list[Replica]
    proxy: FaultyProxy
    session: aiohttp.ClientSession
    chance: random.Random
    commands: Commands
    log: TextIO
    registry: Registry
    model: Model = field(default_factory=Model)
    tally: Tally = field(default_factory=Tally)
    flatness: Flatness = field(default_factory=Flatness)

    def wire(self) -> Wire:
        """Return the requests of one more client."""
        return Wire(self.session, self.replicas, self.tally, random.Random(self.chance.random()), self.log)

    async def prepare(self) -> None:
        """Set the collector's bounds, and push the manifests that stay."""
        await Collecting(self.commands, self.tally, self.chance).prepare()
        pushing = Pushing(self.wire(), self.model, self.tally, self.chance)
        for number in range(3):
            await pushing.push(image(number), Target(KEPT, f"k{number}"))
        for replica in self.replicas:
            self.flatness.begin(replica.name, await replica.held())

    async def work(self) -> None:
        """Let the clients work, with faults and kills."""
        stop = asyncio.Event()
        await self.proxy.spoil(self.options.faults)
        clients = [
            Client(name, self.wire(), self.model, self.tally, random.Random(self.chance.random()))
            for name, number in NUMBERS.items()
            for _ in range(number)
        ]
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.work(stop))
            restorer = Restorer(self.registry, self.model, self.tally, random.Random(self.chance.random()))
            group.create_task(restorer.work(stop))
            group.create_task(self._kill(stop))
            group.create_task(self._watch(stop))
            for _ in range(self.options.collectors):
                group.create_task(Collecting(self.commands, self.tally, self.chance).work(stop))
            await asyncio.sleep(self.options.seconds)
            stop.set()
        await self.proxy.spoil(0.0)

    async def _kill(self, stop: asyncio.Event) -> None:
        cycle = min(CYCLE, self.options.seconds)
        begin = self.tally.seconds
        while not stop.is_set():
            await _pause(stop, self.chance.expovariate(1 / KILLED_EVERY))
            if (self.tally.seconds - begin) % cycle > cycle * WITH_KILLS or stop.is_set():
                continue
            replica = self.chance.choice(self.replicas)
            await replica.kill()
            self.tally.events["kills of replicas"] += 1
            await _pause(stop, self.chance.uniform(0, 1))
            await replica.start()

    async def _watch(self, stop: asyncio.Event) -> None:
        told = 0.0
        while not stop.is_set():
            await _pause(stop, 5.0)
            for replica in self.replicas:
                lives = replica.lives
                if replica.was_up_since(lives):
                    held = await replica.held_if_up(lives)
                    if held is not None:
                        self.flatness.see(replica.name, lives, held)
            if self.tally.seconds - told > 30:
                told = self.tally.seconds
                self.options.tell(self._line())

    def _line(self) -> str:
        finished = sum(self.tally.operations.values())
        return (
            f"[{self.tally.seconds:.0f} s] {finished} operations, {len(self.tally.failures)} failures, "
            f"{self.tally.events['kills of replicas']} kills of replicas; {self.flatness.shown()}"
        )

    async def end(self) -> Whole:
        """Look at everything after the work; the tally has the failures."""
        return await everything_is_whole(self.wire(), self.model, self.tally)

    async def collect(self) -> None:
        """Free all garbage; the tally has the failures.

        The first runs let tags expire. Their histories keep the manifests until the last runs.
        """
        collecting = Collecting(self.commands, self.tally, self.chance)
        for wait in (EXPIRES_AFTER, HISTORY):
            await asyncio.sleep(wait + 2)
            if not await collecting.run():
                return
        ran = await self.commands.run("du")
        if ran.code or ran.said["total"]["reclaimable"]:
            self.tally.fail(f"after the last run, du tells {ran.said} {ran.errors}")

    async def rest(self) -> None:
        """Wait until the replicas are idle, and look at their figures and logs."""
        await asyncio.sleep(6.0)
        for replica in self.replicas:
            for line in replica.tracebacks():
                self.tally.fail(f"{replica.name} logged {line}")
            for sentence in self.flatness.wrong(replica.name, replica.lives, await replica.held()):
                self.tally.fail(sentence)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait for some seconds, or until the soak ends."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


@asynccontextmanager
async def soaking(minio: MinIO, folder: Path, options: Options) -> AsyncIterator[Soak]:
    """Start the processes of a soak, and end them with the block."""
    bucket = minio.new_bucket()
    chance = random.Random(options.seed)
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(faulty_proxy(minio.port, options.seed, folder / "faults.log"))
        store = f"s3://{bucket}/root?endpoint_url=http://127.0.0.1:{proxy.port}&region=us-east-1"
        replicas = [Replica(name, store, folder, minio.environment()) for name in ("first", "second")]
        for replica in replicas:
            stack.push_async_callback(replica.stop)
            await replica.start()
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=5.0)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        commands = Commands(store, folder, minio.environment())
        log = stack.enter_context((folder / "requests.log").open("w"))
        options_of_driver = minio.options() | {"endpoint_url": f"http://127.0.0.1:{proxy.port}"}
        registry = await stack.enter_async_context(Registry.open(f"s3://{bucket}/root", **options_of_driver))
        yield Soak(options, bucket, replicas, proxy, session, chance, commands, log, registry)
