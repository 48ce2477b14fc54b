"""Crash points once more, around the S3 driver and on the wire below it: some writes, at some of their steps."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from revstore_async.errors import NotFound, TagChanged, Unavailable
from revstore_drivers.s3 import S3Driver
from revstore_drivers.wrappers import FaultsDriver, When
from tests.faults.test_crash_points import WRITES, Write, attempt, look, prepare, whole
from tests.parts import proxy
from tests.parts.minio import MinIO
from tests.parts.proxy import LoseAnswer, Proxy
from tests.parts.s3 import connections_in_use

SAMPLE = {
    "layer from a stream": 1,
    "manifest by more hosts": 3,
    "manifest with an expectation": 2,
    "deletion of a manifest with its tags": 4,
}
"""Writes, and how far the steps at which each is broken off are apart; in memory they are broken off at each."""

SAMPLED = [write for write in WRITES if write.name in SAMPLE]
by_write = pytest.mark.parametrize("write", SAMPLED, ids=lambda write: write.name)


@pytest.fixture
async def wire(minio: MinIO) -> AsyncIterator[Proxy]:
    async with proxy.running(minio.port) as running:
        yield running


@by_write
async def test_nothing_half_done_is_seen_though_the_world_stops(write: Write, minio: MinIO) -> None:
    def opened() -> S3Driver:
        return S3Driver(bucket, **minio.options())

    bucket = minio.new_bucket()
    await prepare(write, opened())
    before = await look(opened())
    assert await attempt(write, opened()) is None
    after = await look(opened())

    for k in itertools.count(step=SAMPLE[write.name]):
        bucket = minio.new_bucket()
        await prepare(write, opened())
        driver = FaultsDriver(opened(), stop_at=k, when=When.ANSWER_LOST)
        tasks = asyncio.all_tasks()
        error = await attempt(write, driver)
        assert asyncio.all_tasks() == tasks, "a task was left behind"
        now = await look(opened())
        if error is None:
            assert now == after, f"acknowledged, though stopped at {k}"
        else:
            assert isinstance(error, Unavailable), f"at {k}: {error!r}"
            whole(before, now, after)
        if not driver.stopped:
            break
        again = await attempt(write, opened())
        if again is not None:
            assert now == after
            assert isinstance(again, NotFound | TagChanged)
        assert await look(opened()) == after
    assert k >= 1


@by_write
async def test_an_answer_lost_on_the_wire_is_found_out(write: Write, minio: MinIO, wire: Proxy) -> None:
    """The server did it, and the connection broke: the driver asks again or reads back, and the write succeeds.

    One case can't be found out. A put on the condition that the key is free loses its answer, and finds another
    object there: it may have lost, or won and been replaced at once. It says so, and may be repeated.
    """

    def opened() -> S3Driver:
        return S3Driver(bucket, **{**minio.options(), "endpoint_url": wire.url})

    bucket = minio.new_bucket()
    await prepare(write, opened())
    assert await attempt(write, opened()) is None
    after = await look(opened())

    for k in itertools.count(step=SAMPLE[write.name]):
        bucket = minio.new_bucket()
        await prepare(write, opened())
        wire.spoil(LoseAnswer(), skip=k)
        driver = opened()
        error = await attempt(write, driver)
        assert connections_in_use(driver) == []
        if error is not None:
            assert isinstance(error, Unavailable)
            assert error.reason == "an answer was lost, and another write is there now"
            assert write.name == "manifest by more hosts", "only there a link is written that is there"
            assert error.retryable
            assert await attempt(write, opened()) is None
        if wire.unused():
            break
        assert await look(opened()) == after, f"the answer to request {k} was lost"
    assert k >= 1
