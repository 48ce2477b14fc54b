"""Garbage collection of a store of which half the blobs are garbage, with nothing else at work on it.

Each collection is a command in a process of its own, on a copy of the store. Its time is that of the whole
process. After each, the scenario compares the keys that are left with those that must be left, and Distribution
serves a sample of the manifests.

On S3 the warm-up goes through a link, which counts its requests. The measured runs use the store directly. From
50,000 blobs on, each party runs once after that. A collection that takes half an hour is ended, and counts as
failed.
"""

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from revstore_async import CURRENT
from revstore_async.driver import entries
from revstore_async.formats.descriptors import OCI_MANIFEST
from revstore_async.formats.manifests import read_manifest

from .. import link
from ..context import Bench
from ..copies import Copied, copying
from ..garbage import HalfGarbage, Revision
from ..http import Client
from ..launched import Taken, launch
from ..processes import built, without_aws
from ..results import Case
from ..servers.registries import DISTRIBUTION, OURS, configuration, distribution, distributions_environment
from ..stores import FileStore, Store, Unfit, registry_of
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
    stores = [bench.store]
    if bench.store.kind == "minio":
        stores.append(FileStore(bench.folder / "files"))
    for blobs in bench.options.blobs:
        content = HalfGarbage(blobs, bench.options.seed)
        for store in stores:
            bench.progress(f"gc: writing {blobs} blobs on {store.kind}")
            async with copying(store, bench.folder / "minio", content.items) as copied:
                await _Collections(bench, store, copied, content).measure()


@dataclass(slots=True)
class _Collections:
    """The collections of copies of one store, by all parties."""

    bench: Bench
    store: Store
    copied: Copied
    content: HalfGarbage
    taken: dict[str, list[Taken]] = field(default_factory=dict)
    requests: dict[str, Mapping[str, int]] = field(default_factory=dict)

    async def measure(self) -> None:
        large = self.content.blobs >= _LARGE
        parties = [name for name in _COLLECTORS if name in self.bench.options.parties]
        ways: dict[str, Way] = {name: partial(self.once, name) for name in parties}
        seconds, failed = await in_turns(
            ways,
            1 if large else self.bench.options.runs,
            warm_up=0 if large and self.store.distant is None else 1,
            on_turn=lambda turn: self.bench.progress(
                f"gc: {self.content.blobs} blobs on {self.store.kind}, run {turn}"
            ),
        )
        self.keep(seconds, failed)

    def keep(self, seconds: Mapping[str, Sequence[float]], failed: Mapping[str, str]) -> None:
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
        """Collect a copy of the store, and check the rest; return the seconds of the collection."""
        async with self.copied() as place:
            if turn < 0 and place.distant is not None:
                async with link.running(*place.distant, [party]) as way:
                    taken = await _COLLECTORS[party](place, way.url(party), self.bench.folder)
                    self.requests[party] = (await way.passed(party)).requests
            else:
                taken = await _COLLECTORS[party](place, None, self.bench.folder)
            if turn >= 0:
                self.taken.setdefault(party, []).append(taken)
            await _check(place, self.content)
            if DISTRIBUTION in self.bench.options.parties:
                await self.serve(place)
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


async def _check(store: Store, content: HalfGarbage) -> None:
    """Compare the keys that are left with those that must be left."""
    kept = {stored.key for stored in content.objects() if stored.stays}
    async with registry_of(store) as registry:
        left = {info.key async for info in entries(registry.driver.list_all, CURRENT.contents)}
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
