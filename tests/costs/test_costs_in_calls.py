"""The calls of our own functions that requests cost, over the whole stack of `revstore serve` down to S3.

A number here grows when data goes back and forth between floors. It is no measure of time. It is the same on
each run, but for the pieces in which answers of the S3 server arrive. Each takes 4 calls, and a bar leaves room
for 4 more pieces than the fewest.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import httpx
import pytest

from revstore_async import Digest, Registry
from revstore_async.server import RegistryApp, served
from revstore_drivers.s3 import S3Driver
from tests.parts import moto
from tests.parts.calls import counted, report
from tests.parts.moto import Moto
from tests.parts.serving import client_of

CONFIG, LAYER = b"{}", b"a layer"
OCI = "application/vnd.oci.image.manifest.v1+json"
BEGIN = "/v2/library/hello/blobs/uploads/"

Work = Callable[[httpx.AsyncClient, int], Awaitable[httpx.Response]]


def image(number: int) -> bytes:
    def descriptor(media_type: str, content: bytes) -> dict[str, object]:
        return {"mediaType": media_type, "digest": Digest.of(content), "size": len(content)}

    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI,
            "config": descriptor("application/vnd.oci.image.config.v1+json", CONFIG),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", LAYER)],
            "annotations": {"number": str(number)},
        }
    ).encode()


async def put(client: httpx.AsyncClient, number: int) -> httpx.Response:
    headers = {"Content-Type": OCI}
    return await client.put("/v2/library/hello/manifests/latest", content=image(number), headers=headers)


async def push(client: httpx.AsyncClient, number: int) -> httpx.Response:
    content = bytes([number]) * 100_000
    location = (await client.post(BEGIN)).headers["location"]
    location = (await client.patch(location, content=content)).headers["location"]
    return await client.put(f"{location}?digest={Digest.of(content)}")


async def pull(client: httpx.AsyncClient, _: int) -> httpx.Response:
    return await client.get("/v2/library/hello/manifests/latest", headers={"Accept": OCI})


@pytest.fixture(scope="module")
def server() -> Iterator[Moto]:
    with moto.running() as running:
        yield running


@pytest.fixture
async def client(server: Moto) -> AsyncIterator[httpx.AsyncClient]:
    driver = S3Driver(server.new_bucket(), **server.options())
    async with Registry(driver) as registry:
        repository = registry.repository("library/hello")
        for content in (CONFIG, LAYER):
            await repository.blobs.put(content)
        await repository.manifests.put(image(0), tag="latest")
        async with client_of(served(RegistryApp(registry))) as opened:
            yield opened


async def calls_of(work: Work, client: httpx.AsyncClient) -> Counter[str]:
    await work(client, 1)
    with counted() as calls:
        answer = await work(client, 2)
    assert answer.is_success, answer.text
    return calls


@pytest.mark.parametrize(
    ("work", "most"),
    [
        # Each request of the store has a deadline, sizes are compared with what is known, what a segment must be is
        # kept and looked at, and memory is taken as bytes arrive: see the costs on the wire, which are as before.
        pytest.param(put, 541, id="put of a manifest by tag, a config and one layer"),
        pytest.param(push, 550, id="POST, PATCH of 100 kB and PUT of a layer"),
        pytest.param(pull, 130, id="hot pull by tag"),
    ],
)
async def test_the_way_of_the_data_stays_short(client: httpx.AsyncClient, work: Work, most: int) -> None:
    calls = await calls_of(work, client)
    assert calls.total() <= most, report(calls)
