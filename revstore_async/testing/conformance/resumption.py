"""Writers that go on later, and those that never do."""

from datetime import timedelta

import pytest

from revstore_async.driver import Driver
from revstore_async.errors import (
    InvalidArgument,
    Unsupported,
    WriterBusy,
    WriterNotFound,
)

from .base import Hooks, content_of, forget, keys_of, need, pattern, read_all, suspended

_AGES = timedelta(hours=1)


async def _is_gone(driver: Driver, key: str, state: bytes) -> None:
    with pytest.raises(WriterNotFound):
        async with driver.open_writer(key, resume=state):
            pytest.fail("the block was entered")


class Resumption(Hooks):
    """Tests of `suspend`, of `open_writer(resume=...)` and of `purge_writers`."""

    async def test_a_lacking_resumption_is_refused(self, driver: Driver) -> None:
        """A driver that lacks `resumable_writes` raises `Unsupported`."""
        if driver.capabilities.resumable_writes:
            return
        with pytest.raises(Unsupported):
            await suspended(driver, "key", b"content")
        with pytest.raises(Unsupported):
            async with driver.open_writer("key", resume=b"state"):
                pytest.fail("the block was entered")

    async def test_going_on(self, driver: Driver) -> None:
        """A writer goes on at the offset of its state, however often; nothing is visible before `commit`."""
        need(driver, "resumable_writes")
        part = driver.capabilities.part_size
        sizes = [0, 1, part - 1, part, 5, part + 1, 0, 2 * part + 3]
        content = pattern(sum(sizes))
        state, offset = None, 0
        for size in sizes:
            async with driver.open_writer("folder/key", resume=state) as writer:
                assert writer.offset == offset
                await writer.write(content[offset : offset + size])
                offset += size
                state = await writer.suspend()
                assert writer.offset == offset
            assert await keys_of(driver) == []
        async with driver.open_writer("folder/key", resume=state) as writer:
            info = await writer.commit()
        assert info.size == len(content)
        assert await read_all(driver, "folder/key") == content

    async def test_going_on_elsewhere(self, driver: Driver) -> None:
        """The state is good for another process on the same store."""
        need(driver, "resumable_writes")
        other = self.reopen(driver)
        if other is None:
            pytest.skip("there is no hook `reopen`")
        content = pattern(driver.capabilities.part_size + 1000)
        state = await suspended(driver, "folder/key", content[:-500])
        async with other, other.open_writer("folder/key", resume=state) as writer:
            assert writer.offset == len(content) - 500
            await writer.write(content[-500:])
            await writer.commit()
        assert await read_all(driver, "folder/key") == content

    async def test_a_suspended_writer_is_done(self, driver: Driver) -> None:
        """After `suspend` the writer is done; `cancel` and the end of the block do nothing."""
        need(driver, "resumable_writes")
        async with driver.open_writer("key") as writer:
            await writer.write(b"content")
            state = await writer.suspend()
            for step in (writer.write(b""), writer.suspend(), writer.commit()):
                with pytest.raises(WriterNotFound):
                    await step
            await writer.cancel()
        async with driver.open_writer("key", resume=state) as writer:
            await writer.commit()
        assert await content_of(driver, "key") == b"content"

    async def test_a_state_stays_good(self, driver: Driver) -> None:
        """A state stays good until a writer resumed from it writes."""
        need(driver, "resumable_writes")
        state = await suspended(driver, "key", b"content")
        for _ in range(3):
            async with driver.open_writer("key", resume=state) as writer:
                assert writer.offset == 7
                await writer.suspend()
        async with driver.open_writer("key", resume=state) as writer:
            await writer.write(b" and more")
            await writer.commit()
        assert await content_of(driver, "key") == b"content and more"

    async def test_an_old_state_never_mixes(self, driver: Driver) -> None:
        """A state from before later writes is refused, or goes on from its own bytes; never from others."""
        need(driver, "resumable_writes")
        part = driver.capabilities.part_size
        begin, one, two = pattern(part + 3, 1), pattern(part, 2), pattern(part, 3)
        old = await suspended(driver, "key", begin)
        async with driver.open_writer("key", resume=old) as writer:
            await writer.write(one)
            newer = await writer.suspend()
        newest = None
        try:
            async with driver.open_writer("key", resume=old) as writer:
                assert writer.offset == len(begin)
                await writer.write(two)
                newest = await writer.suspend()
        except WriterNotFound:
            pass
        for state, content in ((newer, begin + one), (newest, begin + two)):
            if state is None:
                continue
            try:
                async with driver.open_writer("key", resume=state) as writer:
                    assert writer.offset == len(content)
                    await writer.commit()
            except WriterNotFound:
                continue
            assert await read_all(driver, "key") == content
        if self.purges_writers:
            await driver.purge_writers(timedelta(0))

    async def test_leaving_a_resumed_writer(self, driver: Driver) -> None:
        """Leaving the block of a resumed writer is a cancel too: nothing is left of what was written."""
        need(driver, "resumable_writes")
        state = await suspended(driver, "key", pattern(driver.capabilities.part_size + 3))
        with pytest.raises(ZeroDivisionError):
            async with driver.open_writer("key", resume=state):
                raise ZeroDivisionError
        assert not [*await self.leftovers(driver)]
        await _is_gone(driver, "key", state)
        assert await keys_of(driver) == []

    async def test_gone(self, driver: Driver) -> None:
        """The state of a writer that was committed or cancelled since is `WriterNotFound`."""
        need(driver, "resumable_writes")
        committed = await suspended(driver, "folder/key", b"content")
        async with driver.open_writer("folder/key", resume=committed) as writer:
            await writer.commit()
        await _is_gone(driver, "folder/key", committed)
        cancelled = await suspended(driver, "folder/key", b"other")
        await forget(driver, "folder/key", cancelled)
        await _is_gone(driver, "folder/key", cancelled)
        assert await content_of(driver, "folder/key") == b"content"

    async def test_busy(self, driver: Driver) -> None:
        """While another writer has resumed from the state and is at work, it is `WriterBusy`."""
        need(driver, "resumable_writes")
        state = await suspended(driver, "key", b"content")
        async with driver.open_writer("key", resume=state) as writer:
            with pytest.raises(WriterBusy):
                async with driver.open_writer("key", resume=state):
                    pytest.fail("the block was entered")
            await writer.write(b" and more")
            await writer.commit()
        assert await content_of(driver, "key") == b"content and more"

    async def test_a_state_of_something_else(self, driver: Driver) -> None:
        """A state that was not made by this driver for this key is `InvalidArgument`."""
        need(driver, "resumable_writes")
        state = await suspended(driver, "folder/key", b"content")
        others = [
            b"",
            b"nonsense",
            b"{}",
            b"[]",
            b"null",
            b"\xff\x00",
            b"[" * 100_000,
            state[:-1],
            state + b"x",
        ]
        for other in others:
            with pytest.raises(InvalidArgument):
                async with driver.open_writer("folder/key", resume=other):
                    pytest.fail("the block was entered")
        with pytest.raises(InvalidArgument):
            async with driver.open_writer("another/key", resume=state):
                pytest.fail("the block was entered")
        await forget(driver, "folder/key", state)

    async def test_purge(self, driver: Driver) -> None:
        """`purge_writers` removes and counts unfinished writes where nothing was written for that long."""
        need(driver, "resumable_writes")
        states = {}
        for key in ("a", "folder/b", "folder/c"):
            states[key] = await suspended(driver, key, b"content")
        assert await driver.purge_writers(_AGES) == 0
        async with driver.open_writer("a", resume=states.pop("a")) as writer:
            assert await driver.purge_writers(_AGES) == 0
            await writer.commit()
        if self.purges_writers:
            assert await driver.purge_writers(timedelta(0)) == 2
            assert await driver.purge_writers(timedelta(0)) == 0
            for key, state in states.items():
                await _is_gone(driver, key, state)
        else:
            for key, state in states.items():
                await forget(driver, key, state)
        assert await keys_of(driver) == ["a"]
        assert await content_of(driver, "a") == b"content"
