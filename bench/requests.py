"""The cost of single requests for a client, in a process of its own: `python -m bench.requests WAY REQUEST`.

The process reads JSON from standard input: the store, the number of requests at once, and the duration. It
writes JSON: requests a second, and milliseconds of CPU for each, all threads of the process together.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Protocol

from revstore_async.driver import Driver
from revstore_async.driver.opening import open_driver

from .content import SMALL
from .floor import aioboto3_client, obstore_client
from .loops import run
from .stores import FLOOR, S3Store

_MANIFEST = 2000
_WARM_UP = 100  # requests that don't count: connections, the first request's extras


class _Client(Protocol):
    """The requests that every way can make."""

    async def get(self, key: str) -> object: ...

    async def head(self, key: str) -> object: ...

    async def put(self, key: str, content: bytes) -> object: ...


class _Driven:
    """One of our drivers."""

    def __init__(self, driver: Driver) -> None:
        self.get = driver.get
        self.head = driver.stat
        self.put = driver.put


@asynccontextmanager
async def _driver(scheme: str, store: S3Store, _endpoint: str | None) -> AsyncIterator[_Client]:
    url = store.url().replace("s3:", f"{scheme}:", 1)
    async with open_driver(url, **store.credentials()) as driver:
        yield _Driven(driver)


WAYS: Mapping[str, Callable[[S3Store, str | None], AbstractAsyncContextManager[_Client]]] = {
    "driver s3": partial(_driver, "s3"),
    "driver obstore+s3": partial(_driver, "obstore+s3"),
    "aioboto3": aioboto3_client,
    "obstore": obstore_client,
}
"""Our drivers, and the raw clients below them."""

REQUESTS: Mapping[str, Callable[[_Client, int], Awaitable[object]]] = {
    "GET 2 kB": lambda client, _: client.get(f"{FLOOR}/manifest"),
    "GET 100 kB": lambda client, _: client.get(f"{FLOOR}/layer"),
    "HEAD": lambda client, _: client.head(f"{FLOOR}/manifest"),
    "PUT 2 kB": lambda client, number: client.put(f"{FLOOR}/put-{number % 100}", bytes(_MANIFEST)),
}


async def measure(
    way: str, request: str, store: S3Store, *, at_once: int, seconds: float
) -> Mapping[str, float]:
    """Make one kind of request for a while.

    Args:
        way: The client that makes the request.
        request: The kind of the request.
        store: The store that answers it.
        at_once: The number of requests under way at once.
        seconds: The duration.
    """
    made = 0

    async def make(client: _Client, until: Callable[[], bool]) -> None:
        nonlocal made
        while not until():
            made += 1
            await REQUESTS[request](client, made)

    async def together(client: _Client, until: Callable[[], bool]) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(make(client, until))

    async with WAYS[way](store, None) as client:
        await client.put(f"{FLOOR}/manifest", bytes(_MANIFEST))
        await client.put(f"{FLOOR}/layer", bytes(SMALL))
        await together(client, lambda: made >= _WARM_UP)
        made, cpu, start = 0, time.process_time(), time.perf_counter()
        await together(client, lambda: time.perf_counter() - start > seconds)
        taken = time.perf_counter() - start
        return {"rate": made / taken, "cpu": (time.process_time() - cpu) * 1000 / made}


async def _main() -> None:
    told = json.loads(sys.stdin.read())
    store = S3Store(**told.pop("store"))
    print(json.dumps(await measure(sys.argv[1], sys.argv[2], store, **told)), flush=True)
    # obstore's own threads may still want the interpreter while it ends, and abort the process.
    os._exit(0)


if __name__ == "__main__":
    run(_main())
