"""Departures of a server from the contract, as tests that replace those of the suite."""

from contextlib import asynccontextmanager

import pytest

from revstore_async.driver import Driver, DriverWrapper
from revstore_async.errors import InvalidKey, Unavailable

from .minio import MinIO
from .suite import pattern, read_all, write_all


class MinIODeparts:
    """MinIO's; a class of tests puts it before `DriverConformance`."""

    @pytest.mark.parametrize("ways", [("a", "a/b"), ("a/b", "a"), ("a/b/c/d", "a/b"), ("a/b", "a/b/c/d")])
    async def test_a_key_that_is_a_folder_of_another(self, driver: Driver, ways: tuple[str, str]) -> None:
        """MinIO departs here: it takes and gives both, but its listings show only the shorter key."""
        earlier, later = ways
        await driver.put(earlier, b"earlier")
        await driver.put(later, b"later")
        assert (await driver.get(earlier)).content == b"earlier"
        assert (await driver.get(later)).content == b"later"

    async def test_reading_while_it_is_deleted(self, driver: Driver) -> None:
        """MinIO departs here: it locks an object during a read, so the reader gives way; no read mixes versions."""
        content = pattern(15 << 20)
        await write_all(driver, "key", content)
        async with driver.open_reader("key") as first:
            begin = await first.read(1000)
            await driver.put("key", b"another version")  # waits until the reader gives its connection back
            assert await read_all(driver, "key") == b"another version"
            with pytest.raises(Unavailable) as caught:
                while await first.read(1 << 20):  # what had come already is still given
                    pass
        assert content.startswith(begin)
        assert caught.value.reason == "another version is there now"


class FilledOnTheDrive:
    """Fills a store of MinIO on its drive; a class of tests puts it before `DriverConformance`.

    The fixture `driver` of that class sets `minio`.
    """

    minio: MinIO

    async def fill(self, driver, keys):
        """Many are copies of one on the drive: to ask the server for ten thousand takes long."""
        keys = [*keys]
        for key in keys[:200]:
            await driver.put(key, key.encode())
        root = self.minio.folder / driver.options.bucket / driver.options.prefix
        for key in keys[200:]:
            (root / key).mkdir(parents=True)
            (root / key / "xl.meta").hardlink_to(root / keys[0] / "xl.meta")


class NoNesting(DriverWrapper):
    """Refuses a key that is a folder of another: MinIO takes it, but lists only one of the two.

    It looks and then writes, which is right only without other writers, as in the machine below.
    """

    async def _judge(self, key: str) -> None:
        if (await self.inner.list_all(key, limit=1)).entries:
            raise InvalidKey(key, "it is a folder of other keys")
        parts = key.split("/")
        for count in range(1, len(parts)):
            try:
                await self.inner.stat("/".join(parts[:count]))
            except LookupError:
                continue
            raise InvalidKey(key, "an object stands where a folder is needed")

    async def put(self, key, content, *, condition=None):
        await self._judge(key)
        return await self.inner.put(key, content, condition=condition)

    async def compose(self, sources, target, *, digest=None):
        for source in sources:
            await self.inner.stat(source.key)
        await self._judge(target)
        return await self.inner.compose(sources, target, digest=digest)

    @asynccontextmanager
    async def open_writer(self, key):
        async with self.inner.open_writer(key) as writer:
            commit = writer.commit

            async def judge_and_commit(*, condition=None):
                await self._judge(key)
                return await commit(condition=condition)

            vars(writer)["commit"] = judge_and_commit
            yield writer
