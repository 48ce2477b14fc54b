"""Drivers of a bucket behind a proxy that spoils requests, and without one."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.parts.buckets import OBSTORE, S3, Bucketed, Kind
from tests.parts.minio import MinIO
from tests.parts.proxy import Proxy, running


@pytest.fixture
async def proxy(minio: MinIO) -> AsyncIterator[Proxy]:
    """A proxy before MinIO."""
    async with running(minio.port) as proxy:
        yield proxy


@pytest.fixture(params=[S3, OBSTORE], ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Which driver it is."""
    found: Kind = request.param
    return found


@pytest.fixture
def spoilt_options(minio: MinIO, proxy: Proxy) -> dict[str, Any]:
    """Options by which a driver goes through the proxy, and loses its patience soon."""
    return {**minio.options(), "endpoint_url": proxy.url, "part_size": 5 << 20, "read_timeout": 1}


@pytest.fixture
async def spoilt(
    minio: MinIO, proxy: Proxy, kind: Kind, spoilt_options: dict[str, Any]
) -> AsyncIterator[Bucketed]:
    """A driver behind the proxy, which must meet every fault and hold nothing in the end."""
    async with kind.make(minio.new_bucket(), "prefix", **spoilt_options) as driver:
        yield driver
        assert kind.held(driver) == []
    assert proxy.unused() == 0, "a fault was not met"


@pytest.fixture
async def bucket(minio: MinIO, kind: Kind) -> AsyncIterator[Bucketed]:
    """A driver of a new bucket, without the proxy."""
    async with kind.make(minio.new_bucket(), **minio.options()) as driver:
        yield driver
