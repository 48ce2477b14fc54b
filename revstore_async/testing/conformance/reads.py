"""Reading: `get`, `stat`, `open_reader`, `url_for`."""

from datetime import UTC, datetime, timedelta

import pytest

from revstore_async.driver import Driver, FileInfo
from revstore_async.errors import (
    InvalidArgument,
    InvalidOffset,
    KeyNotFound,
    ObjectTooLarge,
    Unsupported,
)

from .base import Hooks, agree, children, pattern, read_all, walk, write_all

CONTENT = b"0123456789"


class Reads(Hooks):
    """Tests of reading."""

    async def test_what_is_known_of_an_object(self, driver: Driver) -> None:
        """Every way to ask for an object gives the same key, size, time and etag."""
        begun = datetime.now(UTC) - timedelta(minutes=10)
        info = await driver.put("folder/key", CONTENT)
        assert (info.key, info.size) == ("folder/key", len(CONTENT))
        assert info.etag
        assert info.modified.utcoffset() == timedelta(0)
        assert begun < info.modified < datetime.now(UTC) + timedelta(minutes=10)
        found = await driver.stat("folder/key")
        assert agree(driver, info, found)
        assert (await driver.get("folder/key")).info == found
        async with driver.open_reader("folder/key", offset=3, length=2) as reader:
            assert reader.info == found
        assert await children(driver, "folder") == [found]
        assert await walk(driver) == [found]

    async def test_the_time_of_an_answer(self, driver: Driver) -> None:
        """The time of an answer is by the clock of `FileInfo.modified`: between the writes before and after it."""
        first = await driver.put("key", CONTENT)
        told = (await driver.get("key")).date
        with pytest.raises(KeyNotFound) as caught:
            await driver.get("missing")
        second = await driver.put("other", CONTENT)
        if told is None:  # a driver that can't tell it
            assert caught.value.date is None
            return
        assert caught.value.date is not None
        step = driver.capabilities.time_resolution
        for date in (told, caught.value.date):
            assert date.utcoffset() == timedelta(0)
            assert first.modified - step <= date <= second.modified + step

    @pytest.mark.parametrize("key", ["missing", "folder", "folder/missing", "folder/key/below"])
    async def test_nothing_is_stored(self, driver: Driver, key: str) -> None:
        """A missing key is `KeyNotFound`, and so is a folder of other keys."""
        await driver.put("folder/key", CONTENT)
        with pytest.raises(KeyNotFound) as caught:
            await driver.get(key)
        assert caught.value.key == key
        with pytest.raises(KeyNotFound):
            await driver.stat(key)
        with pytest.raises(KeyNotFound):
            async with driver.open_reader(key):
                pytest.fail("the block was entered")

    async def test_get_within_a_limit(self, driver: Driver) -> None:
        """An object of more than `limit` bytes is `ObjectTooLarge`; an object of `limit` bytes is not."""
        await driver.put("key", CONTENT)
        await driver.put("empty", b"")
        assert (await driver.get("key", limit=len(CONTENT))).content == CONTENT
        assert (await driver.get("empty", limit=0)).content == b""
        for limit in (len(CONTENT) - 1, 1, 0):
            with pytest.raises(ObjectTooLarge) as caught:
                await driver.get("key", limit=limit)
            assert (caught.value.size, caught.value.limit) == (len(CONTENT), limit)

    @pytest.mark.parametrize("length", [None, 0, 1, 4, 10, 11, 1 << 40])
    @pytest.mark.parametrize("offset", [0, 1, 9, 10])
    async def test_a_range(self, driver: Driver, offset: int, length: int | None) -> None:
        """A reader gives the bytes from `offset` on, at most `length`, which may reach past the end."""
        await driver.put("key", CONTENT)
        end = None if length is None else offset + length
        assert await read_all(driver, "key", offset=offset, length=length) == CONTENT[offset:end]

    @pytest.mark.parametrize("offset", [-1, 11, 1 << 40])
    async def test_an_offset_outside(self, driver: Driver, offset: int) -> None:
        """An offset below 0 or beyond the size is `InvalidOffset`, on entering the block."""
        await driver.put("key", CONTENT)
        with pytest.raises(InvalidOffset) as caught:
            async with driver.open_reader("key", offset=offset):
                pytest.fail("the block was entered")
        assert caught.value.offset == offset

    async def test_a_length_below_zero(self, driver: Driver) -> None:
        """A length below 0 is `InvalidArgument`, on entering the block."""
        await driver.put("key", CONTENT)
        with pytest.raises(InvalidArgument):
            async with driver.open_reader("key", length=-1):
                pytest.fail("the block was entered")

    async def test_reading_an_empty_object(self, driver: Driver) -> None:
        """An empty object is an object: its size is a good offset, with no bytes after it."""
        info = await driver.put("empty", b"")
        assert info.size == 0
        assert (await driver.get("empty")).content == b""
        assert await read_all(driver, "empty", offset=0) == b""
        with pytest.raises(InvalidOffset):
            await read_all(driver, "empty", offset=1)

    @pytest.mark.parametrize("size", [1, 7, 1 << 16, 1 << 30])
    async def test_pieces(self, driver: Driver, size: int) -> None:
        """`read` gives at least one byte and at most `size`. From the end on it gives an empty result."""
        content = pattern(100_000 if size > 7 else 50)
        await driver.put("key", content)
        pieces = []
        async with driver.open_reader("key") as reader:
            while piece := await reader.read(size):
                assert 1 <= len(piece) <= size
                pieces.append(piece)
            assert await reader.read(size) == b""
            assert await reader.read() == b""
        assert b"".join(pieces) == content

    async def test_a_read_of_nothing(self, driver: Driver) -> None:
        """A read of less than one byte is `InvalidArgument`, and the reader goes on."""
        await driver.put("key", CONTENT)
        async with driver.open_reader("key") as reader:
            for size in (0, -1):
                with pytest.raises(InvalidArgument):
                    await reader.read(size)
            assert await reader.read(4) == CONTENT[:4]

    async def test_iterating(self, driver: Driver) -> None:
        """Iterating over a reader gives the remaining bytes, in pieces that are never empty."""
        content = pattern(driver.capabilities.part_size * 2 + 3)
        await write_all(driver, "key", content)
        async with driver.open_reader("key", offset=5, length=len(content) - 10) as reader:
            begin = await reader.read(4)
            pieces = [piece async for piece in reader]
            assert isinstance(reader.info, FileInfo)
            assert reader.info.size == len(content)
        assert all(pieces)
        assert begin + b"".join(pieces) == content[5:-5]

    async def test_a_reader_left_half_way(self, driver: Driver) -> None:
        """The end of its block closes a reader, however much was read, after an error too."""
        content = pattern(driver.capabilities.part_size * 2)
        await write_all(driver, "key", content)
        for size in (0, 1, 100_000):
            with pytest.raises(ZeroDivisionError):
                async with driver.open_reader("key") as reader:
                    if size:
                        await reader.read(size)
                    raise ZeroDivisionError
        for _ in range(driver.capabilities.connections + 1):
            async with driver.open_reader("key"):
                pass
        assert await read_all(driver, "key") == content

    async def test_signed_urls(self, driver: Driver) -> None:
        """A driver with `signed_urls` signs a URL of any key, also of a missing one; other drivers refuse."""
        if not driver.capabilities.signed_urls:
            with pytest.raises(Unsupported):
                await driver.url_for("key")
            return
        assert "://" in await driver.url_for("missing")
        assert "://" in await driver.url_for("missing", method="HEAD", expires=timedelta(seconds=5))
        with pytest.raises(InvalidArgument):
            await driver.url_for("key", method="PUT")
        with pytest.raises(InvalidArgument):
            await driver.url_for("key", expires=timedelta(0))
