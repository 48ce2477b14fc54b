"""Many at once: no reader sees a half-written object, and no acknowledged write is lost."""

import asyncio

from revstore_async.driver import Driver
from revstore_async.errors import KeyNotFound

from .base import Hooks, content_of, keys_of, walk, write_all


def _version(number: int) -> bytes:
    return bytes([number]) * (70_000 + number * 1009)


def _is_whole(content: bytes) -> bool:
    """Whether content is one version. It is a bool, since printing the difference of two versions takes hours."""
    return content == _version(content[0])


class Concurrency(Hooks):
    """Tests of many tasks on one store."""

    async def test_reading_while_writing(self, driver: Driver) -> None:
        """A reader sees one whole version of an object, never a part of it and never a mixture of two."""
        await driver.put("key", _version(0))
        writing = True

        async def write(begin: int) -> None:
            nonlocal writing
            for number in range(begin, 40, 2):
                if number % 4 < 2:
                    await driver.put("key", _version(number))
                else:
                    await write_all(driver, "key", _version(number)[:50_000], _version(number)[50_000:])
            writing = False

        async def get() -> None:
            while writing:
                file = await driver.get("key")
                assert _is_whole(file.content), (len(file.content), file.info, set(file.content))
                assert file.info.size == len(file.content)

        async def stream() -> None:
            while writing:
                async with driver.open_reader("key") as reader:
                    content = b"".join([piece async for piece in reader])
                assert _is_whole(content), (len(content), reader.info, set(content))
                assert reader.info.size == len(content)

        async with asyncio.TaskGroup() as tasks:
            for task in (write(0), write(1), get(), get(), stream(), stream()):
                tasks.create_task(task)

    async def test_writing_while_deleting(self, driver: Driver) -> None:
        """Written objects stay, though neighbours and the last one of a folder are deleted meanwhile."""
        rounds = 25

        async def write(number: int) -> None:
            for turn in range(rounds):
                key = f"shared/{turn % 3}/kept{number}.{turn}"
                await driver.put(key, key.encode())
                assert await content_of(driver, key) == key.encode()
                await driver.delete(key)
            await driver.put(f"shared/last/{number}", b"last")

        async def write_and_delete(number: int) -> None:
            for turn in range(rounds):
                key = f"shared/{turn % 3}/sub/{number}"
                await write_all(driver, key, b"content")
                await driver.delete_many([key])

        async def delete_below() -> None:
            for turn in range(rounds):
                await driver.delete_prefix(f"shared/{turn % 3}/sub")

        async with asyncio.TaskGroup() as tasks:
            for number in range(4):
                tasks.create_task(write(number))
                tasks.create_task(write_and_delete(number))
            tasks.create_task(delete_below())
        assert await keys_of(driver) == [f"shared/last/{number}" for number in range(4)]

    async def test_reading_while_deleting(self, driver: Driver) -> None:
        """A read finds a whole object or `KeyNotFound`; a listing shows only keys that can be there."""
        keys = [f"f{number % 3}/{number}" for number in range(9)]

        async def toggle(key: str) -> None:
            for _ in range(10):
                await driver.put(key, key.encode())
                await driver.delete(key)

        async def read(key: str) -> None:
            for _ in range(10):
                assert await content_of(driver, key) in {None, key.encode()}
                try:
                    assert (await driver.stat(key)).size == len(key)
                except KeyNotFound:
                    continue

        async def list_them() -> None:
            for _ in range(10):
                for info in await walk(driver):
                    assert info.key in keys
                    assert info.size == len(info.key)

        async with asyncio.TaskGroup() as tasks:
            for key in keys:
                tasks.create_task(toggle(key))
                tasks.create_task(read(key))
            tasks.create_task(list_them())
        assert await keys_of(driver) == []

    async def test_more_at_once_than_connections(self, driver: Driver) -> None:
        """More requests at once than `connections` wait for each other."""
        many = driver.capabilities.connections * 2 + 10
        await self.fill(driver, [f"many/{number}" for number in range(many)])
        files = await asyncio.gather(*(driver.get(f"many/{number}") for number in range(many)))
        assert [file.content for file in files] == [b"many/%d" % number for number in range(many)]
