"""Conditions of `put` and `commit`: one step with the write, one winner."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from revstore_async.driver import Condition, Driver, FileInfo, IfAbsent, IfMatch
from revstore_async.errors import ConditionFailed, Unsupported, WriterNotFound

from .base import Hooks, agree, content_of, keys_of, need

_WRITERS = 50

Write = Callable[[Driver, str, bytes, Condition], Awaitable[FileInfo]]


async def _put(driver: Driver, key: str, content: bytes, condition: Condition) -> FileInfo:
    return await driver.put(key, content, condition=condition)


async def _commit(driver: Driver, key: str, content: bytes, condition: Condition) -> FileInfo:
    async with driver.open_writer(key) as writer:
        await writer.write(content)
        return await writer.commit(condition=condition)


by_each_way: pytest.MarkDecorator = pytest.mark.parametrize("write", [_put, _commit], ids=["put", "commit"])


def _need(driver: Driver, write: Write) -> None:
    need(driver, "conditional_put" if write is _put else "conditional_commit")


class Conditions(Hooks):
    """Tests of conditions."""

    @by_each_way
    async def test_if_absent(self, driver: Driver, write: Write) -> None:
        """`IfAbsent` writes only where nothing is stored, and otherwise changes nothing."""
        _need(driver, write)
        info = await write(driver, "folder/key", b"first", IfAbsent())
        assert agree(driver, info, await driver.stat("folder/key"))
        with pytest.raises(ConditionFailed) as caught:
            await write(driver, "folder/key", b"second", IfAbsent())
        assert caught.value.key == "folder/key"
        assert agree(driver, info, (await driver.get("folder/key")).info)
        await driver.delete("folder/key")
        await write(driver, "folder/key", b"third", IfAbsent())
        assert await content_of(driver, "folder/key") == b"third"

    @by_each_way
    async def test_if_match(self, driver: Driver, write: Write) -> None:
        """`IfMatch` replaces only the version that has the etag, and otherwise changes nothing."""
        _need(driver, write)
        old = await driver.put("key", b"first")
        new = await write(driver, "key", b"other", IfMatch(old.etag))
        assert new.etag != old.etag
        with pytest.raises(ConditionFailed):
            await write(driver, "key", b"third", IfMatch(old.etag))
        assert agree(driver, new, await driver.stat("key"))
        assert await content_of(driver, "key") == b"other"

    @by_each_way
    @pytest.mark.parametrize("etag", ["", "nonsense", "*"])
    async def test_if_match_of_no_version(self, driver: Driver, write: Write, etag: str) -> None:
        """An etag that no version had always fails."""
        _need(driver, write)
        info = await driver.put("key", b"first")
        with pytest.raises(ConditionFailed):
            await write(driver, "key", b"second", IfMatch(etag))
        assert agree(driver, info, await driver.stat("key"))

    @by_each_way
    async def test_if_match_of_nothing(self, driver: Driver, write: Write) -> None:
        """`IfMatch` where nothing is stored fails, and stores nothing."""
        _need(driver, write)
        info = await driver.put("folder/key", b"first")
        await driver.delete("folder/key")
        with pytest.raises(ConditionFailed):
            await write(driver, "folder/key", b"second", IfMatch(info.etag))
        assert await keys_of(driver) == []

    @by_each_way
    async def test_one_creates(self, driver: Driver, write: Write) -> None:
        """Exactly one of many writers at once with `IfAbsent` wins."""
        _need(driver, write)
        winners = await _race(driver, write, IfAbsent())
        assert len(winners) == 1
        assert await content_of(driver, "race/key") == winners[0]

    @by_each_way
    async def test_one_replaces(self, driver: Driver, write: Write) -> None:
        """Exactly one of many writers at once with `IfMatch` of one etag wins."""
        _need(driver, write)
        before = await driver.put("race/key", b"before")
        winners = await _race(driver, write, IfMatch(before.etag))
        assert len(winners) == 1
        assert await content_of(driver, "race/key") == winners[0]

    @by_each_way
    async def test_no_increment_is_lost(self, driver: Driver, write: Write) -> None:
        """The condition and the write are one step: a counter counts every increment."""
        _need(driver, write)

        async def increment() -> None:
            while True:
                file = await driver.get("counter")
                try:
                    await write(driver, "counter", b"%d" % (int(file.content) + 1), IfMatch(file.info.etag))
                except ConditionFailed:
                    continue
                return

        await driver.put("counter", b"0")
        async with asyncio.TaskGroup() as tasks:
            for _ in range(12):
                tasks.create_task(increment())
        assert await content_of(driver, "counter") == b"12"

    async def test_a_writer_whose_commit_failed(self, driver: Driver) -> None:
        """A failed condition of `commit` cancels the writer, and leaves nothing of it."""
        need(driver, "conditional_commit")
        await driver.put("key", b"there")
        async with driver.open_writer("key") as writer:
            await writer.write(b"x" * 100)
            with pytest.raises(ConditionFailed):
                await writer.commit(condition=IfAbsent())
            with pytest.raises(WriterNotFound):
                await writer.commit()
            with pytest.raises(WriterNotFound):
                await writer.write(b"more")
            assert not [*await self.leftovers(driver)]
        assert await content_of(driver, "key") == b"there"

    async def test_a_lacking_condition_is_refused(self, driver: Driver) -> None:
        """A driver that lacks conditions raises `Unsupported` and writes nothing, never check-then-act."""
        for condition in (IfAbsent(), IfMatch("etag")):
            if not driver.capabilities.conditional_put:
                with pytest.raises(Unsupported):
                    await driver.put("key", b"", condition=condition)
            if not driver.capabilities.conditional_commit:
                with pytest.raises(Unsupported):
                    async with driver.open_writer("key") as writer:
                        await writer.commit(condition=condition)
        assert await keys_of(driver) == []


async def _race(driver: Driver, write: Write, condition: Condition) -> list[bytes]:
    contents = [f"writer {number:02}".encode() * (number + 1) for number in range(_WRITERS)]
    outcomes = await asyncio.gather(
        *(write(driver, "race/key", content, condition) for content in contents), return_exceptions=True
    )
    lost = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for error in lost:
        if not isinstance(error, ConditionFailed):
            raise error
    return [content for content, won in zip(contents, outcomes, strict=True) if isinstance(won, FileInfo)]
