"""Listings: the order of bytes, pages, and their beginnings."""

import pytest

from revstore_async.driver import LIST_LIMIT, Driver, FileInfo, Folder
from revstore_async.errors import InvalidArgument

from .base import Hooks, children, keys_of, need, position_of, positions_of, walk

# Around "/": "-" and "." come before it, digits and letters after, so a walk over folders by name goes wrong.
_KEYS = sorted(
    [
        "a-b/x",
        "a.b/y",
        "a.txt",
        "a/b-c",
        "a/b.d/z",
        "a/b/c/d/e",
        "a/b/c0",
        "a/b0",
        "a/c",
        "a0/z",
        "aB",
        "ab",
        "a_b",
        "A/x",
        "z/-",
        "z/.x",
        "z/0",
    ]
)

_TEXTS = [
    "",
    " ",
    "!",
    "A",
    "A/",
    "A/x",
    "a",
    "a-",
    "a-b",
    "a-b/",
    "a-b/zzz",
    "a/",
    "a/!",
    "a/b",
    "a/b-",
    "a/b.d/",
    "a/b/",
    "a/b/c",
    "a/b/c/",
    "a/b/c/d/e",
    "a/b/c/d/e/f",
    "a/b/c/d0",
    "a/b/zzz",
    "a/b0",
    "a/b0/x",
    "a/zzz",
    "a//",
    "a0",
    "a0/",
    "ab",
    "b",
    "z",
    "z/",
    "z/-",
    "zz",
    "~",
    "/",
    "\x00",
    "a\x00",
    "\t",
    "\u00e9",
    "a/\u00e9",
    "\U0010ffff",
    "a" * 2000,
]


def _children(prefix: str) -> list[str]:
    begin = prefix and prefix + "/"
    below = [key.removeprefix(begin) for key in _KEYS if key.startswith(begin)]
    return sorted({begin + "".join(rest.partition("/")[:2]) for rest in below})


