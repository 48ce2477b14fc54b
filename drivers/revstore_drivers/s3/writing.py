"""Writers: parts of one size go out in parallel while the writer gathers the next; small content takes one request.

The parts under way and the gathered part bound a writer's memory. A writer begins an upload only when it has more
than one part to send. All parts but the last have one size, as R2 demands.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from io import BytesIO
from typing import Final

from revstore_async.concurrency import settled
from revstore_async.driver import Condition, FileInfo, Writer
from revstore_async.driver.writer_blocks import writer_block
from revstore_async.errors import ConditionFailed, RevstoreError, Unsupported, WriterNotFound

from ..buckets.refusals import Refused
from ..buckets.retries import GRACE
from .client import Client
from .errors import DRIVER
from .putting import put
from .uploads import Upload

_CLEANING: Final = 30.0  # seconds for which a cancelled call goes on with its clean-up


@asynccontextmanager
async def open_writer(client: Client, key: str) -> AsyncIterator[Writer]:
    """Open a writer; see `Driver.open_writer`."""
    async with writer_block(S3Writer(client, key)) as writer:
        yield writer


class S3Writer(Writer):
    """Writes an object; nothing of it is visible before `commit`."""

    def __init__(self, client: Client, key: str) -> None:
        self.offset: int = 0
        self._client = client
        self._key = key
        self._part_size = client.options.part_size
        self._upload = Upload(client, key)
        self._etags: list[str] = []  # those of the parts, in order; empty while a part is under way
        self._sending: set[asyncio.Task[None]] = set()
        self._failed: BaseException | None = None
        self._gathered = (
            BytesIO()
        )  # a request sends it uncopied, since copying a part holds up the event loop
        self._waiting: deque[memoryview] = deque()  # accepted bytes that are not gathered yet
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
        while self._waiting:
            if self._gathered.tell() == self._part_size:
                await self._send()
            piece = self._waiting[0]
            room = self._part_size - self._gathered.tell()
            self._gathered.write(piece[:room])
            if len(piece) > room:
                self._waiting[0] = piece[room:]
            else:
                self._waiting.popleft()

    async def _send(self) -> None:
        """Send the gathered part as soon as fewer than `parallel_parts` are under way."""
        if not self._upload.id:
            await self._upload.begin()
        while len(self._sending) >= self._client.options.parallel_parts:
            await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
        self._check()
        await self._client.parts.acquire()
        content, self._gathered = self._gathered, BytesIO()
        self._etags.append("")
        task = asyncio.create_task(self._part(len(self._etags), content))
        self._sending.add(task)
        task.add_done_callback(self._sent)
        await asyncio.sleep(0)  # other tasks run, though the caller gives many parts at once

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._client.parts.release()

    async def _part(self, number: int, content: BytesIO) -> None:
        try:
            self._etags[number - 1] = await self._upload.put_part(number, content)
        except Refused as refused:
            self._failed = WriterNotFound(self._key)
            self._failed.__cause__ = refused
        except Exception as error:  # noqa: BLE001 (the next step of the writer raises it)
            self._failed = error

    async def _all_sent(self) -> None:
        while self._sending:
            await asyncio.wait(self._sending)
        self._check()

    # ---- its end

    async def commit(self, *, condition: Condition | None = None) -> FileInfo:
        self._check()
        if condition is not None and not self._client.options.honours("conditional_commit"):
            raise Unsupported(DRIVER, "conditional completion of an upload on this server")
        await self._gather()
        if self._upload.id:
            if self._gathered.tell():
                await self._send()
            await self._all_sent()
        try:
            return await settled(self._commit(condition), grace=GRACE)
        except ConditionFailed:
            with suppress(RevstoreError):  # a lifecycle rule removes the parts that are left
                await self.cancel()
            raise

    async def _commit(self, condition: Condition | None) -> FileInfo:
        if not self._upload.id:
            info = await put(self._client, self._key, self._gathered.getvalue(), condition)
        else:
            try:
                info = await self._upload.complete(self._etags, self.offset, condition)
            except Refused as refused:  # another program aborted the upload
                raise WriterNotFound(self._key) from refused
        self._done = True
        return info

    async def cancel(self) -> None:
        if self._done:
            return
        self._done = True
        await settled(self._discard(), grace=_CLEANING)

    async def _discard(self) -> None:
        under_way = bool(self._sending)
        for task in self._sending:
            task.cancel()
        if self._sending:
            await asyncio.wait(self._sending)
        self._gathered = BytesIO()
        self._waiting.clear()
        self._failed = None  # its traceback holds the writer
        await self._upload.abort(thorough=under_way)

    def _check(self) -> None:
        if self._done:
            raise WriterNotFound(self._key)
        if self._failed is not None:
            raise self._failed
