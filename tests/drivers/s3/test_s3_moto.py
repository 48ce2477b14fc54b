"""The S3 driver on moto, which shows more than MinIO; and failures amid a write of many requests."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from revstore_async.driver import IfAbsent, Source
from revstore_async.errors import AccessDenied, StorageFailure
from revstore_drivers.buckets import retries
from revstore_drivers.s3 import S3Driver
from tests.parts.moto import Moto, running
from tests.parts.proxy import Answer, Fault, LoseAnswer, Proxy, Reset
from tests.parts.proxy import running as running_proxy
from tests.parts.s3 import connections_in_use
from tests.parts.suite import keys_of, pattern, read_all, write_all

PART = 5 << 20
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def moto():
    with running() as server:
        yield server


@pytest.fixture
async def driver(moto: Moto):
    async with S3Driver(moto.new_bucket(), "prefix", **moto.options(), part_size=PART) as driver:
        yield driver
        assert connections_in_use(driver) == []


# ---- what arrives


async def by_parts(driver: S3Driver) -> None:
    await write_all(driver, "key", pattern(PART + 1))


async def copied(driver: S3Driver) -> None:
    await driver.put("source", b"content")
    await driver.compose([Source("source", 7)], "key")


async def copied_by_parts(driver: S3Driver) -> None:
    await write_all(driver, "source", pattern(PART + 1))
    await driver.compose([Source("source", PART + 1)], "key")


WAYS = {
    "put": lambda driver: driver.put("key", b"content"),
    "put if absent": lambda driver: driver.put("key", b"content", condition=IfAbsent()),
    "writer": lambda driver: write_all(driver, "key", b"content"),
    "writer by parts": by_parts,
    "copy": copied,
    "copy by parts": copied_by_parts,
}


@pytest.mark.parametrize("way", WAYS)
async def test_storage_class_and_encryption_reach_all_that_is_written(moto: Moto, way: str):
    options = {**moto.options(), "storage_class": "STANDARD_IA", "sse": "aws:kms", "kms_key": "a-key"}
    async with S3Driver(moto.new_bucket(), **options, part_size=PART, copy_part_size=PART) as driver:
        await WAYS[way](driver)
        held = moto.objects(driver.options.bucket)["key"]
    assert (held.storage_class, held.encryption, held.kms_key_id) == ("STANDARD_IA", "aws:kms", "a-key")


# ---- unfinished uploads that the server lists


KILLED = """
import asyncio, json, os, signal, sys
from revstore_drivers.s3 import S3Driver

async def main():
    said = json.loads(sys.stdin.readline())
    async with S3Driver(said["bucket"], "prefix", **said["options"]) as driver:
        async with driver.open_writer("killed/key") as writer:
            await writer.write(bytes(said["size"]))
            while writer._sending:
                await asyncio.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def kill_a_writer(moto: Moto, bucket: str) -> None:
    said = {"bucket": bucket, "options": {**moto.options(), "part_size": PART}, "size": 2 * PART}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, stdin=asyncio.subprocess.PIPE, env={**os.environ}
    )
    await process.communicate(json.dumps(said).encode() + b"\n")


async def test_the_upload_of_a_killed_writer_is_purged_by_its_age(driver: S3Driver, moto: Moto):
    """The writer left only its upload, which the server lists."""
    bucket = driver.options.bucket
    await kill_a_writer(moto, bucket)
    assert moto.uploads(bucket) == ["prefix/killed/key"]
    moto.age(bucket, timedelta(hours=23))
    assert await driver.purge_writers(DAY) == 0
    moto.age(bucket, timedelta(hours=2))
    assert await driver.purge_writers(DAY) == 1
    assert moto.uploads(bucket) == []
    assert await driver.purge_writers(DAY) == 0


async def test_purging_leaves_alone_what_is_wanted(driver: S3Driver, moto: Moto):
    """A purge leaves the uploads of writers at work, and those beside the prefix."""
    bucket = driver.options.bucket
    async with S3Driver(bucket, "suffix", **moto.options(), part_size=PART) as neighbour:
        async with neighbour.open_writer("key") as others:
            await others.write(pattern(2 * PART))
            await kill_a_writer(moto, bucket)
            async with driver.open_writer("slow") as slow:
                await slow.write(pattern(2 * PART))
                moto.age(bucket, 2 * DAY)
                await slow.write(pattern(2 * PART))
                async with driver.open_writer("at-work") as writer:
                    await writer.write(pattern(2 * PART))
                    while under_way := vars(slow)["_sending"] | vars(writer)["_sending"]:
                        await asyncio.wait(under_way)
                    assert await driver.purge_writers(DAY) == 1
                    assert moto.uploads(bucket) == ["prefix/at-work", "prefix/slow", "suffix/key"]
                    await writer.commit()
                await slow.commit()
            await others.commit()
    assert await keys_of(driver) == ["at-work", "slow"]


