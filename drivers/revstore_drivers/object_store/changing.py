"""Copies, which the server makes, and deletions."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

import obstore

from revstore_async.concurrency import gather_map
from revstore_async.driver import FileInfo

from ..buckets.refusals import Refused
from .client import Client
from .config import S3
from .errors import MISSING, TOO_LARGE, of_refused
from .reading import open_reader, stat
from .stores import Store
from .writing import open_writer

_AT_ONCE: Final = 1000  # keys of one request


async def copy(client: Client, source: str, target: str) -> FileInfo:
    """Copy an object to another key: two requests.

    Content that S3 does not copy in one request passes through this process.

    Raises:
        KeyNotFound: There is no source.
    """

    async def send(store: Store) -> None:
        await obstore.copy_async(store, source, target)

    try:
        await client.ask(source, send, changes=True)
    except Refused as refused:
        if refused.code != TOO_LARGE:
            raise of_refused(refused, source) from refused
        return await _pass_on(client, source, target)
    return await stat(client, target)


async def _pass_on(client: Client, source: str, target: str) -> FileInfo:
    async with (
        open_reader(client, source, 0, None) as reader,
        open_writer(client, target) as writer,
    ):
        async for piece in reader:
            await writer.write(piece)
        return await writer.commit()


async def delete(client: Client, key: str) -> None:
    """Delete an object, if it is there."""

    async def send(store: Store) -> None:
        await obstore.delete_async(store, key)

    try:
        await client.ask(key, send, changes=True)
    except Refused as refused:
        if refused.code != MISSING:
            raise of_refused(refused, key) from refused


async def delete_many(client: Client, keys: Sequence[str], until: datetime | None) -> None:  # noqa: ARG001 (no end is taken)
    """Delete the objects that are there: on S3 a thousand in a request, elsewhere one in a request."""
    for first in range(0, len(keys), _AT_ONCE):
        batch = keys[first : first + _AT_ONCE]
        if client.options.scheme == S3:
            await _delete_batch(client, batch)
        else:
            await _delete_each(client, batch)


async def _delete_batch(client: Client, keys: Sequence[str]) -> None:
    async def send(store: Store) -> None:
        await obstore.delete_async(store, keys)

    try:
        await client.ask(keys[0], send, changes=True)
    except Refused as refused:
        raise of_refused(refused, keys[0]) from refused


async def _delete_each(client: Client, keys: Sequence[str]) -> None:
    await gather_map(partial(delete, client), keys, limit=client.options.pool)
