"""The S3 driver on another server than MinIO: the contract, less the capabilities that the server lacks."""

import pytest

from revstore_async.testing import DriverConformance
from revstore_drivers.s3 import S3Driver
from tests.parts.departures import MinIODeparts
from tests.parts.s3 import connections_in_use
from tests.parts.servers import S3Server, another_is_asked_for, declared_options


class TestS3OnAnotherServer(DriverConformance):
    __test__ = another_is_asked_for() and declared_options().get("server") != "minio"

    @pytest.fixture
    async def driver(self, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch):
        for name, value in s3_server.environment().items():
            monkeypatch.setenv(name, value)
        self.server = s3_server
        self.folders_go_at_once = s3_server.extra.get("server") != "seaweedfs"
        options = {**s3_server.options(), "part_size": 5 << 20, "idle_timeout": 0.5, "pool": 32}
        bucket, prefix = s3_server.new_store()
        async with S3Driver(bucket, prefix, **options) as driver:
            yield driver

    def reopen(self, driver):
        return S3Driver.from_options(driver.options)

    async def leftovers(self, driver):
        bucket, prefix = driver.options.bucket, driver.options.prefix
        beside = [name for name in self.server.names(bucket, prefix) if "," in name]
        return [*beside, *self.server.uploads(bucket, prefix), *connections_in_use(driver)]


class TestS3OnAnotherMinIO(MinIODeparts, TestS3OnAnotherServer):
    __test__ = another_is_asked_for() and declared_options().get("server") == "minio"
