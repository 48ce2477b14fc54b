"""Writers: content of up to a part goes in one request, larger content in one multipart upload, which obstore runs.

obstore takes the parts from an iterator, and sends several at once. It aborts the upload if the iterator fails. A
cancelled call of obstore would leave the upload behind. A cancelled writer therefore makes the iterator fail, and
waits. obstore offers no condition for the completion.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import obstore

from revstore_async.concurrency import settled
from revstore_async.driver import Condition, FileInfo, Writer
from revstore_async.driver.writer_blocks import writer_block
from revstore_async.errors import RevstoreError, Unavailable, Unsupported, WriterNotFound

from ..buckets.refusals import Refused
from ..buckets.retries import GRACE
from .client import Client
from .errors import MISSING, of_refused, translated
from .putting import found, new_mark, put, written

if TYPE_CHECKING:
    from obstore import PutResult

_CLEANING: Final = 30.0  # seconds for which a cancelled call goes on with its clean-up


class _Abandoned(Exception):
    """Makes obstore abort an upload."""


class _Parts:
    """The iterator from which obstore takes parts, on the writer's event loop. At most one part waits in it."""

    def __init__(self) -> None:
        self._items: deque[bytearray | None] = deque()
        self._came = asyncio.Event()
        self._room = asyncio.Semaphore(1)
        self._abandoned = False

    def __aiter__(self) -> "_Parts":
        return self

    async def __anext__(self) -> bytearray:
        await self._came.wait()
        if self._abandoned:
            raise _Abandoned
        part = self._items.popleft()
        self._came.clear()
        self._room.release()
        if part is None:
            raise StopAsyncIteration
        return part

    async def room(self) -> None:
        """Wait until there is room for a part, or obstore takes no more parts."""
        await self._room.acquire()

    def give(self, part: bytearray | None) -> None:
        """Give obstore a part, or None for the end, once there is room."""
        self._items.append(part)
        self._came.set()

    def abandon(self) -> None:
        """Let obstore's next step fail."""
        self._abandoned = True
        self._came.set()

    def ended(self, _: object) -> None:
        """Wake the tasks that wait for room, since obstore takes no more parts."""
        self._room.release()


@asynccontextmanager
async def open_writer(client: Client, key: str) -> AsyncIterator[Writer]:
    """Open a writer; see `Driver.open_writer`."""
    writer = ObjectStoreWriter(client, key)
    async with writer_block(writer):
        yield writer


class ObjectStoreWriter(Writer):
    """Writes an object; nothing of it is visible before `commit`."""

    def __init__(self, client: Client, key: str) -> None:
        self.offset: int = 0
        self._client = client
        self._key = key
        self._mark = new_mark()
        self._gathered = bytearray()
        self._waiting: deque[memoryview] = deque()  # accepted bytes that are not gathered yet
        self._parts = _Parts()
        self._upload: asyncio.Task[PutResult] | None = None
        self._begun = 0.0
        self._done = False

    # ---- bytes

    async def write(self, data: bytes | memoryview, /) -> None:
        self._check()
        piece = memoryview(data).cast("B")
        if not piece:
            return
        self._waiting.append(piece)
        self.offset += len(piece)
        try:
            await self._gather()
        finally:
            # A cancelled call has accepted all bytes too, and the caller may use their memory again.
            self._waiting = deque(memoryview(bytes(piece)) for piece in self._waiting)

    async def _gather(self) -> None:
        size = self._client.options.part_size
        while self._waiting:
            if len(self._gathered) == size:
                await self._send()
            piece = self._waiting[0]
            room = size - len(self._gathered)
            self._gathered += piece[:room]
            if len(piece) > room:
                self._waiting[0] = piece[room:]
            else:
                self._waiting.popleft()

    async def _send(self) -> None:
        """Give obstore the gathered part as soon as it has room."""
        if self._upload is None:
            self._begun = self._client.now()
            self._upload = asyncio.create_task(self._run())
            self._upload.add_done_callback(self._parts.ended)
        await self._parts.room()
        if self._upload.done():
            self._parts.ended(self._upload)
            await self._result(self._upload)
        # From here on nothing waits: a cancelled writer may go on, and must neither lose nor repeat a part.
        self._parts.give(self._gathered)
        self._gathered = bytearray()

    async def _run(self) -> "PutResult":
        options = self._client.options
        with translated(self._key, options.shown, options.scheme):
            return await obstore.put_async(
                self._client.patient,
                self._key,
                self._parts,
                attributes=self._client.attributes(self._mark),
                use_multipart=True,
                chunk_size=options.part_size,
                max_concurrency=options.parallel_parts,
            )

    async def _result(self, upload: "asyncio.Task[PutResult]") -> "PutResult":
        """Wait for the end of the upload."""
        try:
            return await asyncio.shield(upload)
        except Refused as refused:
            if refused.code == MISSING:
                raise WriterNotFound(self._key) from refused  # another program aborted the upload
            raise of_refused(refused, self._key) from refused
        finally:
            del upload  # the task holds its error, whose traceback holds this frame

    # ---- its end

    async def commit(self, *, condition: Condition | None = None) -> FileInfo:
        self._check()
        if condition is not None:
            raise Unsupported(self._client.options.scheme, "conditional completion of a writer")
        await self._gather()
        return await settled(self._commit(), grace=GRACE)

    async def _commit(self) -> FileInfo:
        if self._upload is None:
            info = await put(self._client, self._key, bytes(self._gathered))
        else:
            info = await self._complete(self._upload)
        self._done = True
        return info

    async def _complete(self, upload: "asyncio.Task[PutResult]") -> FileInfo:
        try:
            if self._gathered:
                await self._send()
            await self._parts.room()
            self._parts.give(None)
            result = await self._result(upload)
        except (Unavailable, WriterNotFound):
            # The answer may have been lost, and a further try have found no upload any more.
            if (info := await found(self._client, self._key, self._mark)) is None:
                raise
            return info
        finally:
            del upload
        # S3 may date an object from the beginning of its upload.
        return await written(self._client, self._key, self.offset, result, self._begun, self._client.now())

    async def cancel(self) -> None:
        if self._done:
            return
        self._done = True
        self._gathered = bytearray()
        self._waiting.clear()
        if self._upload is not None:
            upload, self._upload = self._upload, None
            await settled(self._discard(upload), grace=_CLEANING)

    async def _discard(self, upload: "asyncio.Task[PutResult]") -> None:
        self._parts.abandon()
        try:
            await upload
        except (_Abandoned, Refused, RevstoreError):
            return
        finally:
            del upload

    def _check(self) -> None:
        if self._done:
            raise WriterNotFound(self._key)
