"""The rows of `test_costs` again, as requests that botocore really sends to MinIO.

The driver calls of a row tell the requests that it may send: one each, but for those that `WIRE` names with
more. A row of a new operation therefore needs nothing here, unless the driver sends something else.
"""

import asyncio
from collections import Counter

import pytest

from revstore_async import Digest, Registry, Repository
from revstore_drivers.s3 import S3Driver
from revstore_drivers.wrappers import TracingDriver
from revstore_drivers.wrappers.tracing import Request, round_trips
from tests.costs.test_costs import CONFIG, IMAGE, LAYER, ROWS, Row, prepare
from tests.parts.minio import MinIO
from tests.parts.s3 import Wire

WIRE = {
    "get": ["GetObject"],
    "open_reader": ["GetObject"],
    "stat": ["HeadObject"],
    "put": ["PutObject"],
    "list": ["ListObjectsV2"],
    "list_all": ["ListObjectsV2"],
    "delete": ["DeleteObject"],
    "delete_many": ["DeleteObjects"],
    "commit": ["PutObject"],  # of content that fits in one part
    # S3 deletes by names only, so they are listed first.
    "delete_prefix": ["ListObjectsV2", "DeleteObjects"],
    "compose": ["CopyObject"],  # of one object, whose size is known
}

HOLD = 0.02
"""Seconds for which each request is held up, so that those made together are under way together."""


class HeldWire(Wire):
    """Holds each request up before it is sent, and notes when it was made and answered."""

    def __init__(self, driver: S3Driver) -> None:
        super().__init__(driver)
        self.requests: list[Request] = []
        self._made: dict[asyncio.Task[object] | None, float] = {}

    def __enter__(self):
        self._events.register("before-send.s3", self._hold)
        return super().__enter__()

    def __exit__(self, *_):
        super().__exit__()
        self._events.unregister("before-send.s3", self._hold)

    async def _hold(self, **_) -> None:
        self._made[asyncio.current_task()] = asyncio.get_running_loop().time()
        await asyncio.sleep(HOLD)

    def _answered(self, event_name: str, **_) -> None:
        super()._answered(event_name)
        made, answered = self._made.pop(asyncio.current_task()), asyncio.get_running_loop().time()
        self.requests.append(Request(event_name.rpartition(".")[2], "", made, answered))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_requests_and_round_trips_on_the_wire(row: Row, minio: MinIO) -> None:
    driver = S3Driver(minio.new_bucket(), **minio.options())
    calls = TracingDriver(driver)
    async with Registry(calls) as registry:
        repository = registry.repository("library/hello")
        await prepare(repository)
        calls.reset()
        with HeldWire(driver) as wire:
            await row.work(repository)
    asked = row.requests + row.unconditional
    assert sum(calls.counts.values()) == asked, "the row asks an S3 driver more than one in memory"
    expected = Counter(sent for call in calls.counts.elements() for sent in WIRE[call])
    assert Counter(wire.operations) == expected, "a call sent something that WIRE does not tell of it"
    more = expected.total() - asked + row.unconditional
    assert row.round_trips <= round_trips(wire.requests) <= row.round_trips + more


async def test_a_deletion_that_can_not_be_conditional_puts_a_marker(minio: MinIO) -> None:
    """A tag's deletion takes 8 requests in 6 round trips: a marker more, and the index is listed first."""
    driver = S3Driver(minio.new_bucket(), **minio.options())
    async with Registry(driver) as registry:
        repository = registry.repository("library/hello")
        await prepare(repository)
        with HeldWire(driver) as wire:
            await repository.tags.delete("image")
    assert Counter(wire.operations) == {
        "GetObject": 1,
        "PutObject": 3,
        "DeleteObject": 1,
        "ListObjectsV2": 2,
        "DeleteObjects": 1,
    }
    assert round_trips(wire.requests) == 6


async def tagged(registry: Registry, *tags: str) -> Repository:
    repository = registry.repository("library/hello")
    for content in (CONFIG, LAYER):
        await repository.blobs.put(content)
    await repository.manifests.put(IMAGE)
    for tag in tags:
        await repository.tags.set(tag, Digest.of(IMAGE))
    return repository


async def test_a_page_of_tags_is_one_request_wherever_it_begins(minio: MinIO) -> None:
    driver = S3Driver(minio.new_bucket(), **minio.options())
    async with Registry(driver) as registry:
        repository = await tagged(registry, "image", "latest", "v1", "v1-rc", "v2")
        with HeldWire(driver) as wire:
            page = await repository.tags.list(limit=2, last="latest")
    assert [info.tag for info in page.tags] == ["v1", "v1-rc"]
    assert wire.operations == ["ListObjectsV2"]


async def test_a_listing_that_goes_on_amid_a_tag_is_asked_for_folder_by_folder(minio: MinIO) -> None:
    """MinIO loses keys in a listing that begins inside of a folder, so the driver asks for the rest of each folder.

    That is where 1,000 keys end amid a tag. Elsewhere it is one request: `drivers/revstore_drivers/s3/listing.py`.
    """
    driver = S3Driver(minio.new_bucket(), **minio.options())
    async with Registry(driver) as registry:
        repository = await tagged(registry, "image", "latest")
        tags = registry.layout.tags_of(repository.name)
        with HeldWire(driver) as wire:
            page = await driver.list_all(tags, start_after=f"{tags}/image/index/~")
    assert [info.key.removeprefix(tags).split("/")[1] for info in page.entries] == ["latest"] * 2
    # after index/~; the object `index`; after index/; the object `image`; after image/
    assert wire.operations == ["ListObjectsV2"] * 5
    assert round_trips(wire.requests) == 5
