"""A registry for tests: in this process, with a URL that any client can talk to.

For pytest, a fixture. It needs neither a fixture of the loop nor a plugin, and serves tests of either kind:

    pytest_plugins = ["revstore_async.testing.registry"]

    def test_what_my_program_pushes_can_be_pulled(revstore: RunningRegistry):
        my_program.push(f"{revstore.host}/library/hello:latest")
        assert httpx.get(f"{revstore.url}/v2/library/hello/tags/list").json()["tags"] == ["latest"]

For another store or policy, `running` makes one, as a fixture of your own does; in a program that has a loop
already, `serving` runs any ASGI application in it. Extras: `server` and `testing`.

PYTEST_DONT_REWRITE: nothing is asserted here, and tests import this before pytest takes it for a plugin.
"""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
import uvicorn

from ..policy import Policy
from ..registry import Registry
from ..server import AccessPolicy, RegistryApp, ServerOptions
from ..server.events import Event

R = TypeVar("R")

_SECONDS_TO_STOP = 5  # for requests that are under way when the test is over


@dataclass(frozen=True, slots=True)
class RunningRegistry:
    """A registry that serves, in a thread of its own.

    Attributes:
        url: Where: `http://127.0.0.1:PORT`, without a slash at the end.
        events: What happened so far: pushes, pulls, deletes, mounts.
    """

    url: str
    events: list[Event] = field(repr=False)
    _registry: Registry = field(repr=False)
    _loop: asyncio.AbstractEventLoop = field(repr=False)

    @property
    def host(self) -> str:
        """Host and port, as they stand before a repository's name in an image reference."""
        return self.url.removeprefix("http://")

    def run(self, work: Callable[[Registry], Awaitable[R]]) -> R:
        """Call a coroutine function with the registry, on the loop that it is open in, and return its result.

            revstore.run(lambda registry: registry.repository("library/hello").manifests.put(document))

        It waits: from a coroutine of a test, call it by `asyncio.to_thread`.
        """

        async def call() -> R:
            return await work(self._registry)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result()


@contextmanager
def running(
    store: str = "memory:",
    *,
    access: AccessPolicy | None = None,
    options: ServerOptions | None = None,
    policy: Policy | None = None,
) -> Iterator[RunningRegistry]:
    """Run a registry in a thread, on a free port of loopback, for the time of the block.

    Args:
        store: The store's URL; a `memory:` store is empty, and gone after it.
        access: Who may do what; everybody everything where it is left out.
        options: Limits and the like.
        policy: What is demanded of manifests and tags.

    Raises:
        InvalidStoreURL: The URL or an option is not understood.
    """
    started: Future[RunningRegistry] = Future()
    stop = asyncio.Event()

    async def serve() -> None:
        events: list[Event] = []

        async def note(event: Event) -> None:
            events.append(event)

        async with Registry.open(store, policy=policy) as registry:
            app = RegistryApp(registry, access=access, options=options, listener=note)
            async with serving(app) as url:
                started.set_result(RunningRegistry(url, events, registry, asyncio.get_running_loop()))
                await stop.wait()

    def main() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)  # the caller's, who waits for it

    def end(started: Future[RunningRegistry]) -> None:
        if started.exception() is None:
            started.result()._loop.call_soon_threadsafe(stop.set)  # noqa: SLF001 (of this module)

    thread = threading.Thread(target=main, name="revstore-registry")
    thread.start()
    try:
        yield started.result()
    finally:
        started.add_done_callback(end)  # where the wait for it was interrupted, it ends when it has started
        thread.join()


@asynccontextmanager
async def serving(
    app: Callable[..., Awaitable[None]],
    *,
    lifespan: bool = False,
    **options: Any,  # noqa: ANN401 (they are of many types)
) -> AsyncIterator[str]:
    """Serve an ASGI application from this loop, on a free port of loopback; give its URL.

        async with Registry.open("memory:") as registry, serving(RegistryApp(registry)) as url:
            ...

    Args:
        app: The application.
        lifespan: Whether it opens what it needs itself; without it, that is open already.
        **options: More of `uvicorn.Config`.
    """
    chosen = {
        "lifespan": "on" if lifespan else "off",
        "ws": "none",
        "log_config": None,  # logging is the test's
        "access_log": False,
        "timeout_graceful_shutdown": _SECONDS_TO_STOP,
    }
    server = _Server(uvicorn.Config(app, **(chosen | options)))
    # Only of a socket that was made for TCP by name does asyncio switch Nagle's algorithm off.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        task = asyncio.create_task(server.serve([listener]))
        try:
            while not server.started:
                if task.done():
                    await task
                await asyncio.sleep(0.001)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            await task


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's signals alone: they are the test's."""
        yield


@pytest.fixture
def revstore() -> Iterator[RunningRegistry]:
    """Give a registry, empty, with its URL; it is gone after the test."""
    with running() as registry:
        yield registry
