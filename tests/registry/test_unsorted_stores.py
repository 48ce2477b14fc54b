"""Tags on a store that lists in an order of its own."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from revstore_async import Digest, Policy, Registry, Repository
from revstore_async.driver import Capabilities, FileInfo, Page, entries
from revstore_async.formats.names import Tag
from revstore_async.layout import CURRENT, TagCreated, TagReplaced
from revstore_drivers.memory import MemoryDriver
from tests.parts.documents import image


class Unsorted(MemoryDriver):
    """Lists backwards, and goes on only from where a page of its own ended."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, ordered_listing=False)

    async def list_all(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = 1000
    ) -> Page[FileInfo]:
        everything = await super().list_all(prefix)
        assert everything.next is None
        found = everything.entries[::-1]
        keys = [info.key for info in found]
        begin = 0 if start_after is None else keys.index(start_after) + 1
        page = found[begin : begin + min(limit, 2)]  # small ones, so that there are several
        return Page(page, page[-1].key if begin + len(page) < len(found) else None)


@pytest.fixture
def driver() -> Unsorted:
    return Unsorted()


@pytest.fixture
async def hello(driver: Unsorted) -> AsyncIterator[Repository]:
    async with Registry(driver, policy=Policy(check_layers=False)) as registry:
        yield registry.repository("library/hello")


async def test_tags_come_by_pages_in_the_order_of_their_names(hello: Repository) -> None:
    names = sorted(["a", "a-b", "a.b", "ab", "b", "latest", "v1", "v1-rc", "v1.0", "v10"])
    for name in names:
        await hello.manifests.put(image(b"{}"), tag=name)
    for limit in (1, 2, 3, 9, 10, 11):
        last, found = None, []
        while True:
            page = await hello.tags.list(limit=limit, last=last)
            assert len(page.tags) <= limit
            found += [info.tag for info in page.tags]
            last = page.next
            if last is None:
                break
        assert found == names
    assert [info.tag for info in (await hello.tags.list(last="a.a")).tags] == names[2:]


async def test_a_tag_remembers_each_revision_that_it_had(hello: Repository, driver: Unsorted) -> None:
    documents = [image(b"{}", bytes([number % 3])) for number in range(7)]
    for document in documents:
        await hello.manifests.put(document, tag="latest")
    assert [event.digest for event in await hello.tags.history("latest")] == list(map(Digest.of, documents))
    folder = CURRENT.history_of(hello.name, Tag("latest"))
    records = [CURRENT.parse(info.key) async for info in entries(driver.list_all, folder)]
    numbers = sorted(each.sequence for each in records if isinstance(each, TagCreated | TagReplaced))
    assert numbers == list(range(len(documents)))
