"""How long a client is waited for: at next to no cost where there is nothing to wait for."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from types import coroutine
from typing import Any, TypeVar

from ...concurrency import until

Result = TypeVar("Result")


async def within(seconds: float, awaitable: Awaitable[Result], late: Callable[[], Exception]) -> Result:
    """Await something for so long at most, and return its result.

    It is begun before a timer is set, and mostly over by then: a server takes what it is given, and has what is
    asked of it. A timer costs 5 µs, of which a small answer would pay two.

    Raises:
        Exception: What `late` makes, where it took longer, and was cancelled.
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
    """Go on with what was begun by hand, as `yield from` would."""
    try:
        while True:
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001 (such as a cancellation: it's for what was begun)
                waits_for = begun.throw(error)
            else:
                waits_for = next(begun)
    except StopIteration as end:
        result: Result = end.value
        return result
