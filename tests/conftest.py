"""Every test of the engine's behaviour runs on each store."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from revstore_async import Driver, Registry, Repository, open_driver
from tests.parts.minio import MinIO, running


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinIO]:
    with running(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(params=["memory", "file", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    match request.param:
        case "memory":
            return "memory:"
        case "file":
            return (tmp_path / "store").as_uri()
    minio: MinIO = request.getfixturevalue("minio")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio.user)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio.password)
    return f"s3://{minio.new_bucket()}/root?endpoint_url={minio.url}&region=us-east-1"


@pytest.fixture
async def driver(store_url: str) -> AsyncIterator[Driver]:
    async with open_driver(store_url) as opened:
        yield opened


@pytest.fixture
def registry(driver: Driver) -> Registry:
    return Registry(driver)


@pytest.fixture
def repository(registry: Registry) -> Repository:
    return registry.repository("library/hello")


Tick = Callable[[], Awaitable[None]]


@pytest.fixture
def tick(driver: Driver) -> Tick:
    """Wait until the store's clock shows another time: on S3, a second."""
    resolution = driver.capabilities.time_resolution.total_seconds()
    return lambda: asyncio.sleep(resolution * 1.1 if resolution >= 1 else 0)
