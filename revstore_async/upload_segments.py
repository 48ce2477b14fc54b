"""The bytes of one call on an upload, on their way into a segment of their own."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final, Self

from .bodies import Body
from .concurrency import settled
from .driver import Driver, Writer
from .resumable_digest import ResumableDigest
from .threads import update
from .upload_state import Segment, State, UploadStates

GRACE: Final = 10.0
"""Seconds for which a cancelled call goes on to keep what it accepted, or to clean up."""

_SMALL_AT_MOST: Final = 16  # segments at the end, each below a part, before they are joined to one


class Staging:
    """What one call stores before the state names it. `open` deletes it at the end, unless it was `named`.

    Attributes:
        segment: The segment that was stored; None where there was nothing to store.
        named: Whether the state names it now, or may: a swap whose answer was lost may have been made.
    """

    def __init__(self, driver: Driver, states: UploadStates, id: str) -> None:  # noqa: A002
        self.segment: Segment | None = None
        self.named = False
        self._driver = driver
        self._states = states
        self._id = id
        self._stored: list[str] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, driver: Driver, states: UploadStates, id: str) -> AsyncIterator[Self]:  # noqa: A002
        """Begin; the block ends with what was stored named by the state, or gone."""
        staging = cls(driver, states, id)
        try:
            yield staging
        finally:
            if not staging.named and staging._stored:
                await settled(driver.delete_many(staging._stored), grace=GRACE)

    def _new(self) -> tuple[str, str]:
        name = secrets.token_hex(8)
        key = self._states.segment_key(self._id, name)
        self._stored.append(key)
        return name, key

    async def put(self, content: bytes) -> None:
        """Store content that is whole and small. One request."""
        name, key = self._new()
        await self._driver.put(key, content)
        self.segment = Segment(name, len(content))

    @asynccontextmanager
    async def written(self, head: bytes, body: Body, hasher: ResumableDigest | None) -> AsyncIterator[Writer]:
        """Write a head and what comes after it as it comes, and hash it; the block commits it, or nothing is."""
        name, key = self._new()
        async with self._driver.open_writer(key) as writer:
            await _take(head, writer, hasher)
            async for piece in body.rest():
                await _take(piece, writer, hasher)
            self.segment = Segment(name, writer.offset)
            yield writer

    async def join(self, segments: Sequence[Segment]) -> Segment:
        """Store segments as one. One request; the store joins them itself, where it can."""
        name, key = self._new()
        info = await self._driver.compose(self._states.sources(self._id, segments), key)
        return Segment(name, info.size)


async def _take(piece: bytes, writer: Writer, hasher: ResumableDigest | None) -> None:
    if hasher is not None:
        await update(hasher, piece)
    await writer.write(piece)


def digest_so_far(state: State) -> ResumableDigest | None:
    """Return the digest of all the bytes accepted, to go on with; None where it is not known here."""
    if state.hashed != state.offset:
        return None
    if state.digest_state is None:
        return ResumableDigest(state.algorithm) if not state.offset else None
    return ResumableDigest.from_state(state.algorithm, state.digest_state)


def with_segment(state: State, segment: Segment | None, hasher: ResumableDigest | None) -> State:
    """Return the state with one more segment, and the digest of all where it can be handed on."""
    segments = (*state.segments, segment) if segment else state.segments
    longer = replace(state, segments=segments)
    known = hasher.state() if hasher else None
    return replace(longer, hashed=longer.offset, digest_state=known) if known else longer


def joinable(segments: Sequence[Segment], part_size: int) -> Sequence[Segment]:
    """Return the segments at the end, each below a part, that are to be joined to one; none while they are few.

    So a state stays small however small the pieces are that somebody sends: it names a segment for each part,
    and a few more.
    """
    first = len(segments)
    while first and segments[first - 1].size < part_size:
        first -= 1
    small = segments[first:]
    if len(small) > 1 and (len(small) > _SMALL_AT_MOST or sum(each.size for each in small) >= part_size):
        return small
    return ()
