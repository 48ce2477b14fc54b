"""Readers see no tag where a delete marker is, and writers replace the markers of deletions that died."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from revstore_async import ABSENT, CURRENT, Digest, Driver, Registry, Repository
from revstore_async.errors import TagChanged, TagUnknown, Unavailable
from revstore_async.formats.names import Tag
from revstore_async.layout import TagCurrent
from revstore_async.tags.current import MARKER_SIZE, is_delete_marker, new_delete_marker
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import FaultsDriver, When
from tests.parts.documents import schema1
from tests.parts.lacking import WithoutConditionalDelete

PAYLOADS = [schema1(Digest.of(b"layer"), number=number) for number in range(2)]
A, B = map(Digest.of, PAYLOADS)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def current_key(repository: Repository, tag: str = "latest") -> str:
    return CURRENT.key(TagCurrent(repository.name, Tag(tag)))


async def store_revisions(repository: Repository) -> None:
    for payload in PAYLOADS:
        await repository.revisions.put(payload)


def store_on_the_loops_clock() -> MemoryDriver:
    loop = asyncio.get_running_loop()
    return MemoryDriver(clock=lambda: EPOCH + timedelta(seconds=loop.time()))


async def die_after_marker(repository: Repository, driver: Driver) -> None:
    """Delete the tag up to its delete marker, and stop."""
    dying = FaultsDriver(driver, stop_at=5, when=When.BEFORE)
    with pytest.raises(Unavailable):
        await Registry(dying).repository(repository.name).tags.delete("latest")
    assert is_delete_marker((await driver.get(current_key(repository))).content.decode())


def test_markers_are_digests_that_differ() -> None:
    markers = {new_delete_marker() for _ in range(10)}
    assert len(markers) == 10
    assert all(is_delete_marker(marker) and len(marker) == MARKER_SIZE for marker in markers)
    assert not is_delete_marker("sha384:" + "ab" * 48)


async def test_readers_see_no_tag_where_a_marker_is(repository: Repository, driver: Driver) -> None:
    await store_revisions(repository)
    for digest in (A, B):
        await repository.tags.set("latest", digest)
    await repository.tags.set("other", A)
    await driver.put(current_key(repository), new_delete_marker().encode())
    assert not await repository.tags.exists("latest")
    for read in (repository.tags.resolve, repository.manifests.get, repository.manifests.stat):
        with pytest.raises(TagUnknown):
            await read("latest")
    assert [info.tag for info in (await repository.tags.list()).tags] == ["other"]
    assert (await repository.tags.history("latest"))[-1].digest is None


async def test_a_tag_at_a_digest_of_a_markers_size_is_listed(repository: Repository, driver: Driver) -> None:
    digest = Digest("sha384:" + "ab" * 48)
    assert len(digest) == MARKER_SIZE
    for tag in ("a", "a-1", "b"):
        await driver.put(current_key(repository, tag), digest.encode())
    assert await repository.tags.exists("a")
    assert [info.tag for info in (await repository.tags.list(limit=2)).tags] == ["a", "a-1"]


@pytest.mark.parametrize("waited", [0, 100], ids=["at once", "later"])
def test_a_tag_is_set_over_the_marker_of_a_deletion_that_died(waited: float) -> None:
    """A writer waits while that deletion may still go on, and not at all after."""

    async def main() -> float:
        driver = WithoutConditionalDelete(store_on_the_loops_clock())
        async with Registry(driver) as registry:
            repository = registry.repository("library/hello")
            await store_revisions(repository)
            await repository.tags.set("latest", A)
            await die_after_marker(repository, driver)
            await asyncio.sleep(waited)
            with pytest.raises(TagChanged):
                await repository.tags.set("latest", B, expected=A)
            began = asyncio.get_running_loop().time()
            await repository.tags.set("latest", B, expected=ABSENT)
            assert await repository.tags.resolve("latest") == B
            assert [event.digest for event in await repository.tags.history("latest")] == [A, None, B]
            return asyncio.get_running_loop().time() - began

    patience = MemoryDriver().capabilities.metadata_timeout.total_seconds()
    took = run_on_virtual_clock(main())
    assert took == 0 if waited else patience <= took <= patience + 1


def test_a_later_deletion_removes_the_marker_of_one_that_died() -> None:
    async def main() -> None:
        driver = WithoutConditionalDelete(store_on_the_loops_clock())
        async with Registry(driver) as registry:
            repository = registry.repository("library/hello")
            await store_revisions(repository)
            await repository.tags.set("latest", A)
            await die_after_marker(repository, driver)
            for left in (True, False):
                with pytest.raises(TagUnknown):
                    await repository.tags.delete("latest")
                keys = [
                    info.key for info in (await driver.list_all(CURRENT.tags_of(repository.name))).entries
                ]
                assert (current_key(repository) in keys) == left
                assert [event.digest for event in await repository.tags.history("latest")] == [A, None]
                await asyncio.sleep(100)

    run_on_virtual_clock(main())
