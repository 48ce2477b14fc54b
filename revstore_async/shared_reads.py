"""Overlapping reads of one object share their requests: a hot tag costs the store a few requests.

It sits right under the stores, around the whole driver of a registry. A reader never joins a request that began
before it came, but the next one. It therefore sees every write that was acknowledged before it asked. It shares
`get` and `stat`, and keeps no answer after its last reader.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from contextvars import Context, copy_context
from copy import copy
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Final, Generic, TypeVar

from .concurrency import cancel_and_wait, look_at, until
from .driver import Driver, DriverWrapper, File, FileInfo
from .driver.deadline import due, forget_deadline, metadata_operation
from .errors import RevstoreError, Unavailable

WIDTH: Final = 2
"""Requests for one object that are under way at once, at most."""

PATIENCE: Final = 0.05
"""Seconds that readers wait for the request before theirs. Then their request begins beside it: one slow answer
does not hold up all readers. A second request from the start would shorten the wait by a quarter, and cost a
hot tag twice the requests."""

Result = TypeVar("Result")


@dataclass(eq=False, slots=True)
class _Round(Generic[Result]):
    """One request that several readers wait for. While `task` is None they may still join it.

    Attributes:
        context: The context of the request.
        readers: The waiting readers.
        task: The task of the request; None before it begins.
        timer: Begins the request after `PATIENCE`, even while earlier ones are under way.
    """

    context: Context
    readers: set["asyncio.Future[Result]"] = field(default_factory=set)
    task: "asyncio.Task[Result] | None" = None
    timer: asyncio.TimerHandle | None = None


@dataclass(eq=False, slots=True)
class _Line(Generic[Result]):
    """One question: how many requests are under way, and which readers wait for the next one."""

    ask: Callable[[], Coroutine[Any, Any, Result]]
    under_way: int = 1
    following: _Round[Result] | None = None


class SharedReads(Generic[Result]):
    """Questions under way; equal questions share requests."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, _Line[Result]] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._lines

    async def share(
        self,
        question: Hashable,
        ask: Callable[[], Coroutine[Any, Any, Result]],
        limit: timedelta | None = None,
    ) -> Result:
        """Return the answer to a question, from a request that begins after this call.

        A lone call is one request and nothing else. An error is raised in all readers of the request.
        Cancellation: the request goes on for the others; the last reader cancels and awaits it.

        Args:
            question: The key of the question; equal keys share requests.
            ask: Makes the request.
            limit: How long to wait for another call's request, if no deadline is set; None to wait for its end.

        Raises:
            TimeoutError: Another call's request took longer than this caller's deadline.
        """
        line = self._lines.get(question)
        if line is not None:
            return await self._wait(question, line, limit)
        line = self._lines[question] = _Line(ask)
        try:
            return await ask()
        finally:
            if line.following is None and line.under_way == 1:  # nearly always
                del self._lines[question]
            else:
                self._over(question, line)

    async def _wait(self, question: Hashable, line: _Line[Result], limit: timedelta | None) -> Result:
        """Wait for the request after the one that is under way."""
        if limit is None:
            return await self._join(question, line)
        with metadata_operation(limit):
            async with until(due()):
                return await self._join(question, line)

    async def _join(self, question: Hashable, line: _Line[Result]) -> Result:
        loop = asyncio.get_running_loop()
        joined = line.following
        if joined is None:
            # Traces and the like belong to the first of the readers, not to the one whose request ends before.
            joined = line.following = _Round(copy_context())
            joined.context.run(forget_deadline)  # later readers may have more time left than the first
            if line.under_way < WIDTH:
                joined.timer = loop.call_later(PATIENCE, self._begin, question, line)
        reader: asyncio.Future[Result] = loop.create_future()
        joined.readers.add(reader)
        try:
            return await reader
        except asyncio.CancelledError:
            joined.readers.discard(reader)
            if reader.done():
                look_at(reader)
            if not joined.readers:
                if joined.task is not None:
                    await cancel_and_wait([joined.task])
                elif line.following is joined:
                    self._take(line)
            raise
        finally:
            del reader, joined  # they hold the error, whose traceback holds this frame

    def _over(self, question: Hashable, line: _Line[Result]) -> None:
        """Give the round of a finished request to the readers that wait."""
        line.under_way -= 1
        if line.following is not None:
            self._begin(question, line)
        elif not line.under_way:
            del self._lines[question]

    def _take(self, line: _Line[Result]) -> _Round[Result] | None:
        """Take the waiting readers out of the line."""
        joined, line.following = line.following, None
        if joined is not None and joined.timer is not None:
            joined.timer.cancel()
        return joined

    def _begin(self, question: Hashable, line: _Line[Result]) -> None:
        """Make the request of the waiting readers."""
        joined = self._take(line)
        assert joined is not None  # noqa: S101 (the caller has looked)
        line.under_way += 1
        joined.task = asyncio.get_running_loop().create_task(line.ask(), context=joined.context)
        # Not in the task itself: a task that is cancelled before its first step runs no part of it.
        joined.task.add_done_callback(partial(self._pass_on, question, line, joined))

    def _pass_on(
        self, question: Hashable, line: _Line[Result], joined: _Round[Result], task: "asyncio.Task[Result]"
    ) -> None:
        self._over(question, line)
        waiting = [reader for reader in joined.readers if not reader.done()]
        if task.cancelled():
            for reader in waiting:
                reader.cancel()
        elif error := task.exception():
            for reader in waiting:
                reader.set_exception(_own(error))
        else:
            result = task.result()
            for reader in waiting:
                reader.set_result(result)


class SharedReadsDriver(DriverWrapper):
    """A driver that lets overlapping `get` and `stat` calls of one object share requests.

    Reads with different limits are different questions.
    """

    def __init__(self, inner: Driver) -> None:
        super().__init__(inner)
        self._gets: SharedReads[File] = SharedReads()
        self._stats: SharedReads[FileInfo] = SharedReads()

    @property
    def idle(self) -> bool:
        """Whether no read is under way."""
        return self._gets.idle and self._stats.idle

    async def get(self, key: str, *, limit: int | None = None) -> File:
        """Return an object, whole; see `Driver.get`."""
        ask = partial(self.inner.get, key, limit=limit)
        try:
            return await self._gets.share((key, limit), ask, self.inner.capabilities.metadata_timeout)
        except TimeoutError as error:
            raise _too_late(key) from error

    async def stat(self, key: str) -> FileInfo:
        """Return the store's facts about an object; see `Driver.stat`."""
        ask = partial(self.inner.stat, key)
        try:
            return await self._stats.share(key, ask, self.inner.capabilities.metadata_timeout)
        except TimeoutError as error:
            raise _too_late(key) from error


def _too_late(key: str) -> Unavailable:
    return Unavailable(key, "another's request for it did not end in time")


def _own(error: BaseException) -> BaseException:
    """Return a copy of an error for one reader, with a traceback, notes and context of its own."""
    if not isinstance(
        error, RevstoreError
    ):  # a defect, which is no driver's to raise; it may not bear a copy
        return error
    told = copy(error)
    told.__cause__ = error.__cause__
    return told.with_traceback(error.__traceback__)
