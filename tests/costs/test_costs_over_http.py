"""A request to a server costs the storage as many round trips as the engine's call, and not one more.

Counted on a virtual clock where each request to the storage takes 1, as in `test_costs`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx
import pytest

from revstore_async import Digest, Registry
from revstore_async.server import Delegation, RegistryApp, ServerOptions
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import LatencyDriver, TracingDriver
from tests.parts.serving import client_of

LAYER, NEW = b"a layer", b"a new layer"
BLOB = f"/v2/library/hello/blobs/{Digest.of(LAYER)}"
BEGIN = "/v2/library/hello/blobs/uploads/"

Work = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


async def push_at_once(client: httpx.AsyncClient) -> httpx.Response:
    location = (await client.post(BEGIN)).headers["location"]
    return await client.put(f"{location}?digest={Digest.of(NEW)}", content=NEW)


async def push_in_pieces(client: httpx.AsyncClient) -> httpx.Response:
    location = (await client.post(BEGIN)).headers["location"]
    last = len(NEW) - 1
    await client.patch(location, content=NEW, headers={"Content-Range": f"0-{last}"})
    return await client.put(f"{location}?digest={Digest.of(NEW)}")


ROWS: list[tuple[str, Work, int, int]] = [
    ("HEAD", lambda c: c.head(BLOB), 200, 1),
    ("GET", lambda c: c.get(BLOB), 200, 1),
    ("GET of what the client has", lambda c: c.get(BLOB, headers={"If-None-Match": "*"}), 304, 1),
    ("GET of a range", lambda c: c.get(BLOB, headers={"Range": "bytes=2-3"}), 206, 1),
    ("GET of a range past the end", lambda c: c.get(BLOB, headers={"Range": "bytes=7-"}), 416, 1),
    ("GET of the last bytes", lambda c: c.get(BLOB, headers={"Range": "bytes=-2"}), 206, 2),
    ("POST with the content", lambda c: c.post(f"{BEGIN}?digest={Digest.of(NEW)}", content=NEW), 201, 2),
    ("POST and PUT", push_at_once, 201, 3),
    ("POST, PATCH and PUT", push_in_pieces, 201, 7),
    ("mount", lambda c: c.post(f"{BEGIN}?mount={Digest.of(LAYER)}&from=library/other"), 201, 2),
    # is the content there; it isn't, so no repository is asked; the upload
    ("mount of new content", lambda c: c.post(f"{BEGIN}?mount={Digest.of(NEW)}"), 202, 2),
    ("DELETE", lambda c: c.delete(BLOB), 202, 2),
]


async def cost_of(work: Work, options: ServerOptions) -> tuple[int, float]:
    tracing = TracingDriver(LatencyDriver(MemoryDriver(), 1.0))
    loop = asyncio.get_running_loop()
    async with Registry(tracing) as registry:
        for name in ("library/hello", "library/other"):
            await registry.repository(name).blobs.put(LAYER)
        async with client_of(RegistryApp(registry, options=options)) as client:
            start = loop.time()
            answer = await work(client)
            return answer.status_code, loop.time() - start


@pytest.mark.parametrize(
    ("work", "status", "round_trips"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_dependent_round_trips(work: Work, status: int, round_trips: int) -> None:
    options = ServerOptions(body_timeout=timedelta(hours=1))
    assert run_on_virtual_clock(cost_of(work, options)) == (status, round_trips)


def test_a_rule_for_delegated_reads_costs_nothing_where_the_storage_signs_no_urls() -> None:
    options = ServerOptions(delegation=Delegation())
    assert run_on_virtual_clock(cost_of(lambda client: client.get(BLOB), options)) == (200, 1)
