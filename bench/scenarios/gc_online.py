"""Garbage collection of a store of which half the blobs are garbage, while clients push to a server of ours.

A process of its own collects a copy of the store by `registry.collector.run`, on S3 through a link that counts its
requests. The bounds are of seconds, and the waits that they ask for are told apart from the work. The clients also
push layers that the run has condemned. After the run, all pushed images must be whole, and the garbage gone.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from revstore_async import CURRENT, Digest
from revstore_async.driver import entries
from revstore_async.layout import BlobData

from .. import link
from ..context import Bench
from ..copies import copying
from ..garbage import HalfGarbage
from ..http import Client
from ..launched import Taken, launch
from ..processes import without_aws
from ..pushing import Pushes
from ..results import Case
from ..servers.registries import OURS, ours
from ..stores import FileStore, Store, Unfit, registry_of

BOUNDS: Mapping[str, timedelta] = {
    "keep": timedelta(seconds=2),
    "link_within": timedelta(seconds=10),
    "metadata": timedelta(seconds=15),
    "lease": timedelta(seconds=20),
    "hold": timedelta(seconds=5),
}
_CLIENTS = 4
_LIMIT = 1800.0
_APART = 200
"""Requests for the state, the lists and the rest of a run, whatever the size of the store."""


async def run(bench: Bench) -> None:
    """Measure each number of blobs on the store; besides the benchmark's own MinIO, on files too."""
    if not bench.store.shared:
        raise Unfit("a collection runs as a process, which shares no memory")
    stores = [bench.store]
    if bench.store.kind == "minio":
        stores.append(FileStore(bench.folder / "files-online"))
    for blobs in bench.options.blobs:
        content = HalfGarbage(blobs, bench.options.seed)
        for store in stores:
            bench.progress(f"gc-online: writing {blobs} blobs on {store.kind}")
            async with (
                copying(store, bench.folder / "minio-online", content.items) as copied,
                copied() as place,
            ):
                bench.progress(f"gc-online: {blobs} blobs on {store.kind}")
                await _measure(bench, place, content)


@dataclass(frozen=True, slots=True)
class _Run:
    """A run, with the requests that it made; none are counted where there is no link."""

    taken: Taken
    told: Mapping[str, Any]
    requests: Mapping[str, int]

    def allowed(self, manifests: int) -> float:
        """Return the requests that the run may take: listings, new manifests, deletions and some more."""
        listings = self.requests.get("LIST", 0)
        deletions = float(self.told["keys"]) / 1000
        return listings + manifests + deletions + _APART


async def _measure(bench: Bench, place: Store, content: HalfGarbage) -> None:
    await _prepare(place)
    async with _pushing(bench, place, content) as pushes:
        found = await _collect(place, bench.folder)
        pushed = len(pushes.pushed)
    await check(place, content, pushes)
    case: Case = {"store": place.kind, "blobs": content.blobs}

    def keep(unit: str, measure: str, figure: float, **facts: Any) -> None:  # noqa: ANN401 (they are JSON)
        bench.keep("gc-online", case, unit, measure, {OURS: [figure]}, {}, {OURS: facts})

    keep("s", "work", found.taken.seconds - found.told["waited"], **found.told)
    keep("s", "waits", found.told["waited"])
    keep("s", "process cpu", found.taken.cpu)
    keep("MiB", "process memory", found.taken.peak_mib)
    keep("", "pushes", pushed, again=pushes.again)
    keep("", "failed pushes", len(pushes.failures), failures=pushes.failures[:5])
    if found.requests:
        total = sum(found.requests.values())
        keep(
            "",
            "all requests",
            total,
            allowed=found.allowed(content.manifests + pushed),
            by_kind=dict(found.requests),
        )


async def _prepare(place: Store) -> None:
    """Set the bounds of the store, and wait until runs may begin."""
    async with registry_of(place) as registry:
        await registry.collector.bounds(**BOUNDS, offline=True)
        status = await registry.collector.enable()
        if status.begins is not None:
            await asyncio.sleep(max(0.0, (status.begins - datetime.now(UTC)).total_seconds()) + 1)


@asynccontextmanager
async def _pushing(bench: Bench, place: Store, content: HalfGarbage) -> AsyncIterator[Pushes]:
    """Let clients push to a server of ours, from before the block to its end."""
    pushes = Pushes(content.unneeded_layers(), bench.options.seed)
    enough = asyncio.Event()
    async with AsyncExitStack() as stack:
        port, _ = stack.enter_context(ours(place, None, bench.folder))
        clients = [Client(port) for _ in range(_CLIENTS)]
        for client in clients:
            stack.callback(client.close)
        async with asyncio.TaskGroup() as group:
            for number, client in enumerate(clients):
                group.create_task(pushes.go_on(client, str(number), enough))
            try:
                yield pushes
            finally:
                enough.set()


async def _collect(place: Store, folder: Path) -> _Run:
    command = [sys.executable, "-m", "bench.collecting"]
    environment = without_aws() | dict(place.environment())

    async def launched(endpoint: str | None) -> Taken:
        return await launch(
            command, environment | {"REVSTORE_STORE": place.url(endpoint)}, folder, limit=_LIMIT
        )

    requests: Mapping[str, int] = {}
    if place.distant is None:
        taken = await launched(None)
    else:
        async with link.running(*place.distant, [OURS]) as way:
            taken = await launched(way.url(OURS))
            requests = (await way.passed(OURS)).requests
    return _Run(taken, json.loads(taken.output), requests)


async def check(place: Store, content: HalfGarbage, pushes: Pushes) -> None:
    """Look that the keys that must stay are there, that pushed images are whole, and that the garbage is gone."""
    kept = {stored.key for stored in content.objects() if stored.stays}
    for pushed in pushes.pushed:
        kept |= {CURRENT.key(BlobData(digest)) for digest in (*pushed.blobs, Digest.of(pushed.content))}
    async with registry_of(place) as registry:
        for pushed in pushes.pushed:
            found = await registry.repository(pushed.repository).manifests.get(Digest.of(pushed.content))
            if found.content != pushed.content:
                raise AssertionError(f"a manifest of {pushed.repository} is another document")
        left = {info.key async for info in entries(registry.driver.list_all, CURRENT.contents)}
    garbage = {stored.key for stored in content.objects() if not stored.stays and "/blobs/" in stored.key}
    lost, stayed = kept - left, left & garbage - kept
    if lost or stayed:
        examples = ", ".join(sorted(lost)[:2] + sorted(stayed)[:2])
        raise AssertionError(f"{len(lost)} keys are lost, {len(stayed)} are left over, such as {examples}")
