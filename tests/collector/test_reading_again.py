"""The requests of a plan: listings, and manifests that no plan read before."""

from collections import Counter

import pytest

from revstore_async import Digest, Driver, Registry, Repository
from revstore_drivers.wrappers import TracingDriver
from tests.parts.documents import image


@pytest.fixture
def traced(driver: Driver) -> TracingDriver:
    return TracingDriver(driver)


@pytest.fixture
def registry(traced: TracingDriver) -> Registry:
    return Registry(traced)


async def push(repository: Repository, *numbers: int) -> None:
    for number in numbers:
        layer = f"layer {number}".encode()
        for content in (b"{}", layer):
            await repository.blobs.put(content)
        await repository.manifests.put(image(b"{}", layer), tags=[f"v{number}", f"also-{number}"])


async def read(registry: Registry, traced: TracingDriver) -> Counter[str]:
    """Make a plan, and count the reads of the objects of each kind."""
    traced.reset()
    (await registry.collector.plan(offline=True)).close()
    kinds = {"blobs": "content", "repositories": "links", "gc": "collector"}
    return Counter(kinds[request.key.split("/")[3]] for request in traced.requests if request.method == "get")


async def test_the_listing_tells_the_revisions_of_tags_where_etags_are_md5(
    registry: Registry, repository: Repository, traced: TracingDriver
) -> None:
    await push(repository, 1, 2, 3)
    info = await traced.stat("docker/registry/v2/repositories/library/hello/_manifests/tags/v1/current/link")
    is_md5 = len(info.etag) == len(Digest.of(b"").hex) // 2
    assert (await read(registry, traced))["links"] == (0 if is_md5 else 6)
