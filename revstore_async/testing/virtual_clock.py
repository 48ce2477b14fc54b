"""An event loop with a clock that jumps: tests of time take no real time, and have the same result each time.

The clock stands still while a task can run. Otherwise it jumps to the next timer. Two sleeps of one second at once
take one second, two sleeps one after another take two, and both take no real time.

Work outside of the event loop takes real time, which this clock does not see. The clock waits for work of
`run_in_executor` or `asyncio.to_thread` instead of jumping. It does not see anyio's threads, so a timer may fire
before such a thread is done. Wrap such a wait in `hold`, or use no timers there.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop on a virtual clock, which begins at 0."""

    def __init__(self) -> None:
        self._now = 0.0
        self._slept = 0.0
        self._outside = 0
        super().__init__(_JumpingSelector(self._idle))

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._now

    def boottime(self) -> float:
        """Return the virtual time with the sleep of the machine; see `revstore_async.driver.clocks.boottime`."""
        return self._now + self._slept

    def suspend(self, seconds: float) -> None:
        """Let the machine sleep: `boottime` runs on by these seconds, `time` stands still, and no task runs."""
        self._slept += seconds

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep the clock from jumping inside the block."""
        self._outside += 1
        try:
            yield
        finally:
            self._outside -= 1

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[*Arguments], Result],
        *args: *Arguments,
    ) -> "asyncio.Future[Result]":
        """Run a function in a thread; the clock stands still meanwhile."""
        future = super().run_in_executor(executor, func, *args)
        self._outside += 1
        future.add_done_callback(self._back)
        return future

    def _back(self, _future: "asyncio.Future[Any]") -> None:
        self._outside -= 1

    def _idle(self, timeout: float) -> bool:
        """Jump by a time in which nothing would happen; say whether that was possible."""
        if self._outside:
            return False
        self._now += timeout
        return True


class _JumpingSelector(selectors.DefaultSelector):
    """Jumps where it would wait for a timer, and waits where it would wait for a file."""

    def __init__(self, jump: Callable[[float], bool]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0 or (timeout is not None and self._jump(timeout)):
            return ready
        # A thread is at work, whose end wakes the loop; or there is no timer, only files to wait for.
        return super().select(None)


def run_on_virtual_clock(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end on a new loop with a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(coroutine)
