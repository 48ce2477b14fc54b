"""Writers: content becomes visible at once, or nothing of it stays."""

import asyncio
from datetime import timedelta

import pytest

from revstore_async.driver import Driver, Writer
from revstore_async.errors import WriterNotFound

from .base import Hooks, agree, content_of, keys_of, pattern, positions_of, read_all, write_all


async def _is_done(writer: Writer) -> None:
    with pytest.raises(WriterNotFound):
        await writer.write(b"more")
    with pytest.raises(WriterNotFound):
        await writer.commit()
    await writer.cancel()
    await writer.cancel()


class Writers(Hooks):
    """Tests of writers from open to commit or cancel."""

    async def test_nothing_is_visible_before_commit(self, driver: Driver) -> None:
        """Nothing is visible under the key before `commit`, in no read and no listing; then all of it is."""
        content = pattern(driver.capabilities.part_size * 2 + 5)
        async with driver.open_writer("folder/sub/key") as writer:
            for begin in range(0, len(content), 1 << 18):
                await writer.write(content[begin : begin + (1 << 18)])
                assert await content_of(driver, "folder/sub/key") is None
                assert await keys_of(driver) == []
                assert await positions_of(driver) == []
                assert await positions_of(driver, "folder/sub") == []
            info = await writer.commit()
            assert (info.key, info.size) == ("folder/sub/key", len(content))
            assert agree(driver, info, await driver.stat("folder/sub/key"))
            assert await read_all(driver, "folder/sub/key") == content
        assert await read_all(driver, "folder/sub/key") == content
        assert await keys_of(driver) == ["folder/sub/key"]

    async def test_in_place_of_another(self, driver: Driver) -> None:
        """The former object stays until `commit` replaces it."""
        before = await driver.put("key", b"before, and longer than what follows")
        async with driver.open_writer("key") as writer:
            await writer.write(b"after")
            assert agree(driver, before, (await driver.get("key")).info)
            after = await writer.commit()
        assert after.etag != before.etag
        assert await content_of(driver, "key") == b"after"

    async def test_an_empty_content(self, driver: Driver) -> None:
        """An empty content is content, whether nothing was written or only empty bytes."""
        assert (await write_all(driver, "nothing")).size == 0
        assert (await write_all(driver, "empty", b"", b"")).size == 0
        assert await content_of(driver, "nothing") == b""
        assert await content_of(driver, "empty") == b""

    async def test_sizes_around_a_part(self, driver: Driver) -> None:
        """Content of any size is stored whole, given in pieces of any size."""
        part = driver.capabilities.part_size
        for size in (1, part - 1, part, part + 1, 2 * part, 3 * part + 17):
            content = pattern(size, seed=size)
            for step in (part + 1, size, size // 3 + 1):
                pieces = [content[begin : begin + step] for begin in range(0, size, step)]
                assert (await write_all(driver, "key", *pieces)).size == size
                assert await read_all(driver, "key") == content

    async def test_many_small_pieces(self, driver: Driver) -> None:
        """`offset` is the number of bytes accepted so far."""
        async with driver.open_writer("key") as writer:
            assert writer.offset == 0
            for number in range(200):
                await writer.write(bytes([number]) * 3)
                assert writer.offset == (number + 1) * 3
            await writer.commit()
        assert await content_of(driver, "key") == b"".join(bytes([number]) * 3 for number in range(200))

    async def test_memory_may_be_used_again(self, driver: Driver) -> None:
        """The caller may use the memory of the bytes again after `write` returned."""
        memory = bytearray(b"first ")
        async with driver.open_writer("key") as writer:
            await writer.write(memoryview(memory))
            memory[:] = b"second"
            await writer.write(memoryview(memory)[:3])
            memory[:] = b"wrong!"
            await writer.commit()
        assert await content_of(driver, "key") == b"first sec"

    @pytest.mark.parametrize("parts", [0, 1, 2])
    async def test_leaving_the_block_is_a_cancel(self, driver: Driver, parts: int) -> None:
        """The end of the block without `commit`, by an error or not, leaves nothing."""
        content = pattern(driver.capabilities.part_size * parts + 10)
        async with driver.open_writer("folder/key") as left:
            await left.write(content)
        with pytest.raises(ZeroDivisionError):
            async with driver.open_writer("folder/key") as failed:
                await failed.write(content)
                raise ZeroDivisionError
        assert not [*await self.leftovers(driver)]
        assert await keys_of(driver) == []
        await _is_done(left)
        await _is_done(failed)

    async def test_cancel(self, driver: Driver) -> None:
        """`cancel` leaves nothing and is idempotent; then the writer is done."""
        before = await driver.put("key", b"before")
        async with driver.open_writer("key") as writer:
            await writer.write(pattern(driver.capabilities.part_size + 10))
            await writer.cancel()
            assert not [*await self.leftovers(driver)]
            await _is_done(writer)
        assert agree(driver, before, await driver.stat("key"))

    async def test_a_committed_writer_is_done(self, driver: Driver) -> None:
        """After `commit` the writer is done; `cancel` does nothing."""
        async with driver.open_writer("key") as writer:
            await writer.write(b"content")
            info = await writer.commit()
            await _is_done(writer)
        assert agree(driver, info, await driver.stat("key"))
        assert await content_of(driver, "key") == b"content"

    async def test_a_purge_leaves_writers_at_work(self, driver: Driver) -> None:
        """`purge_writers` leaves writers at work alone, however short the time."""
        content = pattern(driver.capabilities.part_size * 2 + 10)
        async with driver.open_writer("folder/key") as writer:
            await writer.write(content)
            assert await driver.purge_writers(timedelta(0)) == 0
            await writer.commit()
        assert await driver.purge_writers(timedelta(0)) == 0
        assert await read_all(driver, "folder/key") == content

    async def test_two_writers_of_one_key(self, driver: Driver) -> None:
        """Several writers of one key do not mix: each commit makes its own whole content visible."""
        async with driver.open_writer("key") as one, driver.open_writer("key") as two:
            for _ in range(3):
                await one.write(b"one")
                await two.write(b"second")
            await two.commit()
            assert await content_of(driver, "key") == b"second" * 3
            await one.commit()
        assert await content_of(driver, "key") == b"one" * 3

    async def test_many_writers_at_once(self, driver: Driver) -> None:
        """Many writers at once in one folder each store their own content."""

        async def one(number: int) -> None:
            pieces = [pattern(50_000, seed=number), b"x" * number]
            await write_all(driver, f"many/{number}", *pieces)

        async with asyncio.TaskGroup() as tasks:
            for number in range(40):
                tasks.create_task(one(number))
        for number in range(40):
            assert await content_of(driver, f"many/{number}") == pattern(50_000, seed=number) + b"x" * number
