"""Deletion: of one, of many, of all below a prefix."""

import asyncio
from datetime import timedelta, timezone

import pytest

from revstore_async.driver import Driver, IfMatch
from revstore_async.errors import (
    ConditionFailed,
    DeletionExpired,
    InvalidArgument,
    InvalidKey,
    KeyNotFound,
    Unsupported,
)

from .base import Hooks, content_of, keys_of, need, pattern, positions_of, write_all


class Deletion(Hooks):
    """Tests of deletion."""

    async def test_delete(self, driver: Driver) -> None:
        """No read and no listing gives a deleted object; its key can be written again."""
        for key in ("key", "folder/key"):
            await driver.put(key, b"content")
            await driver.delete(key)
            for ask in (driver.get(key), driver.stat(key)):
                with pytest.raises(KeyNotFound):
                    await ask
            assert await keys_of(driver) == []
            if self.folders_go_at_once:
                assert await positions_of(driver) == []
            await driver.put(key, b"again")
            assert await content_of(driver, key) == b"again"
            await driver.delete(key)

    async def test_delete_is_idempotent(self, driver: Driver) -> None:
        """Deleting a missing key is no error, and touches no key below or above."""
        await driver.put("folder/key", b"content")
        for key in ("missing", "folder", "folder/missing", "folder/key/below", "folder/missing/below"):
            await driver.delete(key)
            await driver.delete_many([key, key])
        assert await keys_of(driver) == ["folder/key"]

    async def test_delete_of_one_version(self, driver: Driver) -> None:
        """A condition deletes that version only; another version, or no object, is `ConditionFailed`, and stays."""
        need(driver, "conditional_delete")
        old = await driver.put("folder/key", b"old")
        new = await driver.put("folder/key", b"new")
        with pytest.raises(ConditionFailed) as caught:
            await driver.delete("folder/key", condition=IfMatch(old.etag))
        assert caught.value.key == "folder/key"
        assert await driver.stat("folder/key") == new
        await driver.delete("folder/key", condition=IfMatch(new.etag))
        assert await keys_of(driver) == []
        for key in ("folder/key", "never"):
            with pytest.raises(ConditionFailed):
                await driver.delete(key, condition=IfMatch(new.etag))

    async def test_delete_of_one_version_against_a_write_over_it(self, driver: Driver) -> None:
        """A deletion and a conditional write of one version: exactly one wins."""
        need(driver, "conditional_delete")
        need(driver, "conditional_put")
        for number in range(25):
            key = f"key-{number}"
            old = await driver.put(key, b"old")
            deletion = driver.delete(key, condition=IfMatch(old.etag))
            write = driver.put(key, b"new", condition=IfMatch(old.etag))
            both = [deletion, write] if number % 2 else [write, deletion]
            results = await asyncio.gather(*both, return_exceptions=True)
            deleted = results[0 if number % 2 else 1]
            assert [isinstance(result, ConditionFailed) for result in results].count(True) == 1
            assert (await keys_of(driver) == [key]) == (deleted is not None)
            await driver.delete(key)

    async def test_without_the_capability_a_condition_is_refused(self, driver: Driver) -> None:
        """A driver that lacks `conditional_delete` raises `Unsupported`, and deletes nothing."""
        if driver.capabilities.conditional_delete:
            return
        info = await driver.put("key", b"content")
        with pytest.raises(Unsupported):
            await driver.delete("key", condition=IfMatch(info.etag))
        assert await keys_of(driver) == ["key"]

    @pytest.mark.parametrize("ahead", [timedelta(minutes=5), timedelta(days=30)])
    async def test_a_dated_deletion(self, driver: Driver, ahead: timedelta) -> None:
        """Before its end, a deletion with an end deletes as one without; the end may be in any time zone."""
        need(driver, "dated_deletion")
        keys = ["a/1", "a/2", "a/3", "b", "stays"]
        infos = [await driver.put(key, b"content") for key in keys]
        until = (infos[-1].modified + ahead).astimezone(timezone(timedelta(hours=-5)))
        await driver.delete("a/1", until=until)
        await driver.delete("a/1", until=until)
        await driver.delete_many(["a/2", "a/3", "missing", "a/2"], until=until)
        await driver.delete_many([], until=until)
        if driver.capabilities.conditional_delete:
            with pytest.raises(ConditionFailed):
                await driver.delete("b", condition=IfMatch("another"), until=until)
            await driver.delete("b", condition=IfMatch(infos[3].etag), until=until)
        else:
            await driver.delete("b", until=until)
        assert await keys_of(driver) == ["stays"]

    @pytest.mark.parametrize("behind", [timedelta(seconds=2), timedelta(hours=1), timedelta(days=30)])
    async def test_an_expired_deletion(self, driver: Driver, behind: timedelta) -> None:
        """A deletion that reaches the store after its end is `DeletionExpired`, and deletes nothing."""
        need(driver, "dated_deletion")
        keys = ["folder/1", "folder/2", "key"]
        infos = [await driver.put(key, b"content") for key in keys]
        until = infos[0].modified - behind
        with pytest.raises(DeletionExpired) as caught:
            await driver.delete("key", until=until)
        assert (caught.value.key, caught.value.until, caught.value.retryable) == ("key", until, False)
        with pytest.raises(DeletionExpired) as caught:
            await driver.delete_many(["missing", *keys], until=until)
        assert caught.value.key in {"missing", *keys}
        if driver.capabilities.conditional_delete:
            with pytest.raises(DeletionExpired):
                await driver.delete("key", condition=IfMatch(infos[2].etag), until=until)
        assert await keys_of(driver) == keys
        await driver.delete_many(keys, until=infos[0].modified + timedelta(hours=1))
        assert await keys_of(driver) == []

    async def test_an_end_that_is_refused(self, driver: Driver) -> None:
        """A lacking `dated_deletion` is `Unsupported`, an end without a time zone `InvalidArgument`."""
        until = (await driver.put("key", b"content")).modified + timedelta(hours=1)
        for end in (until, until.replace(tzinfo=None)):
            if driver.capabilities.dated_deletion and end is until:
                continue
            error = InvalidArgument if driver.capabilities.dated_deletion else Unsupported
            with pytest.raises(error):
                await driver.delete("key", until=end)
            with pytest.raises(error):
                await driver.delete_many(["key"], until=end)
        assert await keys_of(driver) == ["key"]

    async def test_an_empty_folder_is_none(self, driver: Driver) -> None:
        """A folder exists while it has keys. Its name is free for a key after the deletion of the last one."""
        if not self.folders_go_at_once:
            pytest.skip("folders stay for a while where their last key is gone")
        await driver.put("a/b/c/d", b"")
        await driver.put("a/x", b"")
        await driver.delete("a/b/c/d")
        assert await positions_of(driver, "a") == ["a/x"]
        await driver.put("a/b", b"an object")
        assert await positions_of(driver, "a") == ["a/b", "a/x"]

    async def test_delete_many(self, driver: Driver) -> None:
        """`delete_many` deletes all named keys; they may be missing, named twice, or come from a generator."""
        await self.fill(driver, ["a/1", "a/2", "a/3", "b"])
        await driver.delete_many(key for key in ("a/1", "missing", "b", "a/1"))
        assert await keys_of(driver) == ["a/2", "a/3"]
        await driver.delete_many([])
        await driver.delete_many(())
        assert await keys_of(driver) == ["a/2", "a/3"]

    async def test_delete_very_many(self, driver: Driver) -> None:
        """A call may name more keys than a store deletes in one request."""
        keys = [f"many/{number // 100}/{number}" for number in range(2100)]
        await self.fill(driver, [*keys, "many/stays"])
        await driver.delete_many(keys)
        assert await keys_of(driver) == ["many/stays"]

    async def test_keys_are_judged_first(self, driver: Driver) -> None:
        """The driver checks all keys before it deletes any object."""
        await self.fill(driver, ["a", "b"])
        with pytest.raises(InvalidKey):
            await driver.delete_many(["a", "../b", "b"])
        assert await keys_of(driver) == ["a", "b"]

    async def test_delete_prefix(self, driver: Driver) -> None:
        """`delete_prefix` deletes all keys below a prefix, at any depth; a key that only begins like it stays."""
        stay = ["a-b/c", "a.b", "a0", "ab", "abc/d", "b/a/x"]
        await self.fill(driver, [*stay, "a/1", "a/2/3", "a/2/4/5", "a/a/a"])
        await driver.delete_prefix("a")
        assert sorted(await keys_of(driver)) == sorted(stay)
        if self.folders_go_at_once:
            assert "a/" not in await positions_of(driver)
        await driver.delete_prefix("a")
        await driver.delete_prefix("missing/folder")
        assert sorted(await keys_of(driver)) == sorted(stay)
        await driver.put("a", b"the name is free")

    async def test_an_object_is_not_below_itself(self, driver: Driver) -> None:
        """The object with the prefix as its key stays."""
        await driver.put("a", b"object")
        await driver.delete_prefix("a")
        await driver.delete_prefix("a/b")
        assert await content_of(driver, "a") == b"object"

    async def test_a_whole_store_is_not_deleted(self, driver: Driver) -> None:
        """An empty prefix is `InvalidKey`."""
        await driver.put("key", b"")
        with pytest.raises(InvalidKey):
            await driver.delete_prefix("")
        assert await keys_of(driver) == ["key"]

    async def test_delete_a_large_prefix(self, driver: Driver) -> None:
        """More keys may be below the prefix than one page of a listing has."""
        await self.fill(driver, [f"big/{number % 7}/{number}" for number in range(2100)])
        await driver.put("bigger", b"")
        await driver.delete_prefix("big")
        assert await keys_of(driver) == ["bigger"]

    async def test_reading_while_it_is_deleted(self, driver: Driver) -> None:
        """A reader sees one whole version, though the object is deleted or replaced meanwhile."""
        content = pattern(driver.capabilities.part_size * 3)
        await write_all(driver, "key", content)
        async with driver.open_reader("key") as first:
            begin = await first.read(1000)
            await driver.put("key", b"another version")
            async with driver.open_reader("key") as second:
                await driver.delete("key")
                assert b"".join([piece async for piece in second]) == b"another version"
            assert begin + b"".join([piece async for piece in first]) == content
            assert first.info.size == len(content)
