"""Garbage collection of a store of which half the blobs are garbage, with nothing else at work on it.

Each collection is a command in a process of its own, on a store that is filled anew for it. Its time is that of
the whole process. After each, the scenario compares the keys that are left with those that must be left, and
Distribution serves a sample of the manifests.

With a link before the store, the warm-up goes through it, and the link counts its requests. The measured runs
use the store directly. From 50,000 blobs on, each party runs once after that, and a run ends after half an hour.
"""

import asyncio
import os
import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from secrets import token_hex
from shutil import rmtree

from revstore_async import CURRENT
from revstore_async.driver import entries
from revstore_async.formats.descriptors import OCI_MANIFEST
from revstore_async.formats.manifests import read_manifest

from ..content import write
from ..context import Bench
from ..garbage import HalfGarbage, Revision
from ..http import Client
from ..launched import Taken, launch
from ..link import Link
from ..processes import built, without_aws
from ..results import Case
from ..servers.registries import DISTRIBUTION, OURS, configuration, distribution, distributions_environment
from ..stores import FileStore, S3Store, Store, Unfit, registry_of
from ..turns import Way, in_turns

_LIMIT = 1800.0
"""Seconds that a collection may take."""
_LARGE = 50_000
"""Blobs from which on one run is enough."""
_SAMPLE = 20
"""Manifests that Distribution serves after a collection."""


async def run(bench: Bench) -> None:
    """Measure each number of blobs on the store; besides the benchmark's own MinIO, on files too."""
    if not bench.store.shared:
        raise Unfit("a collection runs as a process, which shares no memory")
    for blobs in bench.options.blobs:
        content = HalfGarbage(blobs, bench.options.seed)
        await _Collection(bench, bench.store, bench.link, content).measure()
        if bench.store.kind == "minio":
            await _Collection(bench, FileStore(bench.folder / "collected"), None, content).measure()


@dataclass(slots=True)
class _Collection:
    """The collections of one store by all parties."""

    bench: Bench
    store: Store
    link: Link | None
    content: HalfGarbage
    taken: dict[str, list[Taken]] = field(default_factory=dict)
    requests: dict[str, Mapping[str, int]] = field(default_factory=dict)

    async def measure(self) -> None:
        large = self.content.blobs >= _LARGE
        parties = [name for name in (OURS, DISTRIBUTION) if name in self.bench.options.parties]
        ways: dict[str, Way] = {name: partial(self.once, name) for name in parties}
        seconds, failed = await in_turns(
            ways,
            1 if large else self.bench.options.runs,
            warm_up=0 if large and self.link is None else 1,
            on_turn=lambda turn: self.bench.progress(
                f"gc: {self.content.blobs} blobs on {self.store.kind}, run {turn}"
            ),
        )
        case: Case = {"store": self.store.kind, "blobs": self.content.blobs}
        facts = {name: {"requests": sum(counts.values())} for name, counts in self.requests.items()}
        keep = partial(self.bench.keep, "gc")
        keep(case, "s", "time", seconds, failed, facts)
        memory = {name: [each.peak_mib for each in self.taken[name]] for name in seconds}
        keep(case, "MiB", "process memory", memory, {})
        cpu = {name: [each.cpu for each in self.taken[name]] for name in seconds}
        keep(case, "s", "process cpu", cpu, {})
        for kind in sorted({kind for counts in self.requests.values() for kind in counts}):
            found = {name: [float(counts[kind])] for name, counts in self.requests.items() if kind in counts}
            keep({**case, "request": kind}, "", "requests", found, {})

    async def once(self, party: str, turn: int) -> float:
        """Fill a new store, collect it, and check the rest; return the seconds of the collection."""
        place = _place(self.store)
        endpoint = None
        try:
            kept = await _fill(place, self.content)
            if turn < 0 and self.link is not None:
                await self.link.set_latency(0)
                await self.link.reset(party)
                endpoint = self.link.url(party)
            taken = await _COLLECTORS[party](place, endpoint, self.bench.folder)
            if endpoint is not None and self.link is not None:
                self.requests[party] = (await self.link.passed(party)).requests
            if turn >= 0:
                self.taken.setdefault(party, []).append(taken)
            await _check(place, kept)
            if DISTRIBUTION in self.bench.options.parties:
                await self.serve(place)
        finally:
            await _empty(place)
        return taken.seconds

    async def serve(self, place: Store) -> None:
        """Let Distribution serve a sample of the manifests, with their blobs."""
        revisions = list(self.content.revisions())
        chance = random.Random(self.bench.options.seed)
        with distribution(place, None, self.bench.folder) as (port, _):
            client = Client(port)
            try:
                for revision in chance.sample(revisions, min(_SAMPLE, len(revisions))):
                    await _serve(client, revision)
            finally:
                client.close()


async def _ours(store: Store, endpoint: str | None, folder: Path) -> Taken:
    command = [sys.executable, "-m", "revstore_async.cli", "gc", "apply", "--offline", "--yes", "--json"]
    environment = without_aws() | dict(store.environment()) | {"REVSTORE_STORE": store.url(endpoint)}
    return await launch(command, environment, folder, limit=_LIMIT)


async def _distribution(store: Store, endpoint: str | None, folder: Path) -> Taken:
    written = configuration(store, endpoint, folder)
    command = [built("registry"), "garbage-collect", "--quiet", "--delete-untagged=false", str(written)]
    return await launch(command, distributions_environment(), folder, limit=_LIMIT)


_COLLECTORS = {OURS: _ours, DISTRIBUTION: _distribution}


def _place(store: Store) -> Store:
    """Return a new place within a store."""
    name = f"gc-{token_hex(4)}"
    match store:
        case S3Store(prefix=prefix):
            return replace(store, prefix=f"{prefix}/{name}")
        case FileStore(folder):
            return FileStore(folder / name)
        case _:
            raise Unfit(f"no places within a store of the kind {store.kind}")


async def _fill(store: Store, content: HalfGarbage) -> frozenset[str]:
    """Fill a store; return the keys that must stay."""
    kept: list[str] = []

    def items() -> Iterator[tuple[str, bytes]]:
        for stored in content.objects():
            if stored.stays:
                kept.append(stored.key)
            yield stored.key, stored.content

    await write(store, items())
    await asyncio.to_thread(os.sync)  # else the disk is busy with it while the collection runs
    return frozenset(kept)


async def _check(store: Store, kept: frozenset[str]) -> None:
    """Compare the keys that are left with those that must be left."""
    folder = CURRENT.contents
    async with registry_of(store) as registry:
        left = {info.key async for info in entries(registry.driver.list_all, folder)}
    if left != kept:
        lost, stayed = kept - left, left - kept
        examples = ", ".join(sorted(lost)[:2] + sorted(stayed)[:2])
        raise AssertionError(f"{len(lost)} keys are lost, {len(stayed)} are left over, such as {examples}")


async def _serve(client: Client, revision: Revision) -> None:
    path = f"/v2/{revision.repository}"
    asked = f"{path}/manifests/{revision.tag or revision.digest}"
    answer = await client.ask("GET", asked, headers={"Accept": OCI_MANIFEST}, keep=True)
    if bytes(answer.content) != revision.content:
        raise AssertionError(f"{asked} is another document")
    for blob in read_manifest(revision.content).blobs:
        await client.ask("HEAD", f"{path}/blobs/{blob.digest}")


async def _empty(store: Store) -> None:
    if isinstance(store, FileStore):
        await asyncio.to_thread(rmtree, store.folder, ignore_errors=True)
        return
    async with registry_of(store) as registry:
        await registry.driver.delete_prefix("docker")
