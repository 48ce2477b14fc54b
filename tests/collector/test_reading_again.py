"""The requests of a plan: listings, and manifests that no plan read before."""

import zlib
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from revstore_async import CURRENT, Digest, Driver, Registry, Repository
from revstore_async.collector import filling, packs, survey
from revstore_async.collector.sparing import Sparing
from revstore_async.collector.survey import Survey
from revstore_async.concurrency import gather
from revstore_async.driver import Condition, FileInfo
from revstore_async.driver.wrapper import DriverWrapper
from revstore_async.errors import AccessDenied, ForeignKey, Unavailable
from revstore_async.formats.names import RepositoryName, Tag
from revstore_async.layout import BlobData, ReferencePack, TagCurrent, TagIndex
from revstore_async.tags.current import md5_of_link
from revstore_drivers.memory import MemoryDriver, MemoryStore
from revstore_drivers.wrappers import FaultsDriver, TracingDriver
from tests.parts.documents import image

Reads = dict[str, int]
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def traced(driver: Driver) -> TracingDriver:
    return TracingDriver(driver)


@pytest.fixture
def registry(traced: TracingDriver) -> Registry:
    return Registry(traced)


def document(number: int) -> bytes:
    return image(b"{}", f"layer {number}".encode())


async def push(repository: Repository, *numbers: int) -> None:
    for number in numbers:
        for content in (b"{}", f"layer {number}".encode()):
            await repository.blobs.put(content)
        await repository.manifests.put(document(number), tags=[f"v{number}"])


async def read(registry: Registry) -> Reads:
    """Make a plan, and count the manifests and the links that it read."""
    driver = registry.driver
    assert isinstance(driver, TracingDriver)
    driver.reset()
    (await registry.collector.plan(offline=True)).close()
    folders = Counter(request.key.split("/")[3] for request in driver.requests if request.method == "get")
    return {"manifests": folders["blobs"], "tags": folders["repositories"]}


async def told_by_listing(driver: Driver) -> bool:
    """Return whether the store's ETag is the MD5 of an object's content."""
    return len((await driver.put("docker/registry/revstore/gc/clock", b"")).etag) == 32


async def stored_packs(driver: Driver) -> list[str]:
    return [info.key for info in (await driver.list_all(CURRENT.packs)).entries]


async def test_a_plan_reads_new_manifests_and_new_links_only(
    registry: Registry, repository: Repository, driver: Driver
) -> None:
    md5 = await told_by_listing(driver)
    await push(repository, 1, 2, 3, 4)
    assert await read(registry) == {"manifests": 4, "tags": 0 if md5 else 4}
    assert await read(registry) == {"manifests": 0, "tags": 0}
    await push(repository, 5, 6, 7)
    await repository.tags.set("v1", Digest.of(document(2)))
    assert await read(registry) == {"manifests": 3, "tags": 0 if md5 else 4}
    assert await read(registry) == {"manifests": 0, "tags": 0}


async def test_a_plan_of_packs_is_the_plan_of_a_first_reading(
    registry: Registry, repository: Repository, driver: Driver
) -> None:
    await push(repository, 1, 2, 3)
    await read(registry)
    await repository.tags.set("v1", Digest.of(document(3)))
    await repository.manifests.delete(Digest.of(document(2)))
    plan = await registry.collector.plan(offline=True)
    found = [going.key for going in plan.going()], list(plan.staying())
    plan.close()
    await driver.delete_prefix(CURRENT.packs)
    plan = await registry.collector.plan(offline=True)
    assert found == ([going.key for going in plan.going()], list(plan.staying()))
    plan.close()


@pytest.mark.parametrize(
    "damaged",
    [b"", b"rotten", zlib.compress(b"rotten\n"), zlib.compress(b'["sha256:0", 3, [7], null]\n')],
    ids=["empty", "rotten", "no JSON", "no references"],
)
@pytest.mark.parametrize("is_named_by_its_bytes", [False, True])
async def test_a_damaged_pack_does_not_count_and_is_written_again(
    registry: Registry, repository: Repository, driver: Driver, damaged: bytes, *, is_named_by_its_bytes: bool
) -> None:
    await push(repository, 1, 2)
    await read(registry)
    (pack,) = await stored_packs(driver)
    if is_named_by_its_bytes:
        await driver.delete(pack)
        pack = CURRENT.key(ReferencePack(packs.READER, Digest.of(damaged)))
    await driver.put(pack, damaged)
    assert (await read(registry))["manifests"] == 2
    assert await read(registry) == {"manifests": 0, "tags": 0}
    assert len(await stored_packs(driver)) == 1


async def test_a_pack_does_not_stand_for_content_that_is_gone(
    registry: Registry, repository: Repository, driver: Driver
) -> None:
    await push(repository, 1, 2)
    await read(registry)
    await driver.delete(CURRENT.key(BlobData(Digest.of(document(1)))))
    plan = await registry.collector.plan(offline=True)
    assert plan.unreadable == {repository.name: Digest.of(document(1))}
    plan.close()


