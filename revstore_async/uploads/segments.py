"""Stores the bytes of one call on an upload in new segments."""

import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, Self

from ..blobs.incoming import IncomingContent
from ..concurrency import settled
from ..driver import Driver, Writer
from ..errors import RevstoreError
from ..formats.resumable_digest import ResumableDigest
from ..threads import StreamHasher
from .state import Segment, State, UploadStates

GRACE: Final = 10.0
"""Seconds that a cancelled call may take to keep the bytes that it accepted, or to clean up."""

_LIKE_SIZES: Final = 16  # last segments, all below a part and of like size, that stay apart
_SMALL_AT_MOST: Final = 128  # last segments below a part, of any sizes, that stay apart
_PARTS_AT_MOST: Final = 4096  # parts of one segment; stores take that many, and more (S3: 10,000)


def largest(part_size: int) -> int:
    """Return the most bytes of one segment; longer content goes into several."""
    return _PARTS_AT_MOST * part_size


class Staging:
    """Segments that one call stores before the state names them. `open` deletes them unless `committed`.

    Attributes:
        segments: The stored segments, in order.
        committed: Whether the state names them, or may: a swap may take effect although its answer is lost.
    """

    def __init__(self, driver: Driver, states: UploadStates, id: str) -> None:  # noqa: A002
        self.segments: tuple[Segment, ...] = ()
        self.committed = False
        self._driver = driver
        self._states = states
        self._id = id
        self._stored: list[str] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, driver: Driver, states: UploadStates, id: str) -> AsyncIterator[Self]:  # noqa: A002
        """Open a staging; at the end of the block the state names its segments, or they are deleted.

        If they can't be deleted, the block ends all the same: a purge deletes them.
        """
        staging = cls(driver, states, id)
        try:
            yield staging
        finally:
            if not staging.committed and staging._stored:
                with suppress(RevstoreError):
                    await settled(driver.delete_many(staging._stored), grace=GRACE)

    def _new(self) -> tuple[str, str]:
        name = secrets.token_hex(8)
        key = self._states.segment_key(self._id, name)
        self._stored.append(key)
        return name, key

    async def put(self, content: bytes) -> None:
        """Store small content as the only segment. One request."""
        name, key = self._new()
        info = await self._driver.put(key, content)
        self.segments = (Segment(name, len(content), info.etag),)

    @asynccontextmanager
    async def written(
        self, incoming: IncomingContent, hasher: ResumableDigest | None
    ) -> AsyncIterator[Callable[[], Coroutine[Any, Any, None]]]:
        """Write and hash content as it comes; the block commits the last segment by the yielded function."""
        begun = False
        while not begun or await incoming.more():
            begun = True
            name, key = self._new()
            async with self._driver.open_writer(key) as writer:
                if not await self._filled(writer, incoming, hasher):
                    yield partial(self._commit, name, writer)
                    return
                await self._commit(name, writer)
            incoming.written(0)
        yield _done

    async def _commit(self, name: str, writer: Writer) -> None:
        info = await writer.commit()
        self.segments = (*self.segments, Segment(name, info.size, info.etag))

    async def _filled(
        self, writer: Writer, incoming: IncomingContent, hasher: ResumableDigest | None
    ) -> bool:
        """Write until the segment is full or the content ends; return whether there may be more content."""
        if hasher is None:
            return await self._poured(writer, incoming, None)
        async with StreamHasher.beside(hasher) as hashing:
            more = await self._poured(writer, incoming, hashing)
            await hashing.flush()
            return more

    async def _poured(self, writer: Writer, incoming: IncomingContent, hashing: StreamHasher | None) -> bool:
        part_size = self._driver.capabilities.part_size
        limit = largest(part_size)
        while (piece := await incoming.piece()) is not None:
            if writer.offset and writer.offset + len(piece) > limit:
                incoming.put_back(piece)
                return True
            if hashing is not None:
                await hashing.update(piece)
            await writer.write(piece)
            # If memory ran out, these bytes become a segment now.
            if incoming.written((writer.offset - 1) % part_size + 1):
                return True
        return False

    async def join(self, segments: Sequence[Segment]) -> Segment:
        """Store segments as one. One request; the store joins them itself, if it can.

        Raises:
            KeyNotFound: One of them is gone.
            ConditionFailed: One of them has changed since it was stored.
        """
        name, key = self._new()
        info = await self._driver.compose(self._states.sources(self._id, segments), key)
        return Segment(name, info.size, info.etag)


async def _done() -> None:
    """Commit nothing more: all the content is in segments already."""


def digest_so_far(state: State) -> ResumableDigest | None:
    """Return a hasher of all the accepted bytes, or None if this process can't resume it."""
    if state.hashed != state.offset:
        return None
    if state.digest_state is None:
        return ResumableDigest(state.algorithm) if not state.offset else None
    return ResumableDigest.from_state(state.algorithm, state.digest_state)


def with_segments(state: State, segments: Sequence[Segment], hasher: ResumableDigest | None) -> State:
    """Return the state with more segments, and with the hasher's state if that can be exported."""
    longer = replace(state, segments=(*state.segments, *segments))
    known = hasher.state() if hasher else None
    return replace(longer, hashed=longer.offset, digest_state=known) if known else longer


def joinable(segments: Sequence[Segment], part_size: int) -> Sequence[Segment]:
    """Return the last segments, each below a part, that are to be joined to one; empty while they are few.

    This keeps the state small, even if a client sends tiny pieces: it names a segment for each part, and a few
    more. Only segments of like size are joined, so that a byte is moved once for each size, not each time.
    """
    first = len(segments)
    while first and segments[first - 1].size < part_size:
        first -= 1
    small = segments[first:]
    if len(small) < 2:
        return ()
    if len(small) > _SMALL_AT_MOST or sum(each.size for each in small) >= part_size:
        return small
    levels = [_level(each.size) for each in small]
    for level in sorted({*levels}):
        begin = len(levels)
        while begin and levels[begin - 1] <= level:
            begin -= 1
        if levels[begin:].count(level) > _LIKE_SIZES:
            return small[begin:]
    return ()


def _level(size: int) -> int:
    """Return which power of `_LIKE_SIZES` a size reaches."""
    return (size.bit_length() - 1) // (_LIKE_SIZES.bit_length() - 1)
