"""Keys: which are refused, and that every legal one is held as it is."""

import string
from collections.abc import Awaitable, Callable

import pytest

from revstore_async.driver import KEY_LIMIT, PART_LIMIT, Driver, Source
from revstore_async.errors import InvalidKey

from .base import Hooks, content_of, keys_of, positions_of

_LEGAL = string.ascii_letters + string.digits + "._-"

_LONGEST = (("p" * PART_LIMIT + "/") * 4)[:KEY_LIMIT]

_REFUSED = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/../b",
    "a/./b",
    "../a",
    "a/..",
    "a b",
    "a\\b",
    "a:b",
    "a,b",
    "a%2fb",
    "a\x00b",
    "a\n",
    "\u0430",
    "\uff0f",
    "\ud800",
    "p" * (PART_LIMIT + 1),
    _LONGEST + "p",
]


async def _read(driver: Driver, key: str) -> None:
    async with driver.open_reader(key):
        pass


async def _write(driver: Driver, key: str) -> None:
    async with driver.open_writer(key) as writer:
        await writer.commit()


_WITH_A_KEY: dict[str, Callable[[Driver, str], Awaitable[object]]] = {
    "get": lambda driver, key: driver.get(key),
    "put": lambda driver, key: driver.put(key, b"refused"),
    "stat": lambda driver, key: driver.stat(key),
    "open_reader": _read,
    "open_writer": _write,
    "copy from": lambda driver, key: driver.compose([Source(key, 4)], "target"),
    "compose of": lambda driver, key: driver.compose([Source("kept", 4), Source(key, 4)], "target"),
    "compose to": lambda driver, key: driver.compose([Source("kept", 4)], key),
    "list": lambda driver, key: driver.list(key or "/"),
    "list_all": lambda driver, key: driver.list_all(key or "/"),
    "delete": lambda driver, key: driver.delete(key),
    "delete_many": lambda driver, key: driver.delete_many(["kept", key]),
    "delete_prefix": lambda driver, key: driver.delete_prefix(key),
}


class Keys(Hooks):
    """Tests of keys."""

    @pytest.mark.parametrize("method", _WITH_A_KEY)
    async def test_other_keys_are_refused(self, driver: Driver, method: str) -> None:
        """A key that doesn't fit `check_key` raises `InvalidKey`, and nothing is changed."""
        await driver.put("kept", b"kept")
        for key in _REFUSED:
            with pytest.raises(InvalidKey):
                await _WITH_A_KEY[method](driver, key)
        assert await keys_of(driver) == ["kept"]
        assert await content_of(driver, "kept") == b"kept"

    async def test_every_legal_character(self, driver: Driver) -> None:
        """Every legal character stands for itself, alone and inside of a part."""
        alone = [f"alone/{character}" for character in _LEGAL if character != "."]
        inside = [f"inside/x{character}y/z" for character in _LEGAL]
        dots = ["dots/...", "dots/.hidden", "dots/..x/y", "dots/x..", "dots/-", "dots/--x", "dots/_"]
        keys = [*alone, *inside, *dots]
        await self.fill(driver, keys)
        for key in keys:
            assert await content_of(driver, key) == key.encode()
        if driver.capabilities.ordered_listing:
            assert await keys_of(driver) == sorted(keys)
            assert await positions_of(driver, "inside") == sorted(
                f"inside/x{character}y/" for character in _LEGAL
            )

    async def test_case_matters(self, driver: Driver) -> None:
        """Keys that differ in case are different."""
        await driver.put("folder/Name", b"upper")
        await driver.put("folder/name", b"lower")
        assert await content_of(driver, "folder/Name") == b"upper"
        assert await content_of(driver, "folder/name") == b"lower"

    @pytest.mark.parametrize("key", ["p" * PART_LIMIT, _LONGEST], ids=["part", "key"])
    async def test_the_longest(self, driver: Driver, key: str) -> None:
        """The longest part and the longest key are stored by every way of writing, listed and deleted."""
        assert len(key) in {PART_LIMIT, KEY_LIMIT}
        await driver.put(key, b"put")
        await driver.compose([Source(key, 3)], key[:-1] + "c")
        async with driver.open_writer(key[:-1] + "w") as writer:
            await writer.write(b"written")
            await writer.commit()
        assert await keys_of(driver) == sorted([key, key[:-1] + "c", key[:-1] + "w"])
        await driver.delete_many(await keys_of(driver))
        assert await keys_of(driver) == []

    @pytest.mark.parametrize("ways", [("a", "a/b"), ("a/b", "a"), ("a/b/c/d", "a/b"), ("a/b", "a/b/c/d")])
    async def test_a_key_that_is_a_folder_of_another(self, driver: Driver, ways: tuple[str, str]) -> None:
        """A driver may refuse the later of `a` and `a/b` with `InvalidKey`; else it holds both."""
        earlier, later = ways
        await driver.put(earlier, b"earlier")
        for write in (driver.put(later, b"later"), driver.compose([Source(earlier, 7)], later)):
            try:
                await write
            except InvalidKey:
                assert await keys_of(driver) == [earlier]
                assert await content_of(driver, later) is None
            else:
                assert sorted(await keys_of(driver)) == sorted([earlier, later])
            assert await content_of(driver, earlier) == b"earlier"
        await driver.delete(earlier)
        await driver.put(later, b"later")
        assert await content_of(driver, later) == b"later"
