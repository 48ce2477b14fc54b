"""Writers: parts of one size go out in parallel while the next is gathered; small content goes in one request.

Memory is bounded by the parts under way and the one that is gathered. No upload is begun before there is more
than one part to send. Parts are all of one size but the last, as R2 demands; what fills no part when a writer is
suspended waits in an object beside the keys (see `unfinished`).
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from io import BytesIO
from typing import Final

from revstore_async.driver import Condition, FileInfo, Writer
from revstore_async.driver.ending import cancelled_at_the_end
from revstore_async.errors import ConditionFailed, RevstoreError, Unsupported, WriterNotFound

from ..buckets.refusals import Refused
from ..buckets.retries import settled
from ..state import WriterState
from .client import Client
from .deleting import delete_many
from .errors import DRIVER
from .putting import put
from .unfinished import LEASE, RENEWAL, Held, Record, forget, hold, let_go, read_tail, save, tail_of
from .uploads import Upload

_CLEANING: Final = 30.0  # seconds for which a cancelled call goes on with its clean-up


@asynccontextmanager
async def open_writer(client: Client, key: str, resume: bytes | None) -> AsyncIterator[Writer]:
    """Open a writer; see the contract."""
    writer = S3Writer(client, key)
    if resume is not None:
        await writer.go_on(WriterState.decode(resume, driver=DRIVER, key=key))
    async with cancelled_at_the_end(writer):
        yield writer


class S3Writer(Writer):
    """Writes an object; nothing of it is visible before `commit`."""

    def __init__(self, client: Client, key: str) -> None:
        self.offset = 0
        self._client = client
        self._key = key
        self._part_size = client.options.part_size
        self._upload = Upload(client, key)
        self._etags: list[str] = []  # of the parts, in order; empty while one is under way
        self._sending: set[asyncio.Task[None]] = set()
        self._failed: BaseException | None = None
        self._gathered = BytesIO()  # sent as it is: each copy of a part holds up the loop
        self._waiting: deque[memoryview] = deque()  # accepted, and not gathered yet
        self._held: Held | None = None
        self._tails: set[str] = set()  # of this unfinished write, in the store
        self._renewed = time.monotonic()
        self._done = False

    async def go_on(self, state: WriterState) -> None:
        """Go on from the state of an earlier writer."""
        if not self._client.options.honours("resumable_writes"):
            raise Unsupported(DRIVER, "resumed writers on this server")
        held = await hold(self._client, self._key, state.writer, state.offset)
        try:
            tail = await read_tail(self._client, held)
        except BaseException:
            with suppress(RevstoreError):  # the lease runs out
                await settled(let_go(self._client, held), grace=_CLEANING)
            raise
        record = held.record
        self.offset = record.offset
        self._part_size = record.part_size
        self._upload = Upload(self._client, self._key, record.upload, record.mark)
        self._etags = [*record.etags]
        self._gathered.write(tail)
        self._held = held
        self._tails = {record.tail} - {""}
        self._renewed = time.monotonic()

    # ---- bytes

    async def write(self, data: bytes | memoryview, /) -> None:
        self._check()
        piece = memoryview(data).cast("B")
        if not piece:
            return
        self._waiting.append(piece)
        self.offset += len(piece)
        try:
            await self._renew()
            await self._gather()
        finally:
            # Where it was cancelled half-way all the bytes are accepted nevertheless; their memory is not ours.
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
        """Let a part go, which is gathered, as soon as fewer than so many are under way."""
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
        await asyncio.sleep(0)  # others' turn, where many parts are given at once

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._client.parts.release()

    async def _part(self, number: int, content: BytesIO) -> None:
        try:
            self._etags[number - 1] = await self._upload.put_part(number, content)
        except Refused as refused:
            self._failed = WriterNotFound(self._key)
            self._failed.__cause__ = refused
        except Exception as error:  # noqa: BLE001 (it is raised by the next step of the writer)
            self._failed = error

    async def _all_sent(self) -> None:
        while self._sending:
            await asyncio.wait(self._sending)
        self._check()

    async def _renew(self, *, always: bool = False) -> None:
        """Show that this writer is at work, now and then; and before the end, which only one may make."""
        young = time.monotonic() - self._renewed < RENEWAL.total_seconds()
        if self._held is None or (young and not always):
            return
        try:
            self._held = await save(self._client, self._held)
        except ConditionFailed as error:
            self._failed = WriterNotFound(self._key)
            raise self._failed from error  # it was so slow that another took it over
        self._renewed = time.monotonic()

    # ---- its end

    async def suspend(self) -> bytes:
        self._check()
        if not self._client.options.honours("resumable_writes"):
            raise Unsupported(DRIVER, "suspended writers on this server")
        await self._gather()
        await self._all_sent()
        before = self._held
        record = self._record()
        # From here on a clean-up must know of the record and the tail, whether their answers come or not.
        self._held = Held(before.id, before.etag, record) if before else Held(_name(), "", record)
        if record.tail:
            self._tails.add(record.tail)
            await put(self._client, tail_of(self._held.id, record.tail), self._gathered.getvalue())
        try:
            await save(self._client, self._held)
        except ConditionFailed as error:
            await self._lose(record.tail)
            raise WriterNotFound(self._key) from error
        self._done = True
        with suppress(RevstoreError):  # it is suspended; the end of the write takes what is left
            await self._drop_tails(self._tails - {record.tail})
        return WriterState(DRIVER, self._key, self._held.id, self.offset).encode()

    async def _lose(self, tail: str) -> None:
        """Leave alone what another writer has taken over; only this one's new tail is its own."""
        self._done = True
        with suppress(RevstoreError):  # the purge takes it
            await self._drop_tails({tail} - {""})

    async def _drop_tails(self, tails: set[str]) -> None:
        if self._held is not None and tails:
            await delete_many(self._client, [tail_of(self._held.id, tail) for tail in sorted(tails)])

    def _record(self) -> Record:
        tail = _name() if self._gathered.tell() else ""
        etags = tuple(self._etags)
        upload = self._upload
        return Record(self._key, self.offset, self._part_size, upload.id, upload.mark, etags, tail, "")

    async def commit(self, *, condition: Condition | None = None) -> FileInfo:
        self._check()
        if condition is not None and not self._client.options.honours("conditional_commit"):
            raise Unsupported(DRIVER, "conditional completion of an upload on this server")
        await self._renew(always=True)  # before the last part goes out: it could take the place of another's
        await self._gather()
        if self._upload.id:
            if self._gathered.tell():
                await self._send()
            await self._all_sent()
        try:
            return await settled(self._commit(condition))
        except ConditionFailed:
            with suppress(RevstoreError):  # a lifecycle rule takes the parts that are left
                await self.cancel()
            raise

    async def _commit(self, condition: Condition | None) -> FileInfo:
        if not self._upload.id:
            info = await put(self._client, self._key, self._gathered.getvalue(), condition)
        else:
            try:
                info = await self._upload.complete(self._etags, self.offset, condition)
            except Refused as refused:  # aborted, purged, or taken over by another writer
                raise WriterNotFound(self._key) from refused
        self._done = True
        if self._held is not None:
            with suppress(RevstoreError):  # it is written; what is left of the writer is purged some day
                await forget(self._client, self._held.id, self._tails)
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
        if self._held is not None and time.monotonic() - self._renewed > LEASE.total_seconds():
            return  # another may have taken it over; if not, it is purged
        await self._upload.abort(thorough=under_way)
        if self._held is not None:
            await forget(self._client, self._held.id, self._tails)

    def _check(self) -> None:
        if self._done:
            raise WriterNotFound(self._key)
        if self._failed is not None:
            raise self._failed


def _name() -> str:
    return secrets.token_hex(16)
