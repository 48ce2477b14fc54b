"""Writers of the S3 driver: what they send, hold, leave, and how another process goes on."""

import asyncio
import json
import os
import sys
from datetime import timedelta

import pytest

from revstore_async.driver import IfAbsent, Writer
from revstore_async.errors import ConditionFailed, KeyNotFound, WriterBusy, WriterNotFound
from revstore_drivers.buckets.refusals import Refused
from revstore_drivers.s3 import S3Driver, unfinished
from revstore_drivers.s3.uploads import Upload
from tests.parts.minio import MinIO
from tests.parts.s3 import Wire, connections_in_use
from tests.parts.suite import pattern, read_all, suspended, write_all

PART = 5 << 20


@pytest.fixture
async def driver(minio: MinIO):
    options = {**minio.options(), "part_size": PART, "parallel_parts": 3}
    async with S3Driver(minio.new_bucket(), "prefix", **options) as driver:
        yield driver
        assert connections_in_use(driver) == []


async def test_small_content_goes_in_one_request(driver: S3Driver):
    with Wire(driver) as wire:
        await write_all(driver, "key", pattern(PART - 10), pattern(10))
    assert wire.operations == ["PutObject"]


async def test_parts_are_of_one_size(driver: S3Driver):
    content = pattern(3 * PART + 17)
    with Wire(driver) as wire:
        await write_all(
            driver, "key", *(content[at : at + 700_001] for at in range(0, len(content), 700_001))
        )
    assert wire.operations[0] == "CreateMultipartUpload"
    assert sorted(wire.operations[1:-2]) == ["UploadPart"] * 4
    assert wire.operations[-2:] == ["CompleteMultipartUpload", "HeadObject"]
    assert sorted(wire.sizes("UploadPart")) == [17, PART, PART, PART]
    assert await read_all(driver, "key") == content


async def test_so_many_parts_at_once(driver: S3Driver):
    with Wire(driver) as wire:
        await write_all(driver, "key", pattern(10 * PART))
    assert 1 < wire.most_at_once["UploadPart"] <= 3


async def test_a_tail_waits_beside_the_keys(driver: S3Driver, minio: MinIO):
    bucket = driver.options.bucket
    state = await suspended(driver, "key", pattern(PART + 1000))
    beside = minio.names(bucket)
    assert len(beside) == 2
    assert all(name.startswith("prefix/,writers/") for name in beside)
    assert len(state) < 200
    assert (await driver.list_all()).entries == ()
    assert (await driver.list()).entries == ()
    async with driver.open_writer("key", resume=state) as writer:
        await writer.commit()
    assert minio.names(bucket) == ["prefix/key"]
    assert await read_all(driver, "key") == pattern(PART + 1000)


async def test_a_part_size_stays_that_of_the_beginning(driver: S3Driver, minio: MinIO):
    """Parts are equal for R2, though another process is told another size."""
    content = pattern(5 * PART + 3)
    state = await suspended(driver, "key", content[: PART + 9])
    options = {**minio.options(), "part_size": 2 * PART}
    async with S3Driver(driver.options.bucket, "prefix", **options) as other:
        with Wire(other) as wire:
            async with other.open_writer("key", resume=state) as writer:
                await writer.write(content[PART + 9 :])
                await writer.commit()
    assert sorted(wire.sizes("UploadPart")) == [3, PART, PART, PART, PART]
    assert await read_all(driver, "key") == content


GO_ON = """
import asyncio, json, os, signal, sys
from revstore_drivers.buckets.refusals import Refused
from revstore_drivers.s3 import S3Driver, unfinished
from datetime import timedelta

async def main():
    said = json.loads(sys.stdin.readline())
    async with S3Driver(said["bucket"], "prefix", **said["options"]) as driver:
        async with driver.open_writer("key", resume=said["state"].encode()) as writer:
            await writer.write(bytes(said["size"]))
            while writer._sending:
                await asyncio.sleep(0.01)
            print("written", flush=True)
            if said["killed"]:
                os.kill(os.getpid(), signal.SIGKILL)
            await writer.commit()

asyncio.run(main())
"""


async def go_on(driver: S3Driver, minio: MinIO, state: bytes, size: int, *, killed: bool) -> str:
    options = {**minio.options(), "part_size": PART}
    said = {
        "bucket": driver.options.bucket,
        "options": options,
        "state": state.decode(),
        "size": size,
        "killed": killed,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        GO_ON,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ},
    )
    out, _ = await process.communicate(json.dumps(said).encode() + b"\n")
    return out.decode()


async def test_a_new_process_goes_on(driver: S3Driver, minio: MinIO):
    state = await suspended(driver, "key", pattern(PART + 1000))
    assert await go_on(driver, minio, state, 2 * PART, killed=False) == "written\n"
    assert await read_all(driver, "key") == pattern(PART + 1000) + bytes(2 * PART)


