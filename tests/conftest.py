"""Every test of the engine's behaviour runs on each store."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from revstore_async import Driver, Registry, Repository, open_driver
from tests.parts.minio import MinIO, running
from tests.parts.servers import S3Server, another, another_is_asked_for


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinIO]:
    with running(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="session")
def s3_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MinIO | S3Server]:
    """The server of the engine's tests: MinIO, if no other is asked for."""
    if not another_is_asked_for():
        yield request.getfixturevalue("minio")
        return
    with another(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_url(s3_server: MinIO | S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty store's URL; the credentials are in the environment."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    return s3_server.new_store_url()


@pytest.fixture(params=["memory", "file", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "memory":
            return "memory:"
        case "file":
            return (tmp_path / "store").as_uri()
    url: str = request.getfixturevalue("s3_url")
    return url


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
