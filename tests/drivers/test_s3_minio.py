"""The S3 driver on MinIO: the contract, and any steps in any order against a dict."""

import shutil
from contextlib import asynccontextmanager

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from revstore_async.driver import DriverWrapper
from revstore_async.errors import InvalidKey
from revstore_async.testing import DriverConformance, DriverStateMachine
from revstore_drivers.s3 import S3Driver
from tests.parts.departures import MinIODeparts
from tests.parts.minio import MinIO
from tests.parts.s3 import connections_in_use
from tests.parts.servers import another_is_asked_for

PART = 5 << 20


class TestS3OnMinIO(MinIODeparts, DriverConformance):
    __test__ = not another_is_asked_for()

    @pytest.fixture
    async def driver(self, minio: MinIO):
        self.minio = minio
        before = {*minio.uploads()}
        options = {**minio.options(), "part_size": PART, "idle_timeout": 0.5, "pool": 32}
        async with S3Driver(minio.new_bucket(), "some/prefix", **options) as driver:
            yield driver
        assert {*minio.uploads()} <= before

    def reopen(self, driver):
        return S3Driver.from_options(driver.options)

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
        return NoNesting(S3Driver(self.server.new_bucket(), **self.server.options()))

    def reopen(self, driver):
        return NoNesting(S3Driver.from_options(driver.inner.options))


@pytest.fixture(scope="module")
def machine(minio: MinIO):
    Machine.server = minio
    return Machine


def test_any_steps_in_any_order(machine):
    run_state_machine_as_test(
        machine, settings=settings(max_examples=10, stateful_step_count=20, deadline=None)
    )
