"""The S3 driver on MinIO: the contract, and any steps in any order against a dict."""

import shutil
from contextlib import asynccontextmanager
from hashlib import md5

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from revstore_async.driver import Driver, DriverWrapper
from revstore_async.errors import InvalidKey, Unavailable
from revstore_async.testing import DriverConformance, DriverStateMachine
from revstore_async.testing.conformance.base import pattern, read_all, write_all
from tests.parts.minio import MinIO
from tests.parts.s3 import AskingDriver, connections_in_use

PART = 5 << 20


class TestS3OnMinIO(DriverConformance):
    @pytest.fixture
    async def driver(self, minio: MinIO):
        self.minio = minio
        before = {*minio.uploads()}
        options = {**minio.options(), "part_size": PART, "idle_timeout": 0.5, "pool": 32}
        async with AskingDriver(minio.new_bucket(), "some/prefix", **options) as driver:
            yield driver
        assert {*minio.uploads()} <= before

    def reopen(self, driver):
        return AskingDriver.from_options(driver.options)

    async def leftovers(self, driver):
        names = self.minio.names(driver.options.bucket)
        beside = [name for name in names if not name.startswith("some/prefix/") or "," in name]
        return [*beside, *self.minio.uploads(), *connections_in_use(driver)]

    async def fill(self, driver, keys):
        """Many are copies of one on the drive: to ask the server for ten thousand takes long."""
        keys = [*keys]
        for key in keys[:200]:
            await driver.put(key, key.encode())
        root = self.minio.folder / driver.options.bucket / driver.options.prefix
        for key in keys[200:]:
            (root / key).mkdir(parents=True)
            shutil.copyfile(root / keys[0] / "xl.meta", root / key / "xl.meta")

    @pytest.mark.parametrize("ways", [("a", "a/b"), ("a/b", "a"), ("a/b/c/d", "a/b"), ("a/b", "a/b/c/d")])
    async def test_a_key_that_is_a_folder_of_another(self, driver: Driver, ways: tuple[str, str]) -> None:
        """MinIO departs here: it takes and gives both, but its listings show only the shorter key."""
        earlier, later = ways
        await driver.put(earlier, b"earlier")
        await driver.put(later, b"later")
        assert (await driver.get(earlier)).content == b"earlier"
        assert (await driver.get(later)).content == b"later"

    async def test_reading_while_it_is_deleted(self, driver: Driver) -> None:
        """MinIO departs here: it locks what is read, so the reader gives way, and never mixes versions."""
        content = pattern(PART * 3)
        await write_all(driver, "key", content)
        async with driver.open_reader("key") as first:
            begin = await first.read(1000)
            await driver.put("key", b"another version")  # waits until the reader gives its connection back
            assert await read_all(driver, "key") == b"another version"
            with pytest.raises(Unavailable) as caught:
                await first.read()
        assert content.startswith(begin)
        assert caught.value.reason == "another version is there now"


class NoNesting(DriverWrapper):
    """Refuses a key that is a folder of another: MinIO takes it, but lists only one of the two.

    It looks and then writes, which is right where nobody else writes: in the machine below, and nowhere else.
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

    async def copy(self, source, target):
        await self.inner.stat(source)
        await self._judge(target)
        return await self.inner.copy(source, target)

    @asynccontextmanager
    async def open_writer(self, key, *, resume=None):
        async with self.inner.open_writer(key, resume=resume) as writer:
            commit = writer.commit

            async def judge_and_commit(*, condition=None):
                await self._judge(key)
                return await commit(condition=condition)

            vars(writer)["commit"] = judge_and_commit
            yield writer


class Machine(DriverStateMachine):
    server: MinIO

    def make_driver(self):
        return NoNesting(AskingDriver(self.server.new_bucket(), **self.server.options()))

    def reopen(self, driver):
        return NoNesting(AskingDriver.from_options(driver.inner.options))

    def _write(self, key, content, write):
        # S3 gives the same bytes the same etag, whatever was there in between.
        self.etags[key] = [etag for etag in self.etags.get(key, []) if etag != md5(content).hexdigest()]
        super()._write(key, content, write)


@pytest.fixture(scope="module")
def machine(minio: MinIO):
    Machine.server = minio
    return Machine


def test_any_steps_in_any_order(machine):
    run_state_machine_as_test(
        machine, settings=settings(max_examples=10, stateful_step_count=20, deadline=None)
    )
