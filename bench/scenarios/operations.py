"""Each row of design section 4 over HTTP, one client: time, requests to the store, round trips among them.

Our server and Distribution take turns on one store. The floor is a raw client's request for the same content,
if a single request gets it.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from revstore_async import CURRENT, Digest
from revstore_async.layout import BlobData

from ..content import Images, fill
from ..context import Bench
from ..floor import Raw
from ..operations import OPERATIONS, Operations
from ..results import Case
from ..servers.registries import Party
from ..stores import FLOOR, S3Store
from ..turns import Way, in_turns, timed_call
from .common import raw_clients

_COUNTED = 2
"""Operations with counted requests; the least count stands, so that no renewal of an old record counts."""


async def run(bench: Bench) -> None:
    """Measure each operation at each latency."""
    images = await fill(bench.store, 20 + bench.options.turns * 2, bench.options.seed)
    for latency in bench.options.latencies:
        async with AsyncExitStack() as stack:
            parties = await stack.enter_async_context(bench.registries(latency))
            raw: Mapping[str, Raw] = {}
            if isinstance(bench.store, S3Store):
                raw = await raw_clients(bench, bench.store, latency, stack)
            for name in OPERATIONS:
                await _measure(bench, parties, raw, images, latency, name)


async def _measure(
    bench: Bench,
    parties: Mapping[str, Party],
    raw: Mapping[str, Raw],
    images: Images,
    latency: float,
    name: str,
) -> None:
    turns = bench.options.turns
    ways: dict[str, Way] = {}
    for party in parties.values():
        mark = f"{party.name}-{latency:g}-{list(OPERATIONS).index(name)}-{bench.options.seed}"
        operations = Operations(images, mark, spread=images.tags)
        ways[party.name] = partial(_once, operations, OPERATIONS[name], party)
    for client_name, client in raw.items():
        if name in _FLOOR:
            ways[client_name] = partial(timed_call, partial(_FLOOR[name], client, images))
    bench.progress(f"operations: {latency:g} ms, {name}")
    taken, failed = await in_turns(ways, turns, warm_up=2)
    facts: dict[str, Mapping[str, Any]] = {}
    if latency and bench.link is not None:
        for party_name in parties:
            if party_name in taken:
                facts[party_name] = await _count(bench, party_name, ways[party_name], turns)
    case: Case = {"latency": latency, "operation": name}
    bench.keep("operations", case, "ms", "time", taken, failed, facts)


async def _once(
    operations: Operations, operation: Callable[..., Awaitable[None]], party: Party, turn: int
) -> float:
    return await timed_call(partial(operation, operations, party.client, turn))


async def _count(bench: Bench, door: str, way: Way, turns: int) -> Mapping[str, Any]:
    """Count the requests of one operation to the store, as the link sees them pass."""
    assert bench.link is not None
    counted = []
    for turn in range(turns, turns + _COUNTED):
        await bench.link.reset(door)
        await way(turn)
        counted.append(await bench.link.passed(door))
    least = min(counted, key=lambda passed: passed.total)
    return {
        "requests": least.total,
        "kinds": dict(least.requests),
        "connections": least.connections,
        "round_trips": least.round_trips,
        "trace": [list(each) for each in least.trace[:40]],
    }


# ---- the floor


async def _get_manifest(raw: Raw, images: Images) -> None:
    await raw.get(CURRENT.key(BlobData(Digest(images.digests[0]))))


async def _head(raw: Raw, images: Images) -> None:
    await raw.head(CURRENT.key(BlobData(Digest(images.layer))))


async def _get(raw: Raw, images: Images) -> None:
    await raw.get(CURRENT.key(BlobData(Digest(images.layer))))


async def _put(raw: Raw, images: Images) -> None:
    content = random.Random(images.seed).randbytes(50_000)
    await raw.put(f"{FLOOR}/put", content)


_FLOOR: Mapping[str, Callable[[Raw, Images], Awaitable[None]]] = {
    "manifest by digest": _get_manifest,
    "HEAD layer": _head,
    "GET layer 100 kB": _get,
    "push layer 50 kB POST PUT": _put,
}
