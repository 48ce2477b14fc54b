"""A listing of tags tells their digests where it knows them, for no request more, and never a wrong one."""

import random

import pytest

from revstore_async import CURRENT, Digest, Driver, Registry, Repository, RepositoryName, Tag
from revstore_async.driver import LIST_LIMIT
from revstore_async.layout import TagCurrent, TagIndex
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import TracingDriver
from tests.conftest import Tick
from tests.parts.documents import NAME, image

CONFIG = b"{}"
DOCUMENTS = [image(CONFIG, number=str(number)) for number in range(3)]


async def put(repository: Repository, number: int, *tags: str) -> Digest:
    await repository.blobs.put(CONFIG)
    return (await repository.manifests.put(DOCUMENTS[number], tags=tags)).digest


def knows_all(driver: Driver) -> bool:
    """Say whether the store's ETags are MD5s of contents: the tests' S3 servers are without KMS."""
    return driver.name == "s3"


async def test_a_tag_of_one_revision_has_its_digest(repository: Repository):
    digest = await put(repository, 0, "v1", "v1-rc", "v1.0")
    page = await repository.tags.list()
    assert [(info.tag, info.digest) for info in page.tags] == [
        (tag, digest) for tag in ("v1", "v1-rc", "v1.0")
    ]


async def test_a_tag_that_moved_has_its_digest_where_etags_tell_it(repository: Repository, driver: Driver):
    first, second = await put(repository, 0, "v1"), await put(repository, 1, "v1")
    for digest in (first, second, first):
        await repository.tags.set("v1", digest)
        (info,) = (await repository.tags.list()).tags
        assert info.digest == (digest if knows_all(driver) else None)


async def test_no_listing_tells_a_wrong_digest(repository: Repository, driver: Driver):
    digests = [await put(repository, number) for number in range(3)]
    names = ["a", "a-b", "a.b", "b"]
    chance = random.Random(1)
    for _ in range(40):
        tag = chance.choice(names)
        if chance.random() < 0.3 and await repository.tags.exists(tag):
            await repository.tags.delete(tag)
        else:
            await repository.tags.set(tag, chance.choice(digests))
        for limit in (1, 10):
            page = await repository.tags.list(limit=limit)
            for info in page.tags:
                assert info.digest in {None, await repository.tags.resolve(info.tag)}


async def test_digests_cost_no_request(repository: Repository, driver: Driver):
    await put(repository, 0, "v1", "v2")
    traced = TracingDriver(driver)
    page = await Registry(traced).repository(NAME).tags.list()
    assert all(info.digest for info in page.tags)
    assert traced.counts == {"list_all": 1}


async def test_a_tag_whose_writer_is_at_work_has_no_digest_of_that_writer(
    repository: Repository, driver: Driver, tick: Tick
):
    digest, coming = await put(repository, 0, "v1"), await put(repository, 1)
    name = RepositoryName(NAME)
    await driver.delete_prefix(
        CURRENT.index_of(name, Tag("v1"))
    )  # as a deletion at the same time may have left it
    await tick()
    await driver.put(CURRENT.key(TagIndex(name, Tag("v1"), coming)), coming.encode())
    (info,) = (await repository.tags.list()).tags
    assert info.digest in {None, digest}


@pytest.mark.parametrize("revisions", [LIST_LIMIT - 2, LIST_LIMIT - 1, LIST_LIMIT, LIST_LIMIT + 1])
async def test_a_tag_whose_index_is_cut_has_no_digest(revisions: int):
    name = RepositoryName(NAME)
    async with Registry(MemoryDriver()) as registry:
        for number in range(revisions):
            digest = Digest.of(str(number).encode())
            await registry.driver.put(CURRENT.key(TagIndex(name, Tag("v1"), digest)), digest.encode())
        for tag in ("v0", "v1", "v2"):
            place = TagIndex(name, Tag(tag), Digest.of(b"0"))
            await registry.driver.put(CURRENT.key(place), place.digest.encode())
            await registry.driver.put(CURRENT.key(TagCurrent(name, Tag(tag))), place.digest.encode())
        page = await registry.repository(NAME).tags.list()
    assert [info.digest for info in page.tags] == [Digest.of(b"0"), None, Digest.of(b"0")]
