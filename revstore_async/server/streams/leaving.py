"""Notices that a client leaves, before its body is read."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import HTTPConnection, Request

from ...concurrency import alongside
from ...errors import ClientGone
from ..exchange import Exchange
from ..observing.observed import header

Result = TypeVar("Result")


async def while_there(connection: HTTPConnection, work: Coroutine[Any, Any, Result]) -> Result:
    """Do work for a client that waits for it, and return its result; cancel it when the client leaves.

    Raises:
        ClientGone: The client left.
    """
    async with alongside(work) as working, alongside(_left(connection)) as leaving:
        await asyncio.wait((working.task, leaving.task), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
    raise ClientGone(0)


async def _left(connection: HTTPConnection) -> None:
    """Return when the client has left; wait for ever if the server can't know that.

    The server can't know it of a client that expects `100 Continue`: the question would make it send its body.
    """
    exchange = getattr(connection.receive, "__self__", None) if isinstance(connection, Request) else None
    if isinstance(exchange, Exchange) and not header(connection.scope, b"expect"):
        await exchange.left()
    else:
        await asyncio.Event().wait()
