"""Makes operations fail, for tests: the world stops at a chosen operation, or faults come by chance or by a script.

`FaultsDriver` goes right around a store's driver, below the code that is to survive the faults. It numbers
operations from 0 on: each call on the driver, and each step of a writer (`write`, `commit`, `cancel`). The single
reads of a reader and `url_for` have no number.

A stopped world stands for a process that died: no later operation has an effect, clean-up included. The leftovers
of an unfinished writer stay in the store until this driver is closed. The error is an `Unavailable` and not a
`BaseException`, so that the same handlers run as for a store that stopped answering. A handler that reads back
after a lost answer asks again, and gets `Stopped` again. It isn't `retryable`, else a wrapper that retries
would try until its deadline.

    for k in itertools.count():
        async with FaultsDriver(MemoryDriver(), stop_at=k, when=When.BEFORE) as driver:
            ...  # the operation, which may raise Stopped; then look at the driver within
        if not driver.stopped:
            break
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from random import Random
from types import TracebackType
from typing import ClassVar, Protocol

from revstore_async.driver import Driver, Reader
from revstore_async.driver.intercepting import InterceptedWriter, InterceptingDriver, Operation
from revstore_async.errors import RevstoreError, Throttled, Unavailable


class When(Enum):
    """The point of an operation at which the world stops."""

    BEFORE = "before it: it has no effect, and raises `Stopped`"
    AFTER = "after it: it has its effect and returns; the next one raises `Stopped`"
    ANSWER_LOST = "inside of it: it has its effect, its answer is lost, and it raises `Stopped`"


class Fault(Enum):
    """A fault of one operation; the world goes on."""

    BEFORE = "it has no effect, and raises `Unavailable`"
    ANSWER_LOST = "it has its effect, and raises `Unavailable`"
    THROTTLED = "it has no effect, and raises `Throttled`"
    SLOW = "it takes a time"
    TRUNCATED = "a `get` or a reader breaks off with `Unavailable`; other operations go well"


@dataclass(eq=False)
class Stopped(Unavailable):
    """The world has stopped: no operation has an effect any more."""

    retryable: ClassVar[bool] = False


class Plan(Protocol):
    """Chooses the fault of each operation."""

    def __call__(self, number: int, operation: Operation) -> Fault | None:
        """Return the fault of the operation with this number; None for no fault."""


class RandomFaults:
    """Faults by chance: the same seed and the same operations give the same faults.

    The seed is in the representation and in each error, so that a failed test names it.
    """

    def __init__(self, seed: int, chances: dict[Fault, float]) -> None:
        """Make a plan.

        Args:
            seed: The seed of the random numbers.
            chances: The probability of each fault for one operation; their sum is at most 1.
        """
        self.seed = seed
        self.chances = chances
        self._random = Random(seed)  # noqa: S311 (faults need no secrecy, they need to come again)

    def __repr__(self) -> str:
        return f"RandomFaults(seed={self.seed})"

    def __call__(self, number: int, operation: Operation) -> Fault | None:  # noqa: ARG002 (the protocol's)
        drawn = self._random.random()
        for fault, chance in self.chances.items():
            drawn -= chance
            if drawn < 0:
                return fault
        return None


@dataclass(slots=True)
class Rule:
    """One line of a script: a fault for the n-th operation that fits.

    Attributes:
        method: As `Operation.method`; empty for any method.
        fault: The fault of the operation.
        nth: The number of the operation among those that fit, from 1 on; 0 for each of them.
        key: A text that is a part of the key; empty for any key.
    """

    method: str
    fault: Fault
    nth: int = 1
    key: str = ""


class Script:
    """Faults by a script."""

    def __init__(self, *rules: Rule) -> None:
        self.rules = rules
        self._seen = [0] * len(rules)

    def __repr__(self) -> str:
        return f"Script{self.rules}"

    def __call__(self, number: int, operation: Operation) -> Fault | None:  # noqa: ARG002 (the protocol's)
        for index, rule in enumerate(self.rules):
            if rule.method in {"", operation.method} and rule.key in operation.key:
                self._seen[index] += 1
                if rule.nth in {0, self._seen[index]}:
                    return rule.fault
        return None


@dataclass(frozen=True, slots=True)
class At:
    """One fault, at the operation with this number. Unlike with `stop_at`, the world goes on."""

    number: int
    fault: Fault

    def __call__(self, number: int, operation: Operation) -> Fault | None:  # noqa: ARG002 (the protocol's)
        return self.fault if number == self.number else None


class FaultsDriver(InterceptingDriver):
    """A driver that fails operations as planned.

    Attributes:
        calls: The method and key of each operation before the stop, by its number.
        stopped: Whether the world has stopped.
    """

    def __init__(
        self,
        inner: Driver,
        plan: Plan | None = None,
        *,
        stop_at: int | None = None,
        when: When = When.BEFORE,
        slow: float = 1.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Wrap a driver.

        Args:
            inner: The driver.
            plan: Chooses the fault of each operation; None for no faults.
            stop_at: The number of the operation at which the world stops; None for never.
            when: The point in that operation.
            slow: The seconds that a slow operation takes.
            sleep: Waits for these seconds.
        """
        super().__init__(inner)
        self._plan = plan
        self._stop_at = stop_at
        self._when = when
        self._slow = slow
        self._sleep = sleep
        self._left = AsyncExitStack()  # the blocks of writers whose clean-up did not reach the store
        self.calls: list[tuple[str, str]] = []
        self.stopped: bool = False

    @property
    def operations(self) -> int:
        """The number of operations that began before the world stopped."""
        return len(self.calls)

    def stop(self) -> None:
        """Stop the world now."""
        self.stopped = True

    @asynccontextmanager
    async def intercept(self, operation: Operation) -> AsyncIterator[None]:
        number = len(self.calls)
        fault = self._begin(number, operation)
        if fault is Fault.SLOW:
            await self._sleep(self._slow)
        try:
            yield
        except RevstoreError as answer:
            self._end(number, operation, fault, answer)
            raise
        self._end(number, operation, fault, None)

    def _begin(self, number: int, operation: Operation) -> Fault | None:
        if self.stopped:
            raise Stopped(operation.key, f"the world has stopped; {operation.method} was asked for")
        self.calls.append((operation.method, operation.key))
        if number == self._stop_at and self._when is When.BEFORE:
            self.stopped = True
            raise Stopped(operation.key, f"the world stops before operation {number}, {operation.method}")
        fault = self._plan(number, operation) if self._plan else None
        reason = f"injected before operation {number}, {operation.method}, by {self._plan}"
        if fault is Fault.BEFORE:
            raise Unavailable(operation.key, reason)
        if fault is Fault.THROTTLED:
            raise Throttled(operation.key, reason, retry_after=self._slow)
        return fault

    def _end(
        self, number: int, operation: Operation, fault: Fault | None, answer: RevstoreError | None
    ) -> None:
        if number == self._stop_at:
            self.stopped = True
            if self._when is When.ANSWER_LOST:
                reason = f"the world stops before the answer of operation {number}, {operation.method}"
                raise Stopped(operation.key, reason) from answer
        if fault is Fault.ANSWER_LOST or (fault is Fault.TRUNCATED and operation.method == "get"):
            reason = f"injected after operation {number}, {operation.method}, by {self._plan}"
            raise Unavailable(operation.key, reason) from answer
        operation.broken = fault is Fault.TRUNCATED

    @asynccontextmanager
    async def open_reader(
        self, key: str, *, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[Reader]:
        operation = Operation("open_reader", key)
        async with AsyncExitStack() as block:
            async with self.intercept(operation):
                opened = self.inner.open_reader(key, offset=offset, length=length)
                inner = await block.enter_async_context(opened)
            yield _FaultyReader(self, key, inner, breaks=operation.broken)

    async def end_writer(self, writer: InterceptedWriter, block: AsyncExitStack) -> None:
        # A clean-up that did not reach the store leaves there what a killed process leaves. The end of the inner
        # writer's block would remove it, so that block stays open until this driver is closed.
        if not writer.ended and (self.stopped or writer.unreached):
            self._left.push_async_exit(block.pop_all())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._left.aclose()
        finally:
            await super().__aexit__(kind, error, trace)


class _FaultyReader(Reader):
    def __init__(self, driver: FaultsDriver, key: str, inner: Reader, *, breaks: bool) -> None:
        self.info = inner.info
        self._driver = driver
        self._key = key
        self._inner = inner
        self._breaks = breaks
        self._begun = False

    async def read(self, size: int = 1 << 16, /) -> bytes:
        if self._driver.stopped:
            raise Stopped(self._key, "the world has stopped; a reader went on")
        if self._breaks:
            if self._begun:
                raise Unavailable(self._key, "injected: the store broke off")
            size = max(size // 2, min(size, 1))
        self._begun = True
        return await self._inner.read(size)
