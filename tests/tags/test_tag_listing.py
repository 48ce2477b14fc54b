"""Pages of tags in the order of names, at a cost that does not depend on how many there are."""

import random
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revstore_async import CURRENT, Digest, Registry, Repository
from revstore_async.driver import FileInfo, Page
from revstore_async.errors import InvalidArgument, InvalidTag
from revstore_async.formats.names import RepositoryName, Tag
from revstore_async.layout import TagCurrent, TagIndex
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import TracingDriver

NAME = RepositoryName("library/hello")
DIGEST = Digest.of(b"revision")


async def tagged(registry: Registry, tags: list[str], revisions: int = 1) -> Repository:
    for tag in tags:
        for number in range(revisions):
            place = TagIndex(NAME, Tag(tag), Digest.of(str(number).encode()))
            await registry.driver.put(CURRENT.key(place), place.digest.encode())
        await registry.driver.put(CURRENT.key(TagCurrent(NAME, Tag(tag))), DIGEST.encode())
    return registry.repository(NAME)


async def pages(repository: Repository, limit: int, last: str | None = None) -> list[list[str]]:
    found: list[list[str]] = []
    while True:
        page = await repository.tags.list(limit=limit, last=last)
        found.append([info.tag for info in page.tags])
        if page.next is None:
            return found
        assert page.tags[-1].tag == page.next
        last = page.next


async def test_names_come_in_their_own_order_not_in_that_of_keys(registry: Registry) -> None:
    tags = ["v1", "v1-rc", "v1.0", "v1.0-rc", "v10", "v1_0", "V1", "a", "1", "_", "v1-rc.1", "v1-"]
    repository = await tagged(registry, tags)
    for limit in range(1, len(tags) + 2):
        assert list(chain.from_iterable(await pages(repository, limit))) == sorted(tags)
    for last in [*tags, "0", "v", "v1-a", "zzz"]:
        assert list(chain.from_iterable(await pages(repository, 2, last))) == sorted(
            tag for tag in tags if tag > last
        )


async def test_bad_pages_are_refused(repository: Repository) -> None:
    with pytest.raises(InvalidArgument, match="limit"):
        await repository.tags.list(limit=-1)
    with pytest.raises(InvalidTag):
        await repository.tags.list(last="../..")
    assert (await repository.tags.list()).tags == ()


async def test_a_page_of_none_is_empty_and_the_last_one(registry: Registry) -> None:
    repository = await tagged(registry, ["a", "b"])
    for last in (None, "a"):
        page = await repository.tags.list(limit=0, last=last)
        assert (page.tags, page.next) == ((), None)
    with pytest.raises(InvalidTag):
        await repository.tags.list(limit=0, last="../..")


TAGS = st.lists(st.from_regex(r"[ab1][ab1.-]{0,4}", fullmatch=True), unique=True, max_size=40)


@settings(max_examples=150, deadline=None)
@given(TAGS, st.integers(1, 12), st.integers(1, 9), st.data())
def test_any_names_in_pages_of_any_size(
    tags: list[str], limit: int, scanned: int, data: st.DataObject
) -> None:
    """With listings of few keys, so that a scan stops at every place that there is."""

    class FewKeys(TracingDriver):
        async def list_all(
            self, prefix: str = "", *, start_after: str | None = None, limit: int = 1000
        ) -> Page[FileInfo]:
            return await super().list_all(prefix, start_after=start_after, limit=min(limit, scanned))

    async def main() -> None:
        async with Registry(FewKeys(MemoryDriver())) as registry:
            repository = await tagged(registry, tags, data.draw(st.integers(1, 4)))
            last = data.draw(st.none() | st.sampled_from([*tags, "a", "a.", "b-1"]))
            expected = sorted(tag for tag in tags if last is None or tag > last)
            assert list(chain.from_iterable(await pages(repository, limit, last))) == expected
            assert [info.tag async for info in repository.tags] == sorted(tags)

    run_on_virtual_clock(main())


@pytest.mark.parametrize("revisions", [1, 3])
def test_a_page_costs_the_same_among_few_tags_and_many(revisions: int) -> None:
    async def requests(count: int) -> list[int]:
        tags = [f"build-{number:06}" for number in range(count)]
        random.Random(0).shuffle(tags)
        driver = TracingDriver(MemoryDriver())
        async with Registry(driver) as registry:
            repository = await tagged(registry, tags, revisions)
            counted = []
            for last in (None, "build-000100", f"build-{count // 2:06}"):
                driver.reset()
                page = await repository.tags.list(limit=100, last=last)
                assert len(page.tags) == 100
                counted.append(len(driver.requests))
            return counted

    few, many = run_on_virtual_clock(requests(1_000)), run_on_virtual_clock(requests(10_000))
    assert few == many
    # The first page asks for `build` too: it would come before all the others, and lie behind them.
    assert few == [2, 1, 1]


def test_a_tag_with_a_long_index_is_listed_once_not_read_through() -> None:
    async def main() -> int:
        driver = TracingDriver(MemoryDriver())
        async with Registry(driver) as registry:
            repository = await tagged(registry, ["a", "nightly", "z"], 10_000)
            driver.reset()
            assert [info.tag for info in (await repository.tags.list()).tags] == ["a", "nightly", "z"]
            return len(driver.requests)

    assert run_on_virtual_clock(main()) <= 4
