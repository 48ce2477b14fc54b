"""A repository's blobs: reachable through its own links only."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from revstore_async import Digest, Driver, Registry, Repository, RepositoryName
from revstore_async.blobs.layers import LayerStore
from revstore_async.driver import DriverWrapper, File
from revstore_async.errors import (
    BlobUnknown,
    InvalidArgument,
    InvalidOffset,
    LinkDamaged,
    LinkDangling,
    Unsupported,
)
from revstore_async.layout import CURRENT, LayerLink
from revstore_async.runs.state import Bounds, Phase
from revstore_drivers.memory import MemoryDriver
from tests.conftest import Tick
from tests.parts.runs_at_work import RunAtWork


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


async def test_an_offset_past_the_end_is_told_to_a_caller_with_a_link(repository: Repository) -> None:
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


async def test_a_yes_renews_a_link_older_than_half_its_lease(driver: Driver, tick: Tick) -> None:
    name, digest = RepositoryName("library/hello"), Digest.of(b"layer")
    await Registry(driver).repository(name).blobs.put(b"layer")
    key = CURRENT.key(LayerLink(name, digest))
    written = (await driver.stat(key)).modified

    async def ask_with(lease: timedelta) -> datetime:
        await tick()
        await RunAtWork(driver, [], Bounds(lease=lease)).enter(Phase.IDLE)
        blobs = Registry(driver).repository(name).blobs
        assert await blobs.confirm(Digest.of(b"absent")) is None
        assert await blobs.confirm(digest)
        return (await driver.stat(key)).modified

    assert await ask_with(timedelta(hours=1)) == written
    assert await ask_with(timedelta(0)) > written


async def test_where_the_store_tells_no_time_a_lease_goes_by_the_clock_of_the_process() -> None:
    class Timeless(DriverWrapper):
        async def get(self, key: str, *, limit: int | None = None) -> File:
            return replace(await super().get(key, limit=limit), date=None)

    async with Timeless(MemoryDriver()) as driver:
        registry = Registry(driver)
        repository = registry.repository("library/hello")
        digest = (await repository.blobs.put(b"layer")).digest
        key = CURRENT.key(LayerLink(repository.name, digest))
        written = (await driver.stat(key)).modified
        for hours, renewed in [(11, False), (13, True)]:
            ahead = timedelta(hours=hours)
            layers = LayerStore(repository.name, registry.blobs, driver, CURRENT, now=partial(_in, ahead))
            assert await layers.confirm(digest)
            assert ((await driver.stat(key)).modified > written) == renewed


def _in(ahead: timedelta) -> datetime:
    return datetime.now(UTC) + ahead


async def test_a_layer_is_mounted_from_a_repository_that_has_it(registry: Registry, driver: Driver) -> None:
    here, there, elsewhere = map(registry.repository, ("here", "there", "elsewhere"))
    descriptor = await there.blobs.put(b"layer")
    for source in (here.name, elsewhere.name):
        with pytest.raises(BlobUnknown) as unknown:
            await here.blobs.mount(descriptor.digest, source)
        assert (unknown.value.digest, unknown.value.repository) == (descriptor.digest, source)
    assert not await here.blobs.exists(descriptor.digest)
    assert await here.blobs.mount(descriptor.digest, there.name) == descriptor
    assert await here.blobs.get(descriptor.digest) == b"layer"
    await driver.delete(registry.blobs.path(descriptor.digest))
    with pytest.raises(BlobUnknown):  # a link alone is nothing to mount, so the client sends it again
        await elsewhere.blobs.mount(descriptor.digest, there.name)


async def test_a_link_that_holds_something_else_is_not_mounted(registry: Registry, driver: Driver) -> None:
    there = registry.repository("there")
    digest = (await there.blobs.put(b"layer")).digest
    await driver.put(CURRENT.key(LayerLink(there.name, digest)), Digest.of(b"other").encode())
    with pytest.raises(LinkDamaged):
        await registry.repository("here").blobs.mount(digest, there.name)


async def test_the_first_candidate_that_links_a_layer_is_found(registry: Registry) -> None:
    names = [RepositoryName(f"candidate/{number}") for number in range(12)]
    digest = (await registry.repository(names[9]).blobs.put(b"layer")).digest
    await registry.repository(names[11]).blobs.put(b"layer")

    async def asked_for() -> AsyncIterator[RepositoryName]:
        for name in names:
            yield name

    assert await registry.find_layer(digest, names) == names[9]
    assert await registry.find_layer(digest, asked_for()) == names[9]
    assert await registry.find_layer(digest, asked_for(), limit=10) == names[9]
    assert await registry.find_layer(digest, asked_for(), limit=9) is None
    assert await registry.find_layer(digest, names, limit=9) is None
    assert await registry.find_layer(digest, []) is None
    assert await registry.find_layer(Digest.of(b"absent"), names) is None
    with pytest.raises(InvalidArgument):
        await registry.find_layer(digest, names, limit=0)


async def test_stored_content_is_linked_at_the_caller_s_decision(registry: Registry) -> None:
    descriptor = await registry.blobs.put(b"layer")
    here = registry.repository("here")
    assert await here.blobs.link(descriptor.digest) == descriptor
    assert await here.blobs.get(descriptor.digest) == b"layer"
    with pytest.raises(BlobUnknown):
        await here.blobs.link(Digest.of(b"absent"))
    assert not await here.blobs.exists(Digest.of(b"absent"))


async def test_a_deleted_layer_is_gone_from_this_repository_only(registry: Registry) -> None:
    here, elsewhere = registry.repository("here"), registry.repository("elsewhere")
    digest = (await here.blobs.put(b"layer")).digest
    await elsewhere.blobs.put(b"layer")
    await here.blobs.delete(digest)
    assert not await here.blobs.exists(digest)
    assert await elsewhere.blobs.get(digest) == b"layer"
    with pytest.raises(BlobUnknown) as unknown:
        await here.blobs.delete(digest)
    assert (unknown.value.digest, unknown.value.repository) == (digest, "here")


async def test_the_layers_of_a_repository_are_listed(
    registry: Registry, repository: Repository, driver: Driver
) -> None:
    assert [info async for info in repository.blobs.enumerate()] == []
    expected = {}
    for content in (b"one", b"two", b"three"):
        digest = (await repository.blobs.put(content)).digest
        expected[digest] = (await driver.stat(CURRENT.key(LayerLink(repository.name, digest)))).modified
    await registry.repository("elsewhere").blobs.put(b"four")
    listed = [info async for info in repository.blobs.enumerate()]
    assert {info.digest: info.linked for info in listed} == expected
    assert [info.digest for info in listed] == sorted(expected)


async def test_a_signed_url_is_given_to_a_caller_with_a_link(
    registry: Registry, repository: Repository, driver: Driver
) -> None:
    digest = (await repository.blobs.put(b"layer")).digest
    if not driver.capabilities.signed_urls:
        with pytest.raises(Unsupported):
            await repository.blobs.url_for(digest)
        return
    url = await repository.blobs.url_for(digest, expires=timedelta(minutes=1))

    def asked(headers: dict[str, str]) -> bytes:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            content: bytes = answer.read()
            return content

    assert await asyncio.to_thread(asked, {}) == b"layer"
    assert await asyncio.to_thread(asked, {"Range": "bytes=2-"}) == b"yer"
    assert await repository.blobs.url_for(digest, method="HEAD")
    with pytest.raises(InvalidArgument):
        await repository.blobs.url_for(digest, method="PUT")
    with pytest.raises(BlobUnknown):
        await registry.repository("elsewhere").blobs.url_for(digest)
    await driver.delete(registry.blobs.path(digest))
    with pytest.raises(LinkDangling):
        await repository.blobs.url_for(digest)
