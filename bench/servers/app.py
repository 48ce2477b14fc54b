"""Our server as uvicorn runs it: `uvicorn --factory bench.servers.app:app`, the store in the environment."""

from os import environ

from revstore_async import Registry
from revstore_async.server import RegistryApp
from revstore_async.server.running.uvicorn_server import calm_collector


def app() -> RegistryApp:
    """Return the application for the store that REVSTORE_BENCH_STORE names."""
    calm_collector()  # as `revstore serve` does
    return RegistryApp(Registry.open(environ["REVSTORE_BENCH_STORE"]))
