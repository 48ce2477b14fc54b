"""Limits on the time that the server waits for a client; they cost next to nothing without a wait."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from types import coroutine
from typing import Any, TypeVar

from ...concurrency import until

Result = TypeVar("Result")


async def within(seconds: float, awaitable: Awaitable[Result], late: Callable[[], Exception]) -> Result:
    """Await something for a number of seconds at most, and return its result.

    It runs up to its first wait before a timer is set. Most calls end there, since the server mostly takes a
    message, or has one, at once. A timer costs 5 µs, and a small answer would pay two of them.

    Raises:
        Exception: The time was over, and the awaitable is cancelled; `late` makes the exception.
    """
    begun: Generator[Any, Any, Result] = awaitable.__await__()
    try:
        waits_for = next(begun)
    except StopIteration as end:
        result: Result = end.value
        return result
    try:
        async with until(asyncio.get_running_loop().time() + seconds) as timer:
            return await _rest(begun, waits_for)
    except TimeoutError as error:
        if not timer.expired:
            raise
        raise late() from error


@coroutine
def _rest(begun: Generator[Any, Any, Result], waits_for: object) -> Generator[Any, Any, Result]:
    """Go on with the begun generator, as `yield from` would."""
    try:
        while True:
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001 (a cancellation, too, is for the begun generator)
                waits_for = begun.throw(error)
            else:
                waits_for = next(begun)
    except StopIteration as end:
        result: Result = end.value
        return result
