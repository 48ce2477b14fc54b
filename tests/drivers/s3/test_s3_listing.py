"""Listings of the S3 driver: the cost of a page, and its beginning."""

import pytest

from revstore_drivers.s3 import S3Driver
from tests.parts.buckets import fill_on_the_drive
from tests.parts.minio import MinIO
from tests.parts.s3 import Wire


@pytest.fixture
async def driver(minio: MinIO):
    async with S3Driver(minio.new_bucket(), **minio.options()) as driver:
        yield driver


async def test_what_a_page_costs(driver: S3Driver, minio: MinIO):
    await fill_on_the_drive(driver, minio, [f"tags/{number:04}/current/link" for number in range(1500)])
    with Wire(driver) as wire:
        page = await driver.list("tags")
        assert len(page.entries) == 1000
        assert len(wire.operations) == 1
        rest = await driver.list("tags", start_after=page.next)
        assert len(rest.entries) == 500
        assert len(wire.operations) == 3  # on MinIO; on AWS it is 2
        driver._open().server = "AmazonS3"
        await driver.list("tags", start_after=page.next)
        assert len(wire.operations) == 4
