"""A driver around a driver, which lets its operations wait for the scheduler."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar

from revstore_async.driver import (
    LIST_LIMIT,
    Capabilities,
    Condition,
    Driver,
    DriverWrapper,
    File,
    FileInfo,
    Folder,
    IfMatch,
    Page,
    Reader,
    Writer,
)
from revstore_drivers.memory import MemoryDriver

from .explored_store import ExploredStore, Profile

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Access:
    """A key that an operation reads or writes.

    Attributes:
        key: The key, or the prefix.
        below: Whether it is all that lies below a prefix.
        write: Whether it is changed.
    """

    key: str
    below: bool = False
    write: bool = False

    def meets(self, other: "Access") -> bool:
        """Say whether the order of the two may matter."""
        if not (self.write or other.write):
            return False
        return self.key == other.key or self._holds(other) or other._holds(self)

    def _holds(self, other: "Access") -> bool:
        return self.below and other.key.startswith(self.key + "/")


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation on the store.

    Attributes:
        method: The driver's method.
        text: What is said of it besides: key and condition.
        accesses: What it reads and writes.
    """

    method: str
    text: str
    accesses: tuple[Access, ...]

    @property
    def writes(self) -> bool:
        """Whether it changes the store."""
        return any(access.write for access in self.accesses)

    def __str__(self) -> str:
        return f"{self.method} {self.text}"


class Gate(Protocol):
    """Lets operations go on, one at a time."""

    async def passed(self, operation: Operation, perform: Callable[[], Awaitable[Answer]]) -> Answer:
        """Perform an operation when its turn has come."""


class ParkingDriver(DriverWrapper):
    """A driver of an explored store. Its operations go through a gate."""

    def __init__(self, store: ExploredStore, gate: Gate) -> None:
        super().__init__(MemoryDriver(store))
        self._store = store
        self._gate = gate

    @property
    def capabilities(self) -> Capabilities:
        return able(self.inner, self._store.profile)

    async def _one(
        self, method: str, key: str, perform: Callable[[], Awaitable[Answer]], *, write: bool, more: str = ""
    ) -> Answer:
        accesses = [Access(key, write=write)]
        if write and self._store.profile.clock and method == "put":
            accesses.append(Access(f"clock of {self._store.clock_of(key)}", write=True))
        operation = Operation(method, f"{key}{more}", tuple(accesses))
        return await self._gate.passed(operation, perform)

    async def get(self, key: str, *, limit: int | None = None) -> File:
        return await self._one("get", key, partial(self.inner.get, key, limit=limit), write=False)

    async def stat(self, key: str) -> FileInfo:
        return await self._one("stat", key, partial(self.inner.stat, key), write=False)

    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        changes = condition is not None or not self._store.stores_the_same(key, bytes(content))
        said = "" if condition is None else f" ({condition})"
        perform = partial(self.inner.put, key, content, condition=condition)
        return await self._one("put", key, perform, write=changes, more=said)

    async def delete(
        self, key: str, *, condition: IfMatch | None = None, until: datetime | None = None
    ) -> None:
        said = "" if condition is None else f" ({condition})"
        perform = partial(self.inner.delete, key, condition=condition, until=until)
        await self._one("delete", key, perform, write=True, more=said)

    @asynccontextmanager
    async def open_reader(
        self, key: str, *, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[Reader]:
        async with AsyncExitStack() as block:
            opened = self.inner.open_reader(key, offset=offset, length=length)
            entering = partial(block.enter_async_context, opened)
            yield await self._one("open_reader", key, entering, write=False)

    @asynccontextmanager
    async def open_writer(self, key: str) -> AsyncIterator[Writer]:
        async with self.inner.open_writer(key) as writer:
            yield _ParkingWriter(self, key, writer)

    async def compose(self, sources: Sequence[Any], target: str, **more: Any) -> FileInfo:
        keys = [source[0] if isinstance(source, tuple) else source.key for source in sources]
        if not self._store.profile.whole:  # parts are copied first, and made one object at the end
            return await self._joined(keys, target)
        operation = Operation("compose", target, (*map(Access, keys), Access(target, write=True)))
        return await self._gate.passed(operation, partial(self.inner.compose, sources, target, **more))

    async def _joined(self, sources: Sequence[str], target: str) -> FileInfo:
        content = b""
        for source in sources:
            part = await self._one("copy part", source, partial(self.inner.get, source), write=False)
            content += part.content
        return await self.put(target, content)

    async def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo | Folder]:
        perform = partial(self.inner.list, prefix, start_after=start_after, limit=limit)
        return await self._gate.passed(Operation("list", prefix, (Access(prefix, below=True),)), perform)

    async def list_all(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo]:
        perform = partial(self.inner.list_all, prefix, start_after=start_after, limit=limit)
        return await self._gate.passed(Operation("list_all", prefix, (Access(prefix, below=True),)), perform)

    async def delete_many(self, keys: Iterable[str], *, until: datetime | None = None) -> None:
        several = [*keys]
        if not several:
            return
        if not self._store.profile.whole:  # one after another, where others come in between
            for key in several:
                perform = partial(self.inner.delete, key, until=until)
                await self._one("delete of many", key, perform, write=True)
            return
        accesses = tuple(Access(key, write=True) for key in several)
        operation = Operation("delete_many", " ".join(several), accesses)
        await self._gate.passed(operation, partial(self.inner.delete_many, several, until=until))

    async def delete_prefix(self, prefix: str) -> None:
        if not self._store.profile.whole:
            listed = await self.list_all(prefix)
            await self.delete_many([info.key for info in listed.entries])
            return
        operation = Operation("delete_prefix", prefix, (Access(prefix, below=True, write=True),))
        await self._gate.passed(operation, partial(self.inner.delete_prefix, prefix))


class _ParkingWriter(Writer):
    """Parks the commit; readers see nothing of the steps before it."""

    def __init__(self, driver: ParkingDriver, key: str, inner: Writer) -> None:
        self.inner = inner
        self._driver = driver
        self._key = key

    @property
    def offset(self) -> int:  # type: ignore[override]
        return self.inner.offset

    async def write(self, data: bytes | memoryview, /) -> None:
        await self.inner.write(data)

    async def commit(self, *, condition: Condition | None = None) -> FileInfo:
        perform = partial(self.inner.commit, condition=condition)
        return await self._driver._one("commit", self._key, perform, write=True)

    async def cancel(self) -> None:
        await self.inner.cancel()


class PlainDriver(DriverWrapper):
    """A driver of an explored store that waits for no one: to prepare it and to look at it."""

    def __init__(self, store: ExploredStore) -> None:
        super().__init__(MemoryDriver(store))
        self._profile = store.profile

    @property
    def capabilities(self) -> Capabilities:
        return able(self.inner, self._profile)


def able(driver: Driver, profile: Profile) -> Capabilities:
    """Return the capabilities of a driver on a store of this profile."""
    return replace(
        driver.capabilities,
        conditional_delete=profile.conditional_delete,
        time_resolution=profile.resolution,
    )
