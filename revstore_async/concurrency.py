"""Fan-out: `asyncio.gather` with nothing left behind when one of many fails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, overload

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")


@overload
async def gather(a: Coroutine[Any, Any, A], b: Coroutine[Any, Any, B], /) -> tuple[A, B]: ...
@overload
async def gather(
    a: Coroutine[Any, Any, A], b: Coroutine[Any, Any, B], c: Coroutine[Any, Any, C], /
) -> tuple[A, B, C]: ...
@overload
async def gather(
    a: Coroutine[Any, Any, A],
    b: Coroutine[Any, Any, B],
    c: Coroutine[Any, Any, C],
    d: Coroutine[Any, Any, D],
    /,
) -> tuple[A, B, C, D]: ...
@overload
async def gather(*coroutines: Coroutine[Any, Any, A]) -> tuple[A, ...]: ...


async def gather(*coroutines: Coroutine[Any, Any, Any]) -> tuple[Any, ...]:
    """Run coroutines together and return their results in order.

    When one fails, or this call is cancelled, the others are cancelled and awaited before the error leaves:
    `asyncio.gather` alone would let them run on.
    """
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return tuple(await asyncio.gather(*tasks))
    except BaseException:
        await ended(tasks)
        raise


async def gather_map(function: Callable[[A], Awaitable[B]], items: Iterable[A], *, limit: int) -> Sequence[B]:
    """Call a function on each item, at most `limit` at once, and return the results in the items' order.

    No more than `limit` tasks exist at any time. Failure and cancellation are as in `gather`.
    """
    waiting = list(enumerate(items))
    waiting.reverse()
    results: dict[int, B] = {}

    async def work() -> None:
        while waiting:
            index, item = waiting.pop()
            results[index] = await function(item)

    await gather(*(work() for _ in range(min(limit, len(waiting)))))
    return [results[index] for index in range(len(results))]


@asynccontextmanager
async def alongside(coroutine: Coroutine[Any, Any, A]) -> AsyncIterator["asyncio.Task[A]"]:
    """Run a coroutine beside the block, which may await its task; the end of the block cancels it."""
    task = asyncio.ensure_future(coroutine)
    try:
        yield task
    finally:
        await ended([task])


async def settled(work: Coroutine[Any, Any, A], *, grace: float) -> A:
    """Do work that must run to its end, such as a clean-up or the last step of a write.

    Cancellation: the work goes on, for `grace` seconds at most; then the cancellation goes on.
    """
    task = asyncio.ensure_future(work)
    clock = asyncio.get_running_loop().time
    interrupted: asyncio.CancelledError | None = None
    end = float("inf")
    while not task.done() and clock() < end:
        try:
            await asyncio.wait([task], timeout=None if interrupted is None else end - clock())
        except asyncio.CancelledError as error:
            interrupted = error
            end = min(end, clock() + grace)
    if interrupted is None:
        return task.result()
    await ended([task])
    raise interrupted


async def ended(tasks: Sequence["asyncio.Task[Any]"]) -> None:
    """Cancel tasks and wait until each is over, however it ends. Cancellation: it goes on when they are."""
    for task in tasks:
        task.cancel()
    interrupted: asyncio.CancelledError | None = None
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:  # cancelled while cleaning up: the siblings come first
            interrupted = error
    for task in tasks:
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it as never retrieved
    if interrupted:
        raise interrupted
