"""The S3 driver on obstore, on MinIO: the contract, and any steps in any order against a dict."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from revstore_async.driver import Driver
from revstore_async.testing import DriverConformance, DriverStateMachine
from revstore_drivers.object_store import ObjectStoreDriver
from tests.parts.departures import FilledOnTheDrive, MinIODeparts, NoNesting
from tests.parts.minio import MinIO

PART = 5 << 20


def url_of(minio: MinIO) -> str:
    return f"obstore+s3://{minio.new_bucket()}/some/prefix"


def places_taken(driver: Driver) -> list[str]:
    client = driver._client
    return [f"{client.places.taken} places"] if client is not None and client.places.taken else []


class TestObstoreOnMinIO(FilledOnTheDrive, MinIODeparts, DriverConformance):
    @pytest.fixture
    async def driver(self, minio: MinIO):
        self.minio = minio
        before = {*minio.uploads()}
        options = {**minio.options(), "part_size": PART, "idle_timeout": 0.5, "pool": 32}
        async with ObjectStoreDriver(url_of(minio), **options) as driver:
            yield driver
        assert {*minio.uploads()} <= before

    def reopen(self, driver):
        return ObjectStoreDriver.from_options(driver.options)

    async def leftovers(self, driver):
        names = self.minio.names(driver.options.bucket)
        beside = [name for name in names if not name.startswith("some/prefix/") or "," in name]
        return [*beside, *self.minio.uploads(), *places_taken(driver)]


class Machine(DriverStateMachine):
    server: MinIO

    def make_driver(self):
        return NoNesting(ObjectStoreDriver(url_of(self.server), **self.server.options()))

    def reopen(self, driver):
        return NoNesting(ObjectStoreDriver.from_options(driver.inner.options))


@pytest.fixture(scope="module")
def machine(minio: MinIO):
    Machine.server = minio
    return Machine


def test_any_steps_in_any_order(machine):
    run_state_machine_as_test(
        machine, settings=settings(max_examples=10, stateful_step_count=20, deadline=None)
    )
