"""A repository's blobs: reachable through its links, and through nobody else's."""

from datetime import UTC, datetime, timedelta

import pytest

from revstore_async import Digest, Driver, Registry, Repository
from revstore_async.errors import BlobUnknown, InvalidOffset, LinkDangling
from revstore_async.layers import LayerStore
from revstore_async.layout import CURRENT, LayerLink
from revstore_async.policy import Policy
from tests.conftest import Tick


async def test_a_layer_is_reached_only_through_a_repository_that_links_it(registry: Registry) -> None:
    here, elsewhere = registry.repository("here"), registry.repository("elsewhere")
    descriptor = await here.blobs.put(b"layer")
    assert await here.blobs.get(descriptor.digest) == b"layer"
    assert await here.blobs.stat(descriptor.digest) == descriptor
    assert await here.blobs.exists(descriptor.digest)
    async with here.blobs.open(descriptor.digest, offset=2) as reader:
        assert await reader.read() == b"yer"

    assert not await elsewhere.blobs.exists(descriptor.digest)
    assert await elsewhere.blobs.confirm(descriptor.digest) is None
    for call in (elsewhere.blobs.get, elsewhere.blobs.stat):
        with pytest.raises(BlobUnknown) as unknown:
            await call(descriptor.digest)
        assert (unknown.value.digest, unknown.value.repository) == (descriptor.digest, "elsewhere")
    for offset in (0, 100):  # not even the size is told
        with pytest.raises(BlobUnknown):
            async with elsewhere.blobs.open(descriptor.digest, offset=offset):
                pass


async def test_an_offset_past_the_end_is_told_to_whoever_may_read(repository: Repository) -> None:
    digest = (await repository.blobs.put(b"layer")).digest
    with pytest.raises(InvalidOffset):
        async with repository.blobs.open(digest, offset=6):
            pass


async def test_a_link_to_content_that_is_gone_is_named(
    registry: Registry, repository: Repository, driver: Driver
) -> None:
    digest = (await repository.blobs.put(b"layer")).digest
    await driver.delete(registry.blobs.path(digest))
    assert not await repository.blobs.exists(digest)
    for call in (repository.blobs.get, repository.blobs.stat):
        with pytest.raises(LinkDangling) as dangling:
            await call(digest)
        assert dangling.value.digest == digest
    with pytest.raises(LinkDangling):
        async with repository.blobs.open(digest):
            pass
    await repository.blobs.put(b"layer")
    assert await repository.blobs.get(digest) == b"layer"


async def test_a_yes_renews_a_link_older_than_half_its_lease(
    registry: Registry, driver: Driver, tick: Tick
) -> None:
    repository = registry.repository("library/hello")
    digest = (await repository.blobs.put(b"layer")).digest
    key = CURRENT.key(LayerLink(repository.name, digest))
    written = (await driver.stat(key)).modified
    await tick()
    lease = timedelta(days=1)

    def at(age: timedelta) -> LayerStore:
        policy = Policy(lease=lease)
        return LayerStore(
            repository.name, registry.blobs, driver, CURRENT, policy, now=lambda: datetime.now(UTC) + age
        )

    assert await at(lease * 0.4).confirm(digest)
    assert (await driver.stat(key)).modified == written
    assert await at(lease * 0.6).confirm(digest)
    assert (await driver.stat(key)).modified > written
    assert await at(lease * 0.6).confirm(Digest.of(b"absent")) is None
