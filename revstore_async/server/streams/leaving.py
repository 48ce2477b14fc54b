"""Notices that a client leaves, before its body is read."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from starlette.requests import HTTPConnection, Request
from starlette.types import Message, Receive

from ...concurrency import alongside
from ...errors import ClientGone
from ..observing.observed import header

Result = TypeVar("Result")


class Receiving:
    """A `receive` around another, through which an access policy notices that the client leaves.

    It keeps the messages that it takes in the meantime, and gives them to the handler.

    Args:
        receive: The server's `receive`.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive: Final = receive
        self._kept: Final[deque[Message]] = deque()

    async def __call__(self) -> Message:
        """Return the next message."""
        return self._kept.popleft() if self._kept else await self._receive()

    async def left(self) -> None:
        """Return when the client has left.

        It takes at most the first piece of a body, which the server has in memory anyway. If the body goes on,
        it then waits for ever.
        """
        while not self._kept or not self._kept[-1].get("more_body", False):
            message = await self._receive()
            self._kept.append(message)
            if message["type"] == "http.disconnect":
                return
        await asyncio.Event().wait()


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
    if (
        isinstance(connection, Request)
        and isinstance(connection.receive, Receiving)
        and not header(connection.scope, b"expect")
    ):
        await connection.receive.left()
    else:
        await asyncio.Event().wait()
