"""Fan-out: `asyncio.gather` with nothing left behind when one of many fails.

A task holds its error. The error's traceback holds the frames that it went through, with the values of their
variables, such as the bytes of a request. A frame that holds the task makes this a cycle, which lives until the
garbage collector runs. Therefore each function here lets go of its tasks and errors before an error leaves it.
"""

import asyncio
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, TypeVarTuple, cast, overload

from anyio import CapacityLimiter, to_thread

Arguments = TypeVarTuple("Arguments")
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

    When one fails, or this call is cancelled, the others are cancelled and awaited before the error is raised:
    `asyncio.gather` alone would let them run on.
    """
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return tuple(await asyncio.gather(*tasks))
    except BaseException:
        await cancel_and_wait(tasks)
        raise
    finally:
        tasks.clear()


async def gather_map(function: Callable[[A], Awaitable[B]], items: Iterable[A], *, limit: int) -> Sequence[B]:
    """Call a function on each item, at most `limit` at once, and return the results in the items' order.

    No more than `limit` tasks exist at any time, and a single item needs none. Failure and cancellation are as in
    `gather`.
    """
    listed = list(items)
    if len(listed) < 2:
        return [await function(item) for item in listed]
    waiting = list(enumerate(listed))
    waiting.reverse()
    results: dict[int, B] = {}

    async def work() -> None:
        while waiting:
            index, item = waiting.pop()
            results[index] = await function(item)

    await gather(*[work() for _ in range(min(limit, len(waiting)))])
    return [results[index] for index in range(len(results))]


async def in_thread(
    function: Callable[[*Arguments], A], *args: *Arguments, limiter: CapacityLimiter | None = None
) -> A:
    """Run a function in one of anyio's threads; return its result, or raise its error.

    anyio would let the error go through a frame that holds its future.
    """
    failed: list[BaseException] = []

    def work() -> A | None:
        try:
            return function(*args)
        except BaseException as error:  # noqa: BLE001 (it is raised where the call was made)
            failed.append(error)
            return None

    result = await to_thread.run_sync(work, limiter=limiter)
    if failed:
        raise failed.pop()
    return cast("A", result)


class alongside(Generic[A]):  # noqa: N801 (it is used as a function is)
    """Work that runs beside a block, which may await it any number of times; the end of the block cancels it.

    Args:
        work: The work; it begins with the block.

    Attributes:
        task: The task of the work, during the block.
    """

    __slots__ = ("_work", "task")

    task: "asyncio.Task[A]"

    def __init__(self, work: Coroutine[Any, Any, A]) -> None:
        self._work = work

    async def __aenter__(self) -> Self:
        self.task = asyncio.ensure_future(self._work)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del error, trace
        tasks = [self.task]
        del self.task
        await cancel_and_wait(tasks)

    def done(self) -> bool:
        """Say whether the work is over."""
        return self.task.done()

    def result(self) -> A:
        """Return the work's result, or raise its error; the work must be over."""
        return self.task.result()

    def __await__(self) -> Generator[Any, Any, A]:
        return self.task.__await__()


class until:  # noqa: N801 (it is used as a function is)
    """A block that ends at a given time; `asyncio.timeout_at` does it too, but its error holds the task and frames.

    Args:
        end: The time, by the loop's clock; None for no end.

    Attributes:
        expired: Whether the time came before the block's end.

    Raises:
        TimeoutError: The time came.
    """

    __slots__ = ("_end", "_timer", "expired")

    def __init__(self, end: float | None) -> None:
        self.expired: bool = False
        self._end = end
        self._timer: asyncio.Timeout | None = None

    async def __aenter__(self) -> Self:
        self._timer = asyncio.timeout_at(self._end)
        await self._timer.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        timer, self._timer = self._timer, None
        assert timer is not None, "the block did not begin"  # noqa: S101
        try:
            await timer.__aexit__(kind, error, trace)
        except TimeoutError as late:
            self.expired = True
            drop_frames(late)
            raise
        finally:
            del timer, error, trace


def drop_frames(error: BaseException) -> None:
    """Drop the tracebacks of an error and its causes; their frames may hold the error, or large content."""
    at: BaseException | None = error
    while at is not None:
        at.__traceback__ = None
        at = at.__cause__  # not the context, which may be an error of the caller


async def settled(work: Coroutine[Any, Any, A], *, grace: float) -> A:
    """Do work that must run to its end, such as a clean-up or the last step of a write.

    Cancellation: the work goes on for at most `grace` seconds; then the cancellation is raised.
    """
    task = asyncio.ensure_future(work)
    interrupted: asyncio.CancelledError | None = None
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError as error:
        end = asyncio.get_running_loop().time() + grace
        interrupted = await wait_despite_cancellation([task], end=end) or error
    try:
        if interrupted is None:
            return task.result()
        await cancel_and_wait([task])
        raise interrupted
    finally:
        del task, interrupted


async def wait_despite_cancellation(
    futures: Sequence["asyncio.Future[Any]"],
    *,
    end: float | None = None,
    on_cancellation: Callable[[], None] | None = None,
) -> asyncio.CancelledError | None:
    """Wait until futures are done; return the last cancellation that came meanwhile, for the caller to raise.

    Args:
        futures: The futures; their results and errors are left to the caller.
        end: The time of the loop at which the wait ends anyhow; None for no end.
        on_cancellation: Called at each cancellation.
    """
    clock = asyncio.get_running_loop().time
    interrupted: asyncio.CancelledError | None = None
    # `asyncio.wait` takes two steps of the loop even if all futures are done.
    pending: Collection[asyncio.Future[Any]] = [future for future in futures if not future.done()]
    try:
        while pending and (end is None or clock() < end):
            try:
                _, pending = await asyncio.wait(pending, timeout=None if end is None else end - clock())
            except asyncio.CancelledError as error:
                interrupted = error
                if on_cancellation is not None:
                    on_cancellation()
        return interrupted
    finally:
        del futures, pending, interrupted, on_cancellation  # the cancellation's traceback holds this frame


def look_at(task: "asyncio.Future[Any]") -> None:
    """Look at the error of a finished task that no caller will await.

    asyncio would report it as never retrieved; and a cancelled task would hold its cancellation.
    """
    with suppress(asyncio.CancelledError):
        task.exception()


async def cancel_and_wait(tasks: Sequence["asyncio.Task[Any]"]) -> None:
    """Cancel tasks and wait until each is over, with any result. Cancellation: raised after that."""
    for each in tasks:
        each.cancel()
    interrupted = await wait_despite_cancellation(tasks)
    for each in tasks:
        look_at(each)
    try:
        if interrupted:
            raise interrupted
    finally:
        del interrupted


def pauses(first: float = 0.02, longest: float = 0.5) -> Iterator[float]:
    """Yield the seconds between looks at another writer's step, each longer than the one before; no end."""
    pause = first
    while True:
        yield pause
        pause = min(2 * pause, longest)
