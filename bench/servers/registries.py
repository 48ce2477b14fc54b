"""The compared registries: ours and Docker Distribution, on one store, each with its own door to it."""

import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex

from ..http import Client
from ..link import Link
from ..processes import Process, answers, built, free_port, running, without_aws
from ..stores import Store

OURS = "ours"
DISTRIBUTION = "distribution"
CACHING = "distribution-cache"
OBSTORE = "ours-obstore"
DOORS = (OURS, OBSTORE, DISTRIBUTION, CACHING, "engine", "aioboto3", "obstore")
"""The doors of a run's link."""

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Party:
    """A running registry.

    Attributes:
        name: One of `PARTIES`.
        port: The port at which it listens.
        process: Its process.
        client: A client of it.
    """

    name: str
    port: int
    process: Process
    client: Client


@contextmanager
def ours(
    store: Store, endpoint: str | None, folder: Path, *, obstore: bool = False
) -> Iterator[tuple[int, Process]]:
    """Run our server under uvicorn, one worker, with uvloop and httptools if they are installed.

    Args:
        store: The store.
        endpoint: An endpoint of the store other than its own, such as a door of the link.
        folder: The folder of its log.
        obstore: Whether to use the driver on obstore for an S3 store, instead of the driver on aioboto3.
    """
    port = free_port()
    url = store.url(endpoint)
    if obstore and url.startswith("s3:"):
        url = f"obstore+{url}"
    environment = without_aws() | dict(store.environment()) | {"REVSTORE_BENCH_STORE": url}
    command = [sys.executable, "-m", "uvicorn", "--factory", "bench.servers.app:app", "--app-dir", str(_ROOT)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--no-access-log", "--log-level", "warning"]
    command += ["--no-proxy-headers", "--no-server-header"]  # as `revstore serve` has it
    with running(command, environment, folder / "ours.log", lambda: answers(port, "/v2/")) as process:
        yield port, process


@contextmanager
def distribution(
    store: Store, endpoint: str | None, folder: Path, *, cached: bool = False
) -> Iterator[tuple[int, Process]]:
    """Run Docker Distribution; with its cache of blob descriptors in memory, if wanted."""
    port = free_port()
    command = [built("registry"), "serve", str(configuration(store, endpoint, folder, port, cached=cached))]
    log = folder / "distribution.log"
    with running(command, distributions_environment(), log, lambda: answers(port, "/v2/")) as process:
        yield port, process


def configuration(
    store: Store, endpoint: str | None, folder: Path, port: int = 0, *, cached: bool = False
) -> Path:
    """Write Distribution's configuration for a store.

    Args:
        store: The store.
        endpoint: An endpoint of the store other than its own.
        folder: The folder of the written file.
        port: The port of the server.
        cached: Whether the server keeps blob descriptors in memory.
    """
    storage = {
        **store.distribution(endpoint),
        "delete": {"enabled": True},
        "redirect": {"disable": True},  # it hands out the bytes itself, as we do
        # Distribution would purge uploads that it takes for abandoned, at a time of its own.
        "maintenance": {"uploadpurging": {"enabled": False}},
        **({"cache": {"blobdescriptor": "inmemory"}} if cached else {}),
    }
    content = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
        "storage": storage,
    }
    written = folder / f"distribution-{token_hex(4)}.yml"
    written.write_text(json.dumps(content))  # JSON is YAML
    return written


def distributions_environment() -> dict[str, str]:
    """Return Distribution's environment; it would send traces to a collector that isn't there."""
    return without_aws() | {"OTEL_TRACES_EXPORTER": "none"}


_Running = Callable[[Store, str | None, Path], AbstractContextManager[tuple[int, Process]]]

_KINDS: Mapping[str, _Running] = {
    OURS: ours,
    OBSTORE: partial(ours, obstore=True),
    DISTRIBUTION: distribution,
    CACHING: partial(distribution, cached=True),
}

PARTIES = tuple(_KINDS)
"""The names of all of them."""


@asynccontextmanager
async def serving(
    store: Store, link: Link | None, folder: Path, names: Sequence[str]
) -> AsyncIterator[Mapping[str, Party]]:
    """Run registries, for as long as the block lasts.

    Args:
        store: The store that they share.
        link: The link with their doors to the store; None to use the store directly.
        folder: The folder of their logs.
        names: The registries' names.
    """
    async with AsyncExitStack() as stack:
        parties = {}
        for name in names:
            endpoint = link.url(name) if link is not None else None
            port, process = stack.enter_context(_KINDS[name](store, endpoint, folder))
            client = Client(port)
            stack.callback(client.close)
            parties[name] = Party(name, port, process, client)
        yield parties