# ---- failures amid a write


@pytest.fixture
async def proxy(moto: Moto):
    async with running_proxy(moto.port) as proxy:
        yield proxy


STAGES = {
    "begin": ("POST", "?uploads"),
    "part": ("PUT", "partNumber=2"),
    "completion": ("POST", "uploadId="),
}


@pytest.mark.parametrize(("code", "says"), [("ExpiredToken", "expired"), ("RequestTimeTooSkewed", "clock")])
@pytest.mark.parametrize("stage", STAGES)
async def test_who_may_not_go_on_leaves_nothing(moto: Moto, proxy: Proxy, stage: str, code: str, says: str):
    """A token that ends, or a clock that is set, amid a write ends the write at once, and the upload is aborted."""
    bucket = moto.new_bucket()
    async with S3Driver(bucket, "prefix", **moto.options(proxy.port), part_size=PART) as driver:
        method, has = STAGES[stage]
        proxy.spoil(Answer(400 if code == "ExpiredToken" else 403, code), method=method, has=has)
        with pytest.raises(AccessDenied, match=says):
            await write_all(driver, "key", pattern(3 * PART))
        assert proxy.unused() == 0
        assert await keys_of(driver) == []
    assert moto.uploads(bucket) == []
    refused = [each for each in proxy.requests if each.method == method and has in each.target]
    assert len(refused) == 1, "it was tried again"


async def test_who_may_nothing_any_more_leaves_an_upload_to_be_purged(
    moto: Moto, proxy: Proxy, driver: S3Driver
):
    """Its clean-up is refused too. A purge with good credentials removes its leftovers."""
    bucket = driver.options.bucket
    async with S3Driver(bucket, "prefix", **moto.options(proxy.port), part_size=PART) as tired:
        with pytest.raises(AccessDenied):
            async with tired.open_writer("key") as writer:
                await writer.write(pattern(2 * PART))
                proxy.spoil(Answer(400, "ExpiredToken"), times=99)
                await writer.commit()
        assert connections_in_use(tired) == []
    assert moto.uploads(bucket) == ["prefix/key"]
    moto.age(bucket, DAY)
    assert await driver.purge_writers(timedelta(hours=1)) == 1
    assert moto.uploads(bucket) == []


FAULTS = [
    None,
    None,
    Answer(500, "InternalError"),
    Answer(503, "SlowDown", {"Retry-After": "0"}),
    Answer(503, "SlowDown", {"Retry-After": "60"}),
    Reset(),
    LoseAnswer(),
    LoseAnswer(answer=Answer(500, "InternalError")),
]


class Script(Proxy):
    """Spoils request by request as a script says, but no clean-up."""

    script: Iterator[Fault | None] = iter(())

    def _fault(self, request):
        return None if request.method == "DELETE" else next(self.script, None)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    script=st.lists(st.sampled_from(FAULTS), max_size=14).map(tuple),
    size=st.sampled_from([10, PART + 1, 2 * PART]),
)
async def test_any_failures_in_any_order(
    moto: Moto, monkeypatch, script: tuple[Fault | None, ...], size: int
):
    """A write ends whole, or in an error that may be retried with all or nothing there; no part is left."""
    monkeypatch.setattr(retries, "_FIRST_WAIT", 0.001)
    bucket, content = moto.new_bucket(), pattern(size)
    proxy = Script(moto.port)
    async with running_proxy(proxy):
        options = {**moto.options(proxy.port), "part_size": PART, "retries": 2}
        async with S3Driver(bucket, "prefix", **options) as driver:
            proxy.script = iter(script)
            error: StorageFailure | None = None
            try:
                assert (await write_all(driver, "key", content)).size == size
            except StorageFailure as caught:
                error = caught
                assert error.retryable
            proxy.script = iter(())
            there = await keys_of(driver)
            assert there == ["key"] or (error is not None and there == [])
            if there:
                read = await read_all(driver, "key")
                assert (len(read), hash(read)) == (len(content), hash(content))
            # An upload whose beginning was not answered has no name by which it could be aborted.
            if not any(isinstance(fault, LoseAnswer) for fault in script):
                assert moto.uploads(bucket) == []
            moto.age(bucket, DAY)
            await driver.purge_writers(timedelta(hours=1))
            assert moto.uploads(bucket) == []
        assert connections_in_use(driver) == []
