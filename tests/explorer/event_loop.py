"""An event loop without I/O, threads or real time: when no task can run, it calls a function."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple
from unittest.mock import patch

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class Stuck(Exception):
    """No task can run, no timer is set, and the coroutine is not done."""


class IdleLoop(asyncio.BaseEventLoop):
    """A loop that calls `idle` whenever no task can run.

    Its time is virtual and begins at 0. It does the work of executors at once, without a thread. Each task has a
    name made of the name of its parent and a number, which are the same in every run.

    Args:
        idle: Makes a task go on and returns true, or returns false: then the time of the next timer comes.

    Attributes:
        random: Returns so many random bytes.
    """

    def __init__(self, idle: Callable[[], bool]) -> None:
        super().__init__()
        self._now = 0.0
        self.random: Callable[[int], bytes] = bytes
        self._idle = idle
        self._selector = self
        self._made: dict[str, int] = {}

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._now

    def boottime(self) -> float:
        """Return the time by which `revstore_async.driver.clocks.boottime` goes on this loop."""
        return self._now

    def next_timer(self) -> float | None:
        """Return the time of the next timer, in seconds; None without a timer."""
        times = [handle.when() for handle in self._scheduled if not handle.cancelled()]
        return min(times, default=None)

    def pass_time(self, until: float) -> None:
        """Let time pass."""
        self._now = max(self._now, until)

    def select(self, timeout: float | None) -> list[Any]:
        """Stand in for the selector of the loop: wait for an event."""
        if timeout == 0 or self._idle():
            return []
        if timeout is None:
            raise Stuck
        self._now += timeout
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """No other thread wakes this loop."""

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Arguments], Result], *args: *Arguments
    ) -> "asyncio.Future[Result]":
        """Compute it here and now."""
        future: asyncio.Future[Result] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 (whatever the function raises is the future's)
            future.set_exception(error)
        return future

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Result], *, context: Context | None = None, **_name: object
    ) -> "asyncio.Task[Result]":
        """Make a task with a name of ours."""
        parent = asyncio.current_task(self)
        maker = parent.get_name() if parent is not None else ""
        number = self._made[maker] = self._made.get(maker, -1) + 1
        return asyncio.Task(coro, loop=self, name=f"{maker}.{number}", context=context)


async def _here(function: Callable[..., Result], *args: object, **_options: object) -> Result:
    return function(*args)


@contextmanager
def without_threads() -> Iterator[None]:
    """Do in the loop the work that a program gives to threads of anyio."""
    with patch("anyio.to_thread.run_sync", _here):
        yield


def run(coroutine: Coroutine[Any, Any, Result], idle: Callable[[], bool] = lambda: False) -> Result:
    """Run a coroutine to its end on a new loop."""
    return run_on(IdleLoop(idle), coroutine)


def run_on(loop: IdleLoop, coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end on this loop, and close that."""
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()
