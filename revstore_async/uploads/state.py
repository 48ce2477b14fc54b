"""The state of an upload: one small object, changed by compare-and-swap only.

The content lies beside it in segments, each an object of its own that is never changed. A segment counts once
the state names it: a writer stores its bytes first, then swaps the state for one that names them too.
Acknowledged bytes are therefore always whole objects that one state names. No writer locks an upload while
bytes arrive, and a killed one leaves at most segments that no state names.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Self
from uuid import uuid4

from ..arguments import check_type
from ..driver import Driver, IfAbsent, IfMatch, Source
from ..errors import (
    ConditionFailed,
    InvalidDigest,
    KeyNotFound,
    ObjectTooLarge,
    RecordDamaged,
    RecordOfNewerEngine,
    Unsupported,
    UploadUnknown,
)
from ..formats.digest import HEX_LENGTHS, Digest
from ..formats.names import RepositoryName
from ..layout import Layout, UploadSegment, UploadState
from ..threads import in_thread_if_large

_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_VERSION: Final = 1
_STATE_LIMIT: Final = 16 << 20  # bytes; a state has some seventy for each segment
_BYTES_EACH: Final = 70


class OtherVersion(ValueError):
    """A state that this engine can't read, but a newer one can."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the content, stored as one object.

    Attributes:
        name: Its name, which no other segment has.
        size: Its bytes.
        etag: Its version, from the store; None if an older engine wrote the state.
    """

    name: str
    size: int
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """The content of a state.

    Attributes:
        started: When the upload began; aware, in UTC.
        algorithm: The algorithm of the digest that is computed as bytes arrive.
        segments: The content so far, in order.
        hashed: The number of bytes, from the first on, that `digest_state` covers.
        digest_state: The state of the hasher, from `ResumableDigest.state`; None if it is not known.
        digest: The digest of all the content, from the call that finishes the upload; None while more bytes may
            come.
        over: Whether the upload is finished or being purged. Every call treats it as unknown; a purge deletes
            the rest.
        offset: The bytes accepted.
    """

    started: datetime
    algorithm: str
    segments: tuple[Segment, ...] = ()
    hashed: int = 0
    digest_state: bytes | None = None
    digest: Digest | None = None
    over: bool = False
    offset: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", sum([segment.size for segment in self.segments]))

    def encode(self) -> bytes:
        """Return the state as the bytes to store."""
        said = {
            "version": _VERSION,
            "started": self.started.isoformat(),
            "algorithm": self.algorithm,
            "segments": [[segment.name, segment.size] for segment in self.segments],
            "etags": [segment.etag for segment in self.segments],
            "hashed": self.hashed,
            "digest_state": None if self.digest_state is None else b64encode(self.digest_state).decode(),
            "digest": self.digest,
            "over": self.over,
        }
        return json.dumps(said, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Read a state from stored bytes.

        Raises:
            ValueError: The bytes are not a state.
            OtherVersion: A newer engine wrote it.
        """
        try:
            said = json.loads(content)
            version = said["version"]
            if isinstance(version, int) and version > _VERSION:
                raise OtherVersion(version)
            if version != _VERSION or said["algorithm"] not in HEX_LENGTHS:
                raise ValueError("of another version, or algorithm")
            state, digest = said["digest_state"], said["digest"]
            return cls(
                started=datetime.fromisoformat(said["started"]).astimezone(UTC),
                algorithm=said["algorithm"],
                segments=_segments(said["segments"], said.get("etags")),
                hashed=int(said["hashed"]),
                digest_state=None if state is None else b64decode(state, validate=True),
                digest=None if digest is None else Digest(digest),
                over=bool(said["over"]),
            )
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError("not a state of an upload") from error


def _segments(said: list[tuple[str, int]], etags: list[str | None] | None) -> tuple[Segment, ...]:
    if etags is None:  # an older engine has changed the state
        etags = [None] * len(said)
    segments = [
        Segment(str(name), int(size), None if etag is None else str(etag))
        for (name, size), etag in zip(said, etags, strict=True)
    ]
    return tuple(segments)


@dataclass(frozen=True, slots=True)
class StateVersion:
    """A state of an upload, and the version under which the store has it.

    Attributes:
        id: The upload's name.
        state: The state.
        etag: The version, for a swap.
        modified: When the store took this version, by the store's clock.
    """

    id: str
    state: State
    etag: str
    modified: datetime


