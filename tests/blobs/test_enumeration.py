"""All blobs of a store, listed by pages."""

import pytest

from revstore_async import Digest, Driver, Registry, Repository
from revstore_async.driver import LIST_LIMIT
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import LatencyDriver, TracingDriver


async def test_each_stored_blob_is_listed_once_with_its_size(registry: Registry, repository: Repository):
    contents = [b"", b"one", b"another" * 1000]
    for content in contents:
        await registry.blobs.put(content)
    await repository.blobs.put(contents[0], digest=Digest.of(contents[0], "sha512"))
    found = [info async for info in registry.blobs.enumerate()]
    wanted = {Digest.of(content): len(content) for content in contents} | {Digest.of(b"", "sha512"): 0}
    assert {info.digest: info.size for info in found} == wanted
    assert len(found) == len(wanted)
    for info in found:
        stat = await registry.driver.stat(registry.blobs.path(info.digest))
        assert abs(stat.modified - info.modified) <= registry.driver.capabilities.time_resolution


async def test_other_objects_are_left_out(registry: Registry, driver: Driver):
    digest = (await registry.blobs.put(b"content")).digest
    for key in ("sha256/00/readme", f"sha256/{digest.hex[:2]}/{digest.hex}/data.old", "stray"):
        await driver.put(f"docker/registry/v2/blobs/{key}", b"")
    assert [info.digest async for info in registry.blobs.enumerate()] == [digest]


@pytest.mark.parametrize("blobs", [0, LIST_LIMIT, LIST_LIMIT + 1])
def test_a_thousand_blobs_are_one_request(blobs: int):
    async def main() -> None:
        async with Registry(TracingDriver(LatencyDriver(MemoryDriver(), 0.0))) as registry:
            for number in range(blobs):
                await registry.driver.put(registry.blobs.path(Digest.of(str(number).encode())), b"")
            registry.driver.reset()
            assert len([info async for info in registry.blobs.enumerate()]) == blobs
            assert registry.driver.counts == {"list_all": 1 + (blobs > LIST_LIMIT)}

    run_on_virtual_clock(main())
