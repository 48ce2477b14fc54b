"""An application over each store, and clients of it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from revstore_async import Policy, Registry
from revstore_async.driver import open_driver
from revstore_async.server import RegistryApp
from revstore_drivers.memory import MemoryDriver
from revstore_drivers.wrappers import Fault, FaultsDriver, Rule, Script
from tests.parts.serving import Server, client_of, serving


@pytest.fixture
def app(registry: Registry) -> RegistryApp:
    return RegistryApp(registry)


@pytest.fixture
async def client(app: RegistryApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `app`, in process."""
    async with client_of(app) as opened:
        yield opened


@pytest.fixture
async def server(app: RegistryApp) -> AsyncIterator[Server]:
    """`app` on a real server."""
    async with serving(app) as running:
        yield running


@pytest.fixture
async def in_memory() -> AsyncIterator[Registry]:
    """A registry for what can't differ from store to store."""
    async with open_driver("memory:") as driver:
        yield Registry(driver)


@pytest.fixture
def lenient_app(in_memory: Registry) -> RegistryApp:
    """A registry that takes a manifest whether or not it has what that refers to."""
    return RegistryApp(Registry(in_memory.driver, policy=Policy(check_layers=False)))


@pytest.fixture
async def lenient(lenient_app: RegistryApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `lenient_app`, in process."""
    async with client_of(lenient_app) as opened:
        yield opened


@pytest.fixture
async def silent() -> AsyncIterator[FaultsDriver]:
    """A store that does not answer."""
    async with FaultsDriver(MemoryDriver(), Script(Rule("", Fault.BEFORE, nth=0))) as driver:
        yield driver