async def test_another_reader_reads_anew(
    registry: Registry, repository: Repository, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await push(repository, 1, 2)
    await read(registry)
    monkeypatch.setattr(packs, "READER", packs.READER + 1)
    assert (await read(registry))["manifests"] == 2
    (pack,) = await stored_packs(driver)
    assert f"/{packs.READER}/" in pack
    monkeypatch.undo()
    assert (await read(registry))["manifests"] == 2
    assert pack in await stored_packs(driver)  # an older reader leaves it alone


async def test_small_packs_are_merged(registry: Registry, repository: Repository, driver: Driver) -> None:
    for number in range(20):
        await push(repository, number)
        assert (await read(registry))["manifests"] == 1
    assert len(await stored_packs(driver)) <= 5


async def test_packs_of_deleted_manifests_go(
    registry: Registry, repository: Repository, driver: Driver
) -> None:
    await push(repository, *range(8))
    await read(registry)
    before = await stored_packs(driver)
    for number in range(8):
        if number != 5:
            await repository.manifests.delete(Digest.of(document(number)))
    plan = await registry.collector.plan(offline=True)
    await registry.collector.apply(plan)
    plan.close()
    await read(registry)
    after = await stored_packs(driver)
    assert len(after) == 1
    assert after != before
    assert await read(registry) == {"manifests": 0, "tags": 0}


async def test_two_plans_at_once_do_not_disturb_each_other(
    registry: Registry, repository: Repository
) -> None:
    await push(repository, 1, 2, 3)
    for plan in await gather(*[registry.collector.plan(offline=True) for _ in range(2)]):
        assert plan.numbers.keys == 0
        plan.close()
    assert await read(registry) == {"manifests": 0, "tags": 0}


class _Refusing(DriverWrapper):
    """A store on which the collector may write nothing."""

    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        if "/gc/" in key:
            raise AccessDenied(key, "it may not write")
        return await self.inner.put(key, content, condition=condition)

    async def delete_many(self, keys: Any, **more: Any) -> None:
        raise AccessDenied(next(iter(keys)), "it may not delete")


async def test_a_store_that_takes_no_packs_costs_more(driver: Driver) -> None:
    registry = Registry(TracingDriver(_Refusing(driver)))
    await push(registry.repository("library/hello"), 1, 2)
    for _ in range(2):
        assert (await read(registry))["manifests"] == 2
    assert await stored_packs(driver) == []


async def test_a_killed_run_reads_few_manifests_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "_ROWS", 4)
    monkeypatch.setattr(filling, "PACKED_EVERY", -1)
    store = MemoryStore()
    async with Registry(MemoryDriver(store)) as registry:
        await push(registry.repository("library/hello"), *range(20))
    async with Registry(FaultsDriver(MemoryDriver(store), stop_at=40)) as registry:
        with pytest.raises(Unavailable):
            await registry.collector.plan(offline=True)
    async with Registry(TracingDriver(MemoryDriver(store))) as registry:
        assert 0 < (await read(registry))["manifests"] <= 20 - 8


async def test_all_keys_of_the_engine_are_explained(
    registry: Registry, repository: Repository, driver: Driver
) -> None:
    await push(repository, 1)
    upload = await repository.uploads.start()
    await repository.uploads.append(upload.id, b"a piece")
    for key in ("probe", "gc/clock", "gc/state", "gc/runs/a/lists/00.keys", f"gc/runs/a/rescued/{'0' * 64}"):
        await driver.put(f"{CURRENT.own}/{key}", b"")
    (await registry.collector.plan(offline=True)).close()
    await driver.put(f"{CURRENT.own}/notes", b"")
    with pytest.raises(ForeignKey, match="revstore/notes"):
        await registry.collector.plan(offline=True)


def test_a_tag_that_a_writer_rescued_is_read_although_the_listing_told_its_revision() -> None:
    """The listing may be older than the rescue."""
    name, tag, digest = RepositoryName("library/hello"), Tag("v1"), Digest.of(b"a manifest")
    current = FileInfo(CURRENT.key(TagCurrent(name, tag)), len(digest), EPOCH, md5_of_link(digest))
    index = FileInfo(CURRENT.key(TagIndex(name, tag, digest)), len(digest), EPOCH, md5_of_link(digest))
    with Survey([CURRENT]) as listed:
        listed.add([current, index])
        listed.listed()
        listed.find_digests_of_tags()
        assert list(listed.unread_tags()) == []
        (row,) = listed.db.execute("SELECT rowid FROM object WHERE key = ?", (current.key,)).fetchone()
        Sparing(listed).keep([row], "a writer rescued it")
        listed.find_digests_of_tags()
        assert [each.key for page in listed.unread_tags() for each in page] == [current.key]
