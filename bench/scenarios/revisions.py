"""A revision with N signatures, read in the engine: one by one, links first, and in our way.

The engine caches nothing here. The first way is that of Docker Distribution's first draft: each link, then its
blob, then the next. The floor beside them is one request of each raw client: it separates round trips from the
store's own time.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from revstore_async import CURRENT, Digest, Registry, SigningKey, sign
from revstore_async.concurrency import gather_map
from revstore_async.formats.names import RepositoryName
from revstore_async.layout import BlobData
from revstore_drivers.wrappers import LatencyDriver

from ..context import Bench
from ..results import Case
from ..stores import S3Store, registry_of
from ..turns import Way, in_turns, timed_call
from .common import raw_clients

_NAME = RepositoryName("bench/signed")
_SLOWEST = 8.0
"""Seconds above which reading one by one is not repeated."""


async def run(bench: Bench) -> None:
    """Measure each number of signatures at each latency."""
    for latency in bench.options.latencies:
        async with _registry(bench, latency) as registry:
            for count in bench.options.signatures:
                digest = await _signed(registry, count, latency)
                await _measure(bench, registry, latency, count, digest)


@asynccontextmanager
async def _registry(bench: Bench, latency: float) -> AsyncIterator[Registry]:
    """Open the engine behind the link; if the store can't have a link, each request sleeps instead."""
    if bench.store.distant is not None:
        async with registry_of(bench.store, await bench.endpoint("engine", latency)) as registry:
            yield registry
        return
    plain = registry_of(bench.store)
    async with Registry(LatencyDriver(plain.driver, latency / 1000), cache_size=0) as registry:
        yield registry


async def _signed(registry: Registry, count: int, latency: float) -> Digest:
    # One payload for each latency: otherwise the signatures of the next latency would join those stored.
    payload = f'{{"schemaVersion": 1, "name": "bench/signed", "tag": "s{count}-{latency:g}"}}'.encode()
    key = SigningKey.generate()
    signatures = [sign(payload, key) for _ in range(count)]
    return await registry.repository(_NAME).revisions.put(payload, signatures)


async def _measure(bench: Bench, registry: Registry, latency: float, count: int, digest: Digest) -> None:
    async def checked(read: Callable[[Registry, Digest], Awaitable[int]]) -> None:
        if await read(registry, digest) != count:
            raise AssertionError("signatures are missing")

    ways: dict[str, Way] = {name: partial(timed_call, partial(checked, read)) for name, read in _WAYS.items()}
    # One by one, 256 signatures take ten seconds and more at 20 ms: fewer turns are enough then.
    one_by_one = (2 * count + 2) * (latency + 2) / 1000
    turns = bench.options.turns if one_by_one < 1 else 3 if one_by_one < _SLOWEST else 1
    case: Case = {"latency": latency, "signatures": count}
    async with AsyncExitStack() as stack:
        if isinstance(bench.store, S3Store):
            key = CURRENT.key(BlobData(digest))
            for name, raw in (await raw_clients(bench, bench.store, latency, stack)).items():
                ways[f"{name}, one request"] = partial(timed_call, partial(raw.get, key))
        taken, failed = await in_turns(
            ways,
            turns,
            on_turn=lambda turn: bench.progress(
                f"revisions: {latency:g} ms, {count} signatures, turn {turn}", passing=turn >= 0
            ),
        )
    bench.keep("revisions", case, "ms", "time", taken, failed)


# ---- the three ways


async def _links(registry: Registry, digest: Digest) -> Sequence[str]:
    """Read the payload, then list its signatures; return the keys of the links to them."""
    await registry.repository(_NAME).revisions.read(digest)
    page = await registry.driver.list_all(CURRENT.signatures_of(_NAME, digest))
    return [info.key for info in page.entries]


async def _one_by_one(registry: Registry, digest: Digest) -> int:
    """Read each link, then its blob, then the next."""
    keys = await _links(registry, digest)
    for key in keys:
        await registry.blobs.get(await registry.blobs.readlink(key))
    return len(keys)


async def _links_first(registry: Registry, digest: Digest) -> int:
    """Read all links together, then all blobs together."""
    keys = await _links(registry, digest)
    at_once = registry.driver.capabilities.connections
    digests = await gather_map(registry.blobs.readlink, keys, limit=at_once)
    return len(await gather_map(registry.blobs.get, digests, limit=at_once))


async def _ours(registry: Registry, digest: Digest) -> int:
    """Read as the engine does: it reads no link, since the link's key names the content."""
    return len((await registry.repository(_NAME).revisions.get(digest)).signatures)


_WAYS: dict[str, Callable[[Registry, Digest], Awaitable[int]]] = {
    "one by one": _one_by_one,
    "links first": _links_first,
    "ours": _ours,
}
