"""The base of wrappers that do one thing at each request; such a wrapper overrides `InterceptingDriver.intercept`.

This module defines a request for all of them alike. One call of a driver's method is one request, though a store
may need several for `delete_prefix`, or for more keys than it deletes at once. `open_reader` is one request, and
the bytes that the reader gives belong to its answer. A writer gathers `Capabilities.part_size` bytes and sends them
together, so a `write` that fills a part is one request, and any other `write` makes no request. `commit` is one
request, and so is `cancel` after a part was sent. `url_for` asks the store nothing.
"""

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..errors import ConditionFailed, RevstoreError
from .contract import LIST_LIMIT, Reader, Writer
from .values import Condition, DeletionEffects, File, FileInfo, Folder, IfMatch, Page, Source
from .wrapper import DriverWrapper
from .writer_blocks import writer_block


@dataclass(slots=True)
class Operation:
    """One call of a driver's or a writer's method, on its way to the inner driver.

    Attributes:
        method: The method's name in the contract.
        key: The key or prefix; the first of several keys; empty for a call without a key.
        sent: Bytes of content that the call sends.
        received: Bytes of content that the call received, once it has returned.
        is_request: False for a `write` that fills no part, and for a `cancel` before any part was sent.
        broken: Whether the reader breaks off half-way; the wrapper that injects faults sets it.
    """

    method: str
    key: str
    sent: int = 0
    received: int = 0
    is_request: bool = True
    broken: bool = False


class InterceptingDriver(DriverWrapper):
    """Passes each call on to the inner driver, inside of the block that `intercept` returns."""

    @abstractmethod
    def intercept(self, operation: Operation) -> AbstractAsyncContextManager[None]:
        """Return a block; the driver enters it before it passes the call on, and leaves it after the answer."""

    async def end_writer(self, writer: "InterceptedWriter", block: AsyncExitStack) -> None:
        """End the use of a writer. A wrapper may take the block of the inner writer over, to keep it open.

        Args:
            writer: The writer, which is committed or cancelled, or whose `cancel` failed.
            block: The block of the inner writer; it ends right after this call.
        """

    async def get(self, key: str, *, limit: int | None = None) -> File:
        operation = Operation("get", key)
        async with self.intercept(operation):
            file = await self.inner.get(key, limit=limit)
            operation.received = file.info.size
        return file

    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        async with self.intercept(Operation("put", key, sent=len(content))):
            return await self.inner.put(key, content, condition=condition)

    async def stat(self, key: str) -> FileInfo:
        async with self.intercept(Operation("stat", key)):
            return await self.inner.stat(key)

    @asynccontextmanager
    async def open_reader(
        self, key: str, *, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[Reader]:
        async with AsyncExitStack() as block:
            async with self.intercept(Operation("open_reader", key)):
                entered = self.inner.open_reader(key, offset=offset, length=length)
                reader = await block.enter_async_context(entered)
            yield reader

    @asynccontextmanager
    async def open_writer(self, key: str) -> AsyncIterator[Writer]:
        async with AsyncExitStack() as block:
            inner = await block.enter_async_context(self.inner.open_writer(key))
            writer = InterceptedWriter(self, key, inner)
            try:
                async with writer_block(writer):
                    yield writer
            finally:
                await self.end_writer(writer, block)

    async def compose(self, sources: Sequence[Source], target: str, *, digest: str | None = None) -> FileInfo:
        async with self.intercept(Operation("compose", target)):
            return await self.inner.compose(sources, target, digest=digest)

    async def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo | Folder]:
        async with self.intercept(Operation("list", prefix)):
            return await self.inner.list(prefix, start_after=start_after, limit=limit)

    async def list_all(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo]:
        async with self.intercept(Operation("list_all", prefix)):
            return await self.inner.list_all(prefix, start_after=start_after, limit=limit)

    async def delete(
        self, key: str, *, condition: IfMatch | None = None, until: datetime | None = None
    ) -> None:
        async with self.intercept(Operation("delete", key)):
            await self.inner.delete(key, condition=condition, until=until)

    async def delete_many(self, keys: Iterable[str], *, until: datetime | None = None) -> None:
        several = [*keys]
        async with self.intercept(
            Operation("delete_many", several[0] if several else "", is_request=bool(several))
        ):
            await self.inner.delete_many(several, until=until)

    async def delete_prefix(self, prefix: str) -> None:
        async with self.intercept(Operation("delete_prefix", prefix)):
            await self.inner.delete_prefix(prefix)

    async def deletion_effects(self) -> DeletionEffects:
        async with self.intercept(Operation("deletion_effects", "")):
            return await self.inner.deletion_effects()

    async def purge_writers(self, older_than: timedelta) -> int:
        async with self.intercept(Operation("purge_writers", "")):
            return await self.inner.purge_writers(older_than)


class InterceptedWriter(Writer):
    """Passes each step on to the inner writer, inside of the block that the driver's `intercept` returns.

    Attributes:
        inner: The inner writer.
        ended: Whether the inner writer is committed or cancelled.
        unreached: Whether a wrapper kept the `cancel` from the store, or its answer from the caller.
    """

    def __init__(self, driver: InterceptingDriver, key: str, inner: Writer) -> None:
        self.inner = inner
        self.ended: bool = False
        self.unreached: bool = False
        self.offset: int = inner.offset
        self._driver = driver
        self._key = key
        self._part = driver.capabilities.part_size
        self._gathered = 0
        self._sent = False  # whether the store holds a part
        self._cancelled = False

    async def write(self, data: bytes | memoryview, /) -> None:
        gathered = self._gathered + memoryview(data).nbytes
        fills = gathered >= self._part
        self._sent = self._sent or fills
        async with self._driver.intercept(
            self._operation("write", sent=gathered if fills else 0, is_request=fills)
        ):
            await self.inner.write(data)
            self.offset = self.inner.offset
            self._gathered = 0 if fills else gathered

    async def commit(self, *, condition: Condition | None = None) -> FileInfo:
        async with self._driver.intercept(self._operation("commit", sent=self._gathered)):
            try:
                info = await self.inner.commit(condition=condition)
            except ConditionFailed:
                self.ended = True
                raise
            self.ended = True
        return info

    async def cancel(self) -> None:
        if self.ended or self._cancelled:
            return
        self._cancelled = True
        try:
            async with self._driver.intercept(self._operation("cancel", is_request=self._sent)):
                await self.inner.cancel()
                self.ended = True
        except RevstoreError:
            self.unreached = True
            raise

    def _operation(self, method: str, *, sent: int = 0, is_request: bool = True) -> Operation:
        return Operation(method, self._key, sent=sent, is_request=is_request)
