"""The drivers of a bucket on MinIO: the contract, and any steps in any order against a dict."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from revstore_async.testing import DriverConformance, DriverStateMachine
from tests.parts.buckets import OBSTORE, S3, Kind
from tests.parts.departures import FilledOnTheDrive, MinIODeparts, NoNesting
from tests.parts.minio import MinIO
from tests.parts.servers import another_is_asked_for

PART = 5 << 20


class OnMinIO(FilledOnTheDrive, MinIODeparts, DriverConformance):
    of: Kind

    @pytest.fixture
    async def driver(self, minio: MinIO):
        self.minio = minio
        before = {*minio.uploads()}
        options = {**minio.options(), "part_size": PART, "idle_timeout": 0.5, "pool": 32}
        async with self.of.make(minio.new_bucket(), "some/prefix", **options) as driver:
            yield driver
        assert {*minio.uploads()} <= before

    def reopen(self, driver):
        return type(driver).from_options(driver.options)

    async def leftovers(self, driver):
        names = self.minio.names(driver.options.bucket)
        beside = [name for name in names if not name.startswith("some/prefix/") or "," in name]
        return [*beside, *self.minio.uploads(), *self.of.held(driver)]


class TestS3OnMinIO(OnMinIO):
    __test__ = not another_is_asked_for()
    of = S3


class TestObstoreOnMinIO(OnMinIO):
    of = OBSTORE


class Machine(DriverStateMachine):
    of: Kind
    server: MinIO

    def make_driver(self):
        return NoNesting(self.of.make(self.server.new_bucket(), **self.server.options()))

    def reopen(self, driver):
        return NoNesting(type(driver.inner).from_options(driver.inner.options))


@pytest.fixture
def machine(minio: MinIO, kind: Kind):
    Machine.of, Machine.server = kind, minio
    return Machine


def test_any_steps_in_any_order(machine):
    run_state_machine_as_test(
        machine, settings=settings(max_examples=10, stateful_step_count=20, deadline=None)
    )
