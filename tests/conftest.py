"""Every test of the engine's behaviour runs on each store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from revstore_async import Driver, Registry, Repository, open_driver


@pytest.fixture(params=["memory", "file"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else (tmp_path / "store").as_uri()


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
