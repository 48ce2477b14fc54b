"""Requests that a proxy sends twice, and uploads that another program aborts, on MinIO."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from revstore_async import Digest, Registry
from revstore_async.driver import IfAbsent, IfMatch, Source
from revstore_async.errors import ConditionFailed, Unavailable
from revstore_drivers.s3 import S3Driver, uploads
from revstore_drivers.s3.client import Client
from revstore_drivers.s3.uploads import Upload
from tests.parts.minio import MinIO
from tests.parts.suite import pattern, write_all
from tests.parts.uploads import holds, left_of_uploads, pieces

MIB = 1 << 20

Once = Callable[..., Awaitable[Any]]


@pytest.fixture
def twice(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Operations that are sent twice, once each; the caller gets the second answer."""
    operations: list[str] = []
    once: Once = Client.once

    async def replayed(self: Client, operation: str, key: str, /, **parameters: object) -> Any:
        conditional = {"IfMatch", "IfNoneMatch"} & {*parameters} or operation.startswith("complete")
        if conditional and operation in operations:
            operations.remove(operation)
            await once(self, operation, key, **parameters)
        return await once(self, operation, key, **parameters)

    monkeypatch.setattr(Client, "once", replayed)
    return operations


async def test_a_write_that_was_sent_twice_does_not_lose_to_itself(minio: MinIO, twice: list[str]) -> None:
    async with S3Driver(minio.new_bucket(), **minio.options(), part_size=5 * MIB) as driver:
        twice.append("put_object")
        info = await driver.put("key", b"first", condition=IfAbsent())
        twice.append("put_object")
        changed = await driver.put("key", b"second", condition=IfMatch(info.etag))
        assert not twice
        assert (await driver.stat("key")).etag == changed.etag
        with pytest.raises(ConditionFailed):
            await driver.put("key", b"third", condition=IfMatch(info.etag))
        twice.append("complete_multipart_upload")
        await write_all(driver, "large", pattern(6 * MIB))
        assert not twice
        assert (await driver.stat("large")).size == 6 * MIB


@pytest.mark.parametrize("call", ["append", "finish"])
async def test_what_a_replayed_request_added_stays(minio: MinIO, twice: list[str], call: str) -> None:
    async with Registry(S3Driver(minio.new_bucket(), **minio.options())) as registry:
        repository = registry.repository("hello")
        upload = await repository.uploads.start()
        await repository.uploads.append(upload.id, b"first")
        twice.append("put_object")
        whole = Digest.of(b"firstsecond")
        if call == "append":
            after = await repository.uploads.append(upload.id, b"second", offset=5)
            assert after.offset == 11
            await repository.uploads.finish(upload.id, whole)
        else:
            await repository.uploads.finish(upload.id, whole, b"second", offset=5)
        assert not twice
        assert await holds(repository, b"firstsecond")
        assert await left_of_uploads(registry) == []


@pytest.mark.parametrize("step", ["put_part", "complete"])
async def test_a_composition_that_is_aborted_by_another_is_an_error_of_the_engines(
    minio: MinIO, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    async with S3Driver(minio.new_bucket(), **minio.options(), part_size=5 * MIB) as driver:
        sources = [Source("small", 100), Source("a", 6 * MIB), Source("b", 6 * MIB)]
        for source in sources:
            await write_all(driver, source.key, bytes(source.size))
        whole: Once = getattr(Upload, step)

        async def late(self: Upload, *arguments: Any) -> Any:
            await self.client.ask("abort_multipart_upload", self.key, changes=True, **self._named())
            return await whole(self, *arguments)

        monkeypatch.setattr(Upload, step, late)
        with pytest.raises(Unavailable):
            await driver.compose(sources, "target")
        assert minio.uploads() == []


async def test_one_request_may_be_longer_than_a_servers_parts(
    minio: MinIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PARTS", 4)
    monkeypatch.setattr("revstore_async.uploads.segments._PARTS_AT_MOST", 4)
    content = pattern(24 * MIB)
    driver = S3Driver(minio.new_bucket(), **minio.options(), part_size=5 * MIB)
    async with Registry(driver) as registry:
        repository = registry.repository("hello")
        upload = await repository.uploads.start()
        after = await repository.uploads.append(upload.id, pieces(content, MIB))
        assert after.offset == len(content)
        await repository.uploads.finish(upload.id, Digest.of(content))
        assert await holds(repository, content)
        assert await left_of_uploads(registry) == []


async def test_parts_in_memory_are_bounded_for_all_writers_together(
    minio: MinIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**minio.options(), "part_size": 5 * MIB, "parallel_parts": 2, "pool": 8}
    under_way, most = 0, 0
    put_part: Once = Upload.put_part

    async def counted(self: Upload, *arguments: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await put_part(self, *arguments)
        finally:
            under_way -= 1

    monkeypatch.setattr(Upload, "put_part", counted)
    async with S3Driver(minio.new_bucket(), **options) as driver, AsyncExitStack() as stack:
        content = bytes(12 * MIB)
        opened: list[Any] = [
            await stack.enter_async_context(driver.open_writer(f"key/{number}")) for number in range(4)
        ]
        for writer in opened:
            await writer.write(content)
            assert len(writer._sending) <= 2
        assert sum(len(writer._sending) for writer in opened) <= 2
        for writer in opened:
            await writer.commit()
        assert 0 < most <= 2
        for number in range(4):
            assert (await driver.stat(f"key/{number}")).size == len(content)