class UploadStates:
    """Reads and changes the states of one repository's uploads."""

    def __init__(self, name: RepositoryName, driver: Driver, layout: Layout) -> None:
        self._name = name
        self._driver = driver
        self._layout = layout

    def key(self, id: str) -> str:  # noqa: A002 (the field's word for it)
        """Return the key of a state."""
        return self._layout.key(UploadState(self._name, id))

    def segment_key(self, id: str, segment: Segment | str) -> str:  # noqa: A002
        """Return the key of a segment. The caller has checked the id."""
        name = segment if isinstance(segment, str) else segment.name
        return self._layout.key(UploadSegment(self._name, id, name))

    def sources(self, id: str, segments: Iterable[Segment]) -> list[Source]:  # noqa: A002
        """Return segments as `Driver.compose` takes them."""
        return [Source(self.segment_key(id, each), each.size, each.etag) for each in segments]

    def folder(self, id: str) -> str:  # noqa: A002
        """Return the folder of all that belongs to an upload."""
        return self._layout.upload(self._name, id)

    async def create(self, state: State) -> StateVersion:
        """Store the state of a new upload. One request.

        Raises:
            Unsupported: The driver lacks conditional writes, by which processes agree on a state.
        """
        if not self._driver.capabilities.conditional_put:
            raise Unsupported(
                self._driver.name, "uploads in several requests, as it lacks conditional writes"
            )
        upload = str(uuid4())
        info = await self._driver.put(self.key(upload), await _encoded(state), condition=IfAbsent())
        return StateVersion(upload, state, info.etag, info.modified)

    async def read(self, id: str) -> StateVersion:  # noqa: A002
        """Read a state. One request.

        Raises:
            UploadUnknown: There is no such upload, it is over, or this engine gives no upload such an id.
            RecordDamaged: The stored bytes are not a state.
            RecordOfNewerEngine: A newer engine wrote the state.
        """
        seen = await self.look(id)
        if seen.state.over:
            raise UploadUnknown(self._name, id)
        return seen

    async def look(self, id: str) -> StateVersion:  # noqa: A002
        """Read a state, even if the upload is over. Otherwise as `read`."""
        self.check_id(id)
        try:
            file = await self._driver.get(self.key(id), limit=_STATE_LIMIT)
        except KeyNotFound as error:
            raise UploadUnknown(self._name, id) from error
        except ObjectTooLarge as error:
            raise RecordDamaged(self.key(id), str(error)) from error
        try:
            state = await in_thread_if_large(len(file.content), State.decode, file.content)
        except OtherVersion as error:
            raise RecordOfNewerEngine(self.key(id), f"version {error}") from error
        except (ValueError, InvalidDigest) as error:
            raise RecordDamaged(self.key(id), str(error)) from error
        return StateVersion(id, state, file.info.etag, file.info.modified)

    def check_id(self, id: str) -> None:  # noqa: A002
        """Check the form of an upload's id.

        Raises:
            UploadUnknown: This engine gives no upload such an id.
            WrongType: The id is not text.
        """
        if type(id) is not str:
            check_type("id", id, str)
        if not _ID.fullmatch(id):
            raise UploadUnknown(self._name, id)

    async def find(self, id: str) -> StateVersion | None:  # noqa: A002
        """Read a state; return None if there is none. One request."""
        try:
            return await self.read(id)
        except UploadUnknown:
            return None

    async def swap(self, seen: StateVersion, state: State) -> StateVersion | None:
        """Write a state over the seen one; return None if that is no longer stored. One request."""
        content = await _encoded(state)
        try:
            info = await self._driver.put(self.key(seen.id), content, condition=IfMatch(seen.etag))
        except ConditionFailed:
            return None
        return replace(seen, state=state, etag=info.etag, modified=info.modified)

    async def forget(self, seen: StateVersion, digest: Digest) -> None:
        """End an upload that has no segments, as its content was stored as a blob at once. One request.

        If another call added bytes meanwhile, the upload stays. A store without conditional deletes can't tell
        the two cases apart in a delete. There the state is swapped for one that is `over`, and a purge deletes
        that one.
        """
        if not self._driver.capabilities.conditional_delete:
            await self.swap(seen, replace(seen.state, digest=digest, over=True))
            return
        with suppress(ConditionFailed):
            await self._driver.delete(self.key(seen.id), condition=IfMatch(seen.etag))


async def _encoded(state: State) -> bytes:
    return await in_thread_if_large(_BYTES_EACH * len(state.segments), state.encode)