async def test_a_killed_process_is_taken_over_from(driver: S3Driver, minio: MinIO, monkeypatch):
    """A process was killed at work: until its lease is over it counts as busy, then another goes on."""
    state = await suspended(driver, "key", pattern(PART + 1000))
    assert await go_on(driver, minio, state, 2 * PART, killed=True) == "written\n"
    with pytest.raises(WriterBusy):
        async with driver.open_writer("key", resume=state):
            pytest.fail("the block was entered")
    monkeypatch.setattr(unfinished, "LEASE", timedelta(seconds=-1))
    async with driver.open_writer("key", resume=state) as writer:
        assert writer.offset == PART + 1000
        await writer.write(b"other bytes than the killed one's" * 300_000)
        await writer.commit()
    assert (
        await read_all(driver, "key") == pattern(PART + 1000) + b"other bytes than the killed one's" * 300_000
    )


async def test_who_was_taken_for_dead_does_no_harm(driver: S3Driver, minio: MinIO, monkeypatch):
    state = await suspended(driver, "key", pattern(PART + 1000))
    async with driver.open_writer("key", resume=state) as slow:
        await slow.write(b"s" * PART)
        await sent(slow)
        with monkeypatch.context() as patch:
            patch.setattr(unfinished, "LEASE", timedelta(seconds=-1))
            async with driver.open_writer("key", resume=state) as other:
                await other.write(b"o" * PART)
                await other.commit()
        with pytest.raises(WriterNotFound):
            await slow.suspend()
    assert await read_all(driver, "key") == pattern(PART + 1000) + b"o" * PART
    assert minio.names(driver.options.bucket) == ["prefix/key"]


async def test_a_late_part_of_who_was_taken_for_dead_is_never_content(driver: S3Driver, monkeypatch):
    """Its part took the place of the other's: then the other can't complete, rather than complete wrongly."""
    state = await suspended(driver, "key", pattern(PART + 1000))
    with pytest.raises(WriterNotFound):
        async with driver.open_writer("key", resume=state) as slow:
            monkeypatch.setattr(unfinished, "LEASE", timedelta(seconds=-1))
            async with driver.open_writer("key", resume=state) as other:
                await other.write(b"o" * PART)
                await sent(other)
                await slow.write(b"s" * PART)
                await sent(slow)
                await other.commit()
    with pytest.raises(KeyNotFound):
        await driver.stat("key")


async def test_who_was_taken_for_dead_does_not_end_what_another_writes(driver: S3Driver, monkeypatch):
    state = await suspended(driver, "key", pattern(PART + 1000))
    async with driver.open_writer("key", resume=state) as slow:
        with monkeypatch.context() as patch:
            patch.setattr(unfinished, "LEASE", timedelta(seconds=-1))
            async with driver.open_writer("key", resume=state) as other:
                await other.write(b"o" * 2 * PART)
                await sent(other)
                await slow.write(b"s")
                with pytest.raises(WriterNotFound):
                    await slow.commit()
                await other.commit()
    assert await read_all(driver, "key") == pattern(PART + 1000) + b"o" * 2 * PART


async def test_what_another_ended_is_not_taken_for_ones_own(driver: S3Driver):
    """Two hold one upload and so one mark; what is there has another size than what this one wrote."""
    client = driver._client
    assert client is not None
    slow, other = Upload(client, "key"), Upload(client, "key")
    await slow.begin()
    other.id, other.mark = slow.id, slow.mark
    etags = [await slow.put_part(number, pattern(PART)) for number in (1, 2)]
    await other.complete(etags[:1], PART, None)
    with pytest.raises(Refused):
        await slow.complete(etags, 2 * PART, None)
    assert await slow.complete(etags[:1], PART, None) == await driver.stat("key")


async def sent(writer: Writer) -> None:
    """Wait until all parts that a writer began to send have arrived."""
    while under_way := vars(writer)["_sending"]:
        await asyncio.wait(under_way)


async def test_an_upload_that_was_aborted_meanwhile(driver: S3Driver, minio: MinIO):
    async with driver.open_writer("key") as writer:
        await writer.write(pattern(2 * PART))
        raw = minio.raw()
        await asyncio.to_thread(
            raw.abort_multipart_upload,
            Bucket=driver.options.bucket,
            Key="prefix/key",
            UploadId=vars(writer)["_upload"].id,
        )
        with pytest.raises(WriterNotFound):
            await writer.write(pattern(PART))
            await writer.commit()


async def test_a_lost_condition_leaves_no_parts(driver: S3Driver, minio: MinIO):
    before = {*minio.uploads()}
    await driver.put("key", b"there")
    with pytest.raises(ConditionFailed):
        async with driver.open_writer("key") as writer:
            await writer.write(pattern(2 * PART))
            await writer.commit(condition=IfAbsent())
    assert {*minio.uploads()} == before


async def test_copies_by_parts(minio: MinIO):
    options = {**minio.options(), "part_size": PART, "copy_part_size": PART}
    async with S3Driver(minio.new_bucket(), **options) as driver:
        content = pattern(3 * PART + 11)
        await write_all(driver, "source", content)
        with Wire(driver) as wire:
            info = await driver.copy("source", "target")
        assert wire.operations.count("UploadPartCopy") == 4
        assert wire.most_at_once["UploadPartCopy"] > 1
        assert info == await driver.stat("target")
        assert await read_all(driver, "target") == content
        await driver.put("small", b"content")
        with Wire(driver) as wire:
            await driver.copy("small", "target")
        assert wire.operations == ["HeadObject", "CopyObject"]
