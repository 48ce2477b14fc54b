"""Servers that take the deletion of many objects only with its MD5, or not at all."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import md5
from typing import Any

import pytest

from revstore_async.doctor import Verdict, examine
from revstore_async.errors import Unsupported
from revstore_drivers.s3 import S3Driver
from tests.parts.buckets import Kind
from tests.parts.minio import MinIO
from tests.parts.proxy import Answer, Fault, Proxy, Request, running


def deletes_many(request: Request) -> bool:
    path, _, query = request.target.partition("?")
    return request.method == "POST" and path.count("/") <= 2 and query.split("=")[0] == "delete"


class DemandsMD5(Proxy):
    """As S3 was before it knew other checksums, and as some servers are still."""

    async def _spoiled(self, request: Request, writer: asyncio.StreamWriter, fault: Fault | None) -> bool:
        expected = b64encode(md5(request.body).digest()).decode()
        if deletes_many(request) and request.headers.get("content-md5") != expected:
            fault = Answer(400, "MissingContentMD5")
        return await super()._spoiled(request, writer, fault)


class DeletesOneByOne(Proxy):
    """As Google Cloud Storage was for years."""

    async def _spoiled(self, request: Request, writer: asyncio.StreamWriter, fault: Fault | None) -> bool:
        if deletes_many(request):
            fault = Answer(501, "NotImplemented")
        return await super()._spoiled(request, writer, fault)


@pytest.fixture
async def demanding(minio: MinIO) -> AsyncIterator[Proxy]:
    async with running(DemandsMD5(minio.port)) as proxy:
        yield proxy


@pytest.fixture
async def lacking(minio: MinIO) -> AsyncIterator[Proxy]:
    async with running(DeletesOneByOne(minio.port)) as proxy:
        yield proxy


async def test_a_server_that_demands_the_md5_of_a_deletion_gets_it(
    minio: MinIO, demanding: Proxy, kind: Kind
):
    options = {**minio.options(), "endpoint_url": demanding.url}
    async with kind.make(minio.new_bucket(), **options) as driver:
        for key in "abc":
            await driver.put(key, b"")
        await driver.delete_many("ab")
        assert [info.key for info in (await driver.list_all()).entries] == ["c"]


async def test_a_server_that_deletes_one_by_one_is_asked_so_where_that_is_declared(
    minio: MinIO, lacking: Proxy, kind: Kind
):
    options = {**minio.options(), "endpoint_url": lacking.url}
    bucket = minio.new_bucket()
    async with kind.make(bucket, **options) as driver:
        assert driver.capabilities.bulk_delete
        await driver.put("a/b", b"")
        with pytest.raises(Unsupported):
            await driver.delete_many(["a/b", "a/c"])
    async with kind.make(bucket, **options, bulk_delete=False) as driver:
        assert not driver.capabilities.bulk_delete
        for key in ("a/b", "a/c", "a/d", "b"):
            await driver.put(key, b"")
        await driver.delete_many(["a/b", "a/never"])
        await driver.delete_prefix("a")
        assert [info.key for info in (await driver.list_all()).entries] == ["b"]


async def test_the_doctor_finds_it_and_leaves_nothing(minio: MinIO, lacking: Proxy):
    options: dict[str, Any] = {**minio.options(), "endpoint_url": lacking.url, "part_size": "5MiB"}
    bucket = minio.new_bucket()
    async with S3Driver(bucket, **options) as driver:
        report = await examine(driver)
        assert report.options == {"bulk_delete": False}
        assert not (await driver.list_all()).entries
    async with S3Driver(bucket, **{**options, **report.options}) as driver:
        report = await examine(driver)
        assert report.healthy
        (finding,) = [each for each in report.findings if each.check == "deletion of many"]
        assert finding.verdict is Verdict.HONOURED