class Listings(Hooks):
    """Tests of `list` and `list_all`."""

    async def test_an_empty_store(self, driver: Driver) -> None:
        """A prefix without keys below it gives an empty page."""
        for prefix in ("", "missing", "missing/folder"):
            assert await positions_of(driver, prefix) == []
            assert await keys_of(driver, prefix) == []

    async def test_the_children(self, driver: Driver) -> None:
        """`list` gives the objects directly below, and a folder for all the keys below each name."""
        await self.fill(driver, _KEYS)
        for prefix in ("", "a", "a/b", "a/b/c", "a-b", "A", "z"):
            found = await children(driver, prefix)
            assert sorted(map(position_of, found)) == _children(prefix)
            for entry in found:
                if isinstance(entry, FileInfo):
                    assert entry == await driver.stat(entry.key)

    async def test_all_below(self, driver: Driver) -> None:
        """`list_all` gives all the objects below, at any depth, with size, time and etag."""
        await self.fill(driver, _KEYS)
        for prefix in ("", "a", "a/b", "A", "z"):
            found = await walk(driver, prefix)
            begin = prefix and prefix + "/"
            assert sorted(info.key for info in found) == [key for key in _KEYS if key.startswith(begin)]
            for info in found:
                assert info == await driver.stat(info.key)

    async def test_the_order(self, driver: Driver) -> None:
        """Entries are in the byte order of their keys; a folder counts with a `/` at the end."""
        need(driver, "ordered_listing")
        await self.fill(driver, _KEYS)
        assert await keys_of(driver) == _KEYS
        assert await positions_of(driver) == _children("")
        assert await positions_of(driver, "a") == _children("a")

    async def test_a_prefix_is_a_folder(self, driver: Driver) -> None:
        """The object `ab` is not below the prefix `a`; nor is an object below itself."""
        await driver.put("ab", b"")
        await driver.put("object", b"")
        await driver.put("a-b/c", b"")
        for prefix in ("a", "object", "a-", "object/below"):
            assert await keys_of(driver, prefix) == []
            assert await positions_of(driver, prefix) == []
            assert await keys_of(driver, "a-b") == ["a-b/c"]

    @pytest.mark.parametrize("limit", [-1, 0, LIST_LIMIT + 1])
    async def test_a_limit_outside(self, driver: Driver, limit: int) -> None:
        """A limit outside 1 to 1,000 is `InvalidArgument`."""
        with pytest.raises(InvalidArgument):
            await driver.list("a", limit=limit)
        with pytest.raises(InvalidArgument):
            await driver.list_all(limit=limit)

    @pytest.mark.parametrize("limit", [1, 2, 5, LIST_LIMIT])
    async def test_pages(self, driver: Driver, limit: int) -> None:
        """Pages of any size give every entry once, in order; `next` leads to the page that follows."""
        need(driver, "ordered_listing")
        await self.fill(driver, _KEYS)
        for prefix in ("", "a", "a/b"):
            begin = prefix and prefix + "/"
            found = await walk(driver, prefix, limit=limit)
            assert [info.key for info in found] == [key for key in _KEYS if key.startswith(begin)]
            assert [*map(position_of, await children(driver, prefix, limit=limit))] == _children(prefix)

    @pytest.mark.parametrize("prefix", ["", "a", "a/b"])
    async def test_start_after(self, driver: Driver, prefix: str) -> None:
        """A listing gives only keys after `start_after`, and any text will do."""
        need(driver, "ordered_listing")
        await self.fill(driver, _KEYS)
        begin = prefix and prefix + "/"
        for text in [*_TEXTS, *_KEYS]:
            below = [key for key in _KEYS if key.startswith(begin) and key > text]
            after = [name for name in _children(prefix) if name > text]
            for limit in (1, LIST_LIMIT):
                assert [
                    info.key for info in await walk(driver, prefix, start_after=text, limit=limit)
                ] == below, repr(text)
                found = await children(driver, prefix, start_after=text, limit=limit)
                assert [*map(position_of, found)] == after, repr(text)

    async def test_ten_thousand_in_a_folder(self, driver: Driver) -> None:
        """Pages give a folder of 10,000 objects whole and in order, from any position on."""
        keys = [f"many/{number:05}" for number in range(10_000)]
        await self.fill(driver, ["many-more/x", *keys, "many0"])
        if not driver.capabilities.ordered_listing:
            assert sorted(await positions_of(driver, "many")) == keys
            return
        assert await positions_of(driver, "many") == keys
        assert await keys_of(driver, "many") == keys
        assert await positions_of(driver) == ["many-more/", "many/", "many0"]
        page = await driver.list("many", limit=LIST_LIMIT)
        assert len(page.entries) == LIST_LIMIT
        after: str | None = "many/05000"
        for number in range(5001, 5011):
            one = await driver.list("many", start_after=after, limit=1)
            assert [entry.key for entry in one.entries] == [f"many/{number:05}"]
            assert (await driver.list_all("many", start_after=after, limit=1)).entries == one.entries
            after = one.next
        for number in (0, 998, 999, 1000, 9998):
            one = await driver.list("many", start_after=f"many/{number:05}", limit=1)
            assert [entry.key for entry in one.entries] == [f"many/{number + 1:05}"]

    async def test_ten_thousand_in_folders(self, driver: Driver) -> None:
        """Pages give 10,000 objects in nested folders whole and in order."""
        keys = [f"{a:02}/{b}.d/{c}" for a in range(50) for b in range(20) for c in range(10)]
        await self.fill(driver, keys)
        assert sorted(await positions_of(driver)) == [f"{a:02}/" for a in range(50)]
        assert sorted(await positions_of(driver, "07")) == sorted(f"07/{b}.d/" for b in range(20))
        if driver.capabilities.ordered_listing:
            assert await keys_of(driver) == sorted(keys)
            assert [info.key for info in await walk(driver, "49", limit=7)] == sorted(keys[-200:])
        folders = await driver.list("", limit=30)
        assert all(isinstance(entry, Folder) for entry in folders.entries)

    async def test_listing_while_others_write(self, driver: Driver) -> None:
        """Pages give a key that stays once, though others are written and deleted between them."""
        need(driver, "ordered_listing")
        stay = [f"f{number // 5}/stay{number:02}" for number in range(0, 40, 2)]
        go = [f"f{number // 5}/go{number:02}" for number in range(1, 40, 2)]
        await self.fill(driver, [*stay, *go])
        found: list[str] = []
        after: str | None = None
        step = 0
        while True:
            page = await driver.list_all(start_after=after, limit=3)
            found += [info.key for info in page.entries]
            if page.next is None:
                break
            after = page.next
            await driver.delete(go[step % len(go)])
            await driver.put(f"f{step % 9}/new{step}", b"")
            step += 1
        assert [key for key in found if "stay" in key] == sorted(stay)
        assert found == sorted({*found})
