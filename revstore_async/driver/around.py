"""The common part of wrappers that do one thing around each request: they override `AroundDriver.around`.

It defines a request for all of them alike. One call of a driver's method is one request, though a store may
need several for `delete_prefix` or for more keys than it deletes at once. `open_reader` is one: bytes that flow
afterwards are its answer. A writer gathers `Capabilities.part_size` bytes and sends them all, so a `write` that
fills a part is one request, and any other `write` makes no request. `commit` is one request, and so is `cancel`
after a part was sent. `url_for` asks the store nothing.
"""

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from ..errors import ConditionFailed, RevstoreError
from .contract import LIST_LIMIT, Reader, Writer
from .ending import cancelled_at_the_end
from .values import Condition, File, FileInfo, Folder, IfMatch, Page, Source
from .wrapper import DriverWrapper


@dataclass(slots=True)
class Call:
    """One call on its way to the driver within.

    Attributes:
        method: The method's name in the contract.
        key: The key or prefix; of several, the first; empty where there is none.
        sent: Bytes of content that go in with it.
        received: Bytes of content that came out, once it has returned.
        asks: Whether it is a request: false for a `write` that fills no part and a `cancel` of nothing sent.
        broken: Whether its answer is to break off half-way; set by a wrapper for itself.
    """

    method: str
    key: str
    sent: int = 0
    received: int = 0
    asks: bool = True
    broken: bool = False


class AroundDriver(DriverWrapper):
    """Passes each call on inside of `around`."""

    @abstractmethod
    def around(self, call: Call) -> AbstractAsyncContextManager[None]:
        """Return a block that is entered before the call is passed on and left after its answer."""

    async def end_writer(self, writer: "AroundWriter", block: AsyncExitStack) -> None:
        """Take the block of the inner writer over, if a wrapper keeps it open; here the block ends at once."""

    async def get(self, key: str, *, limit: int | None = None) -> File:
        call = Call("get", key)
        async with self.around(call):
            file = await self.inner.get(key, limit=limit)
            call.received = file.info.size
        return file

    async def put(self, key: str, content: bytes, *, condition: Condition | None = None) -> FileInfo:
        async with self.around(Call("put", key, sent=len(content))):
            return await self.inner.put(key, content, condition=condition)

    async def stat(self, key: str) -> FileInfo:
        async with self.around(Call("stat", key)):
            return await self.inner.stat(key)

    @asynccontextmanager
    async def open_reader(
        self, key: str, *, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[Reader]:
        async with AsyncExitStack() as block:
            async with self.around(Call("open_reader", key)):
                entered = self.inner.open_reader(key, offset=offset, length=length)
                reader = await block.enter_async_context(entered)
            yield reader

    @asynccontextmanager
    async def open_writer(self, key: str) -> AsyncIterator[Writer]:
        async with AsyncExitStack() as block:
            inner = await block.enter_async_context(self.inner.open_writer(key))
            writer = AroundWriter(self, key, inner)
            try:
                async with cancelled_at_the_end(writer):
                    yield writer
            finally:
                await self.end_writer(writer, block)

    async def compose(self, sources: Sequence[Source], target: str, *, digest: str | None = None) -> FileInfo:
        async with self.around(Call("compose", target)):
            return await self.inner.compose(sources, target, digest=digest)

    async def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo | Folder]:
        async with self.around(Call("list", prefix)):
            return await self.inner.list(prefix, start_after=start_after, limit=limit)

    async def list_all(
        self, prefix: str = "", *, start_after: str | None = None, limit: int = LIST_LIMIT
    ) -> Page[FileInfo]:
        async with self.around(Call("list_all", prefix)):
            return await self.inner.list_all(prefix, start_after=start_after, limit=limit)

    async def delete(self, key: str, *, condition: IfMatch | None = None) -> None:
        async with self.around(Call("delete", key)):
            await self.inner.delete(key, condition=condition)

    async def delete_many(self, keys: Iterable[str]) -> None:
        several = [*keys]
        async with self.around(Call("delete_many", several[0] if several else "", asks=bool(several))):
            await self.inner.delete_many(several)

    async def delete_prefix(self, prefix: str) -> None:
        async with self.around(Call("delete_prefix", prefix)):
            await self.inner.delete_prefix(prefix)

    async def purge_writers(self, older_than: timedelta) -> int:
        async with self.around(Call("purge_writers", "")):
            return await self.inner.purge_writers(older_than)


class AroundWriter(Writer):
    """A writer that passes its steps on inside of the driver's `around`.

    Attributes:
        inner: The writer within.
        ended: Whether the inner writer is done.
        unreached: Whether a wrapper kept the `cancel` from the store, or its answer from the caller.
    """

    def __init__(self, driver: AroundDriver, key: str, inner: Writer) -> None:
        self.inner = inner
        self.ended = False
        self.unreached = False
        self.offset = inner.offset
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
        async with self._driver.around(self._call("write", sent=gathered if fills else 0, asks=fills)):
            await self.inner.write(data)
            self.offset = self.inner.offset
            self._gathered = 0 if fills else gathered

    async def commit(self, *, condition: Condition | None = None) -> FileInfo:
        async with self._driver.around(self._call("commit", sent=self._gathered)):
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
            async with self._driver.around(self._call("cancel", asks=self._sent)):
                await self.inner.cancel()
                self.ended = True
        except RevstoreError:
            self.unreached = True
            raise

    def _call(self, method: str, *, sent: int = 0, asks: bool = True) -> Call:
        return Call(method, self._key, sent=sent, asks=asks)
