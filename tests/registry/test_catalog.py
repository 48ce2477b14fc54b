"""The repositories of a store: in the order of names, from any name on, at the cost of those alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revstore_async import CURRENT, Digest, Registry
from revstore_async.driver import Capabilities, FileInfo, Folder, Page
from revstore_async.errors import InvalidName
from revstore_async.formats.names import RepositoryName, Tag
from revstore_async.layout import LayerLink, TagCurrent
from revstore_async.testing import run_on_virtual_clock
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import TracingDriver

NAMES = [
    "b",
    "a",
    "a/b",
    "a/b/c",
    "a-b",
    "a-b/c",
    "a.b",
    "a1",
    "z/z/z/z",
    "library/hello",
    "library/hello-world",
]


async def keep(registry: Registry, names: list[str]) -> None:
    for name in names:
        place = LayerLink(RepositoryName(name), Digest.of(b"layer"))
        await registry.driver.put(CURRENT.key(place), place.digest.encode())


async def test_from_any_name_on(registry: Registry) -> None:
    await keep(registry, NAMES)
    for start in [*NAMES, "a-", "a/a", "a0", "library", "z", "0", "zz", "library/hello/more", "z/z"]:
        try:
            RepositoryName(start)
        except InvalidName:
            with pytest.raises(InvalidName):
                registry.repositories(start_after=start)
            continue
        found = [name async for name in registry.repositories(start_after=start)]
        assert found == sorted(name for name in NAMES if name > start)


async def test_a_repository_is_listed_for_a_tag_alone_and_not_for_an_upload(registry: Registry) -> None:
    folder = CURRENT.repository(RepositoryName("only/uploads"))
    await registry.driver.put(f"{folder}/_uploads/1/data", b"")
    link = CURRENT.key(TagCurrent(RepositoryName("only/tags"), Tag("latest")))
    await registry.driver.put(link, Digest.of(b"").encode())
    assert [name async for name in registry.repositories()] == ["only/tags"]


PARTS = st.from_regex(r"[a1](?:[.-]?[a1]){0,2}", fullmatch=True)
REPOSITORIES = st.lists(st.lists(PARTS, min_size=1, max_size=3).map("/".join), unique=True, max_size=25)


class Few(MemoryDriver):
    """Makes few requests at once, and lists few keys, in order or not."""

    def __init__(self, connections: int, *, ordered: bool) -> None:
        super().__init__()
        self.connections, self.ordered = connections, ordered

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(connections=self.connections, ordered_listing=self.ordered)

    async def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = 1000
    ) -> Page[FileInfo | Folder]:
        assert self.ordered or start_after is None
        page = await super().list(prefix, start_after=start_after, limit=2 if self.ordered else limit)
        return page if self.ordered else Page(page.entries[::-1], page.next)


@settings(max_examples=200, deadline=None)
@given(REPOSITORIES, st.integers(1, 5), st.booleans(), st.data())
def test_any_names_in_pages_of_any_size(
    names: list[str], connections: int, ordered: bool, data: st.DataObject
) -> None:
    start = data.draw(st.none() | st.sampled_from([*names, "a"]) | PARTS)
    limit = data.draw(st.integers(1, 6))

    async def main() -> None:
        async with Registry(Few(connections, ordered=ordered)) as registry:
            await keep(registry, names)
            found: list[str] = []
            last = start
            while True:
                page: list[str] = []
                async for name in registry.repositories(start_after=last):
                    page.append(name)
                    if len(page) == limit:
                        break
                found += page
                if len(page) < limit:
                    break
                last = page[-1]
            assert found == sorted(name for name in names if start is None or name > start)

    run_on_virtual_clock(main())


@pytest.mark.parametrize("ordered", [True, False])
def test_names_before_the_start_are_not_listed(ordered: bool) -> None:
    async def main() -> int:
        driver = TracingDriver(Few(4, ordered=ordered))
        async with Registry(driver) as registry:
            await keep(registry, [f"group{number}/of/hello" for number in range(100, 200)])
            driver.reset()
            found = [name async for name in registry.repositories(start_after="group197/of/hello")]
            assert found == ["group198/of/hello", "group199/of/hello"]
            return len(driver.requests)

    # the root, by pages of two where they are in order; group197 to group199, and the three levels of each
    assert run_on_virtual_clock(main()) <= 12
