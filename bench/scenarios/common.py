"""The steps that several scenarios share."""

from collections.abc import Mapping
from contextlib import AsyncExitStack

from ..context import Bench
from ..floor import Raw, installed
from ..stores import S3Store


async def raw_clients(
    bench: Bench, store: S3Store, latency: float, stack: AsyncExitStack
) -> Mapping[str, Raw]:
    """Open the raw clients that are installed, each behind its own door of the link.

    Args:
        bench: The run.
        store: The store.
        latency: The link's latency, in milliseconds.
        stack: Closes them.
    """
    opened = {}
    for name, client in installed().items():
        endpoint = await bench.endpoint(name, latency)
        opened[name] = await stack.enter_async_context(client(store, endpoint))
    return opened
