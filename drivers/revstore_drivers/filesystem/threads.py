"""Runs steps in threads: a call that may wait for a disk never runs on the thread of the event loop."""

import asyncio
import errno
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

from anyio import CapacityLimiter

from revstore_async.concurrency import in_thread, look_at, until, wait_despite_cancellation
from revstore_async.driver.deadline import due, metadata_operation
from revstore_async.errors import AccessDenied, StorageFull, Unavailable

from .root import KeyLocked

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

_FIRST_PAUSE: Final = 0.0002  # seconds before a lock is tried again; doubled each time
_LONGEST_PAUSE: Final = 0.005
_TRYING: Final = 8  # calls of a process that try the lock of one folder again at once
_STANDS_STILL: Final = "another process holds the lock of its folder, and may stand still"

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP})


@contextmanager
def translated(key: str) -> Iterator[None]:
    """Turn the system's errors into the driver's; no other function of this driver does that.

    The functions in threads handle a missing file and a file in the way themselves, since they know its meaning.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        if error.errno in _DENIED:
            raise AccessDenied(key, reason) from error
        if error.errno in _FULL:
            raise StorageFull(key, reason) from error
        raise Unavailable(key, reason) from error


class _Step(Generic[Result]):
    """A function that is to run in a thread; the caller may withdraw it before it begins."""

    def __init__(self, key: str, function: Callable[[], Result]) -> None:
        self.key = key
        self._function = function
        self._begun = False
        self._withdrawn = False

    def __call__(self) -> Result:
        self._begun = True
        if self._withdrawn:
            raise asyncio.CancelledError
        with translated(self.key):
            return self._function()

    def withdraw(self) -> bool:
        """Keep the function from beginning; return whether that was in time."""
        # Each side sets its own mark before it looks at the other's, so that one of them sees both.
        self._withdrawn = True
        return not self._begun


class Threads:
    """A bounded number of threads, for steps that end soon.

    A call that waits for a lock waits on the event loop. In threads, such calls would soon hold all of them.
    """

    def __init__(self, count: int, limit: timedelta) -> None:
        """Set the bounds.

        Args:
            count: The number of threads.
            limit: The longest wait of a step for a lock, where no deadline is set.
        """
        self._limiter = CapacityLimiter(count)
        self._limit = limit
        self._abandoned: set[asyncio.Task[Any]] = set()  # each holds a thread, so there are few
        self._queues: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def run(self, key: str, function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
        """Run a step in a thread; an error of the system becomes an error about the key.

        Raises:
            Unavailable: No thread was free before the operation had to end.

        Cancellation: the call waits for a step that has begun, so that the caller knows what to clean up. A step
        that has not begun never begins.
        """
        step = _Step(key, lambda: function(*args))
        return await self._awaited(step, withdrawable=True)

    async def look(self, key: str, function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
        """Run a step that changes nothing and keeps nothing open, as `run` does.

        Raises:
            Unavailable: No thread was free, or the disk gave no answer, before the operation had to end. The
                thread becomes free when the disk answers.
        """
        step = _Step(key, lambda: function(*args))
        return await self._awaited(step, withdrawable=True, abandonable=True)

    async def run_locking(
        self, key: str, function: Callable[[*Arguments], Result], *args: *Arguments
    ) -> Result:
        """Run a step that takes a lock, and run it again where the lock was taken. The step must allow that.

        Raises:
            Unavailable: The lock was not free before the operation had to end.

        Cancellation: as of `run`.
        """
        try:
            return await self.run(key, function, *args)
        except KeyLocked as error:
            locked = error
        # A few calls of this process try the lock, and the others wait for them in order. If only one call tried,
        # the syncs that follow each write would come one after another.
        queue = self._queues.setdefault(locked.folder, asyncio.Semaphore(_TRYING))
        with metadata_operation(self._limit):
            try:
                async with until(due()):
                    await queue.acquire()
            except TimeoutError as error:
                raise Unavailable(key, _STANDS_STILL) from error
            try:
                return await self._when_unlocked(key, function, *args)
            finally:
                queue.release()

    async def _when_unlocked(
        self, key: str, function: Callable[[*Arguments], Result], *args: *Arguments
    ) -> Result:
        clock, end, pause = asyncio.get_running_loop().time, due(), _FIRST_PAUSE
        while True:
            try:  # at once: most likely a call of this process held the lock, and has ended
                return await self.run(key, function, *args)
            except KeyLocked:
                if end is not None and clock() + pause >= end:
                    raise Unavailable(key, _STANDS_STILL) from None
            except Unavailable as error:
                if end is not None and clock() >= end:  # the last try got no thread
                    raise Unavailable(key, _STANDS_STILL) from error
                raise
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 (it spreads callers, it hides nothing)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def finish(self, key: str, function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
        """Run a step that must run to its end, such as the closing or removal of a file.

        Cancellation: the step runs to its end; then the cancellation is raised.
        """
        step = _Step(key, lambda: function(*args))
        return await self._awaited(step, withdrawable=False)

    async def _awaited(self, step: _Step[Result], *, withdrawable: bool, abandonable: bool = False) -> Result:
        # The step has a task of its own: anyio's shield holds against anyio's cancel scopes only, not against
        # Task.cancel().
        task = asyncio.create_task(in_thread(step, limiter=self._limiter))

        def withdraw(task: asyncio.Task[Result] = task) -> None:
            if withdrawable and step.withdraw():
                task.cancel()

        stopped: asyncio.CancelledError | Unavailable | None = await wait_despite_cancellation(
            [task], end=due() if withdrawable else None, on_cancellation=withdraw
        )
        if not task.done():  # the operation must end
            if step.withdraw():
                task.cancel()
                stopped = stopped or Unavailable(step.key, "no thread was free before its time was over")
            elif abandonable:
                stopped = stopped or Unavailable(step.key, "the disk gave no answer before its time was over")
                self._abandoned.add(task)
                task.add_done_callback(self._came_late)
            if task not in self._abandoned:  # a step that has begun is waited for
                stopped = await wait_despite_cancellation([task]) or stopped
        try:
            if stopped is not None:
                if task.done():
                    look_at(task)
                raise stopped
            return task.result()
        finally:
            del task, stopped, withdraw  # the error's traceback holds this frame

    def _came_late(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.discard(task)
        look_at(task)
