"""From the loop into threads and back: no call that may wait for a disk runs on the loop's thread."""

import asyncio
import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar, TypeVarTuple

from anyio import CapacityLimiter, to_thread

from revstore_async.errors import AccessDenied, Unavailable

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP})


@contextmanager
def translated(key: str) -> Iterator[None]:
    """Turn what the system says into the driver's errors. The one place where that is done.

    What is not there, and what stands in the way, is told apart where it is known what it means.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        if error.errno in _DENIED:
            raise AccessDenied(key, reason) from error
        raise Unavailable(key, reason) from error


class _Step(Generic[Result]):
    """A function on its way through a thread, that can be told not to begin."""

    def __init__(self, key: str, function: Callable[[], Result]) -> None:
        self._key = key
        self._function = function
        self._begun = False
        self._withdrawn = False

    def __call__(self) -> Result:
        self._begun = True
        if self._withdrawn:
            raise asyncio.CancelledError
        with translated(self._key):
            return self._function()

    def withdraw(self) -> bool:
        """Keep it from beginning; say whether that was in time."""
        # The order matters: each side sets its own mark before it looks at the other's.
        self._withdrawn = True
        return not self._begun


class Threads:
    """A bounded number of threads, for steps that end soon."""

    def __init__(self, count: int) -> None:
        self._limiter = CapacityLimiter(count)

    async def run(self, key: str, function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
        """Run a step in a thread; errors of the system are told as those of the key.

        Cancellation: a step that has begun is waited for, so that whoever called knows what there is to clean
        up; one that has not begun never does.
        """
        step = _Step(key, lambda: function(*args))
        return await self._awaited(step, withdrawable=True)

    async def finish(self, key: str, function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
        """Run a step that must be run: to close, to remove.

        Cancellation: it is run to its end nevertheless.
        """
        step = _Step(key, lambda: function(*args))
        return await self._awaited(step, withdrawable=False)

    async def _awaited(self, step: _Step[Result], *, withdrawable: bool) -> Result:
        # A task of its own: anyio's shield holds against anyio's cancel scopes only, not against
        # Task.cancel().
        task = asyncio.create_task(to_thread.run_sync(step, limiter=self._limiter))
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
                if withdrawable and step.withdraw():
                    task.cancel()
        if cancelled is not None:
            if not task.cancelled():
                task.exception()  # looked at, else the loop complains that nobody did
            raise cancelled
        return task.result()
