"""The end of an upload: its content becomes a blob that the repository links.

No content is visible before it is verified, and any process can repeat each step. First the state is swapped
for one that names the digest and takes no more bytes, and the content is stored under that digest. Then the
link is written; then the rest of the upload is deleted. The gate of writers is asked just before the content is
stored: a client may have sent it for hours.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from ..blobs.gate import Window
from ..blobs.incoming import IncomingContent
from ..blobs.layers import LayerStore
from ..blobs.store import BlobStore
from ..concurrency import alongside, gather, settled
from ..driver import Driver
from ..errors import (
    ConditionFailed,
    DigestMismatch,
    KeyNotFound,
    RecordDamaged,
    RevstoreError,
    UploadBusy,
    UploadDamaged,
    UploadOffsetMismatch,
    UploadUnknown,
)
from ..formats.descriptors import Descriptor, blob_descriptor
from ..formats.digest import Digest, new_hasher
from ..formats.names import RepositoryName
from ..formats.resumable_digest import ResumableDigest
from ..layout import BlobData, LayerLink
from ..threads import digest_of, update
from .segments import GRACE, Staging, digest_so_far, largest, with_segments
from .state import State, StateVersion, UploadStates


class UploadFinisher:
    """Finishes the uploads of one repository; `UploadStore.finish` says how."""

    def __init__(
        self,
        name: RepositoryName,
        states: UploadStates,
        blobs: BlobStore,
        layers: LayerStore,
        driver: Driver,
    ) -> None:
        self._name = name
        self._states = states
        self._blobs = blobs
        self._gate = blobs.writer.gate
        self._layers = layers
        self._driver = driver

    async def finish(
        self,
        id: str,  # noqa: A002
        digest: Digest,
        incoming: IncomingContent,
        offset: int | None,
    ) -> Descriptor:
        """Finish an upload with its last bytes; see `UploadStore.finish`."""
        new_hasher(digest.algorithm)  # refuses a digest that can't be computed
        part_size = self._driver.capabilities.part_size
        async with (
            alongside(self._read(id, digest, offset)) as reading,
            Staging.open(self._driver, self._states, id) as staging,
        ):
            head = await incoming.small(part_size, beside=reading)
            incoming.check()
            window = there = None
            if head is not None and not offset and await digest_of(head, digest.algorithm) == digest:
                # Most likely this is all the content: it can be stored as a blob before the state is read.
                window = await self._admit(digest, incoming)
                await self._blobs.writer.store(digest, head)
            else:
                there = await self._staged(staging, head, digest)
            seen = await reading
            if seen is None:
                found = await self._finished(id, digest)
                if head and offset == 0:  # without an offset they may be the last bytes only
                    await _same(head, digest)
                return found
            if seen.state.digest is not None:
                return await self._complete(seen.id, seen.state, digest, incoming)
            fits = incoming.length is None or incoming.length <= largest(part_size)
            # Content that goes into segments first can give its memory back, so it needs no promise.
            if not seen.state.offset and (head is not None or (fits and incoming.promise_now(part_size))):
                return await self._whole(seen, digest, head, incoming, window)
            return await self._joined(seen, digest, head, incoming, staging, there)

    async def _admit(self, digest: Digest, incoming: IncomingContent) -> Window:
        """Ask the gate for blob and link, just before a request makes the blob visible."""
        return await self._gate.admit(
            BlobData(digest), LayerLink(self._name, digest), patient=not incoming.holds_memory
        )

    async def _staged(self, staging: Staging, head: bytes | None, digest: Digest) -> "_There | None":
        """Store the last bytes, if they are few; return the blob as `_there` does."""
        if head is None:  # `_there` is asked once they are stored
            return None
        if not head:
            return await self._there(digest)
        return (await gather(staging.put(head), self._there(digest)))[1]

    async def _there(self, digest: Digest) -> "_There | None":
        """Return the blob, if it is stored and a copy would replace it by unhashed bytes."""
        if not self._driver.capabilities.conditional_copy:
            return None
        window = await self._gate.open()
        return _There(await self._blobs.stored(digest), window)

    async def _still_there(self, there: "_There | None", window: Window, digest: Digest) -> Descriptor | None:
        """Return the blob from `_there` in the window of its link; ask again if a run may have taken it since."""
        if there is not None and not window.is_after(there.window, BlobData(digest)):
            there = await self._there(digest)
        return None if there is None else there.blob

    async def _read(self, id: str, digest: Digest, offset: int | None) -> StateVersion | None:  # noqa: A002
        try:
            seen = await self._states.read(id)
        except UploadUnknown:
            return None
        if seen.state.digest is not None:  # a call is finishing it, or was; the last bytes are known
            if seen.state.digest != digest:
                raise DigestMismatch(digest, seen.state.digest)
        elif offset not in {None, seen.state.offset}:
            raise UploadOffsetMismatch(id, offset or 0, seen.state.offset)
        return seen

    # ---- all the content at once

    async def _whole(
        self,
        seen: StateVersion,
        digest: Digest,
        head: bytes | None,
        incoming: IncomingContent,
        window: Window | None,
    ) -> Descriptor:
        if head is None:
            placed = await self._blobs.writer.write(
                incoming.whole(), digest, partial(self._admit, digest, incoming)
            )
            size, window = placed.info.size, placed.window
        else:
            await _same(head, digest)
            size, window = len(head), window or await self._admit(digest, incoming)
        # All the content came with this call, so a client that hears of a failure sends it to a new upload.
        await gather(self._layers.link_stored(digest, window), self._forgotten(seen, digest))
        return blob_descriptor(digest, size)

    async def _forgotten(self, seen: StateVersion, digest: Digest) -> None:
        with suppress(RevstoreError):  # content and link are stored; a purge deletes the rest
            await self._states.forget(seen, digest)

    # ---- content after earlier segments

    async def _joined(
        self,
        seen: StateVersion,
        digest: Digest,
        head: bytes | None,
        incoming: IncomingContent,
        staging: Staging,
        there: "_There | None",
    ) -> Descriptor:
        try:
            hasher = await self._caught_up(seen, digest.algorithm)
        except KeyNotFound:  # another call has finished or cancelled it, and cleans up
            return await self._overtaken(seen.id, digest, staging, incoming)
        if head is not None:
            await update(hasher, head)
            _expect(hasher, digest)
        else:
            async with staging.written(incoming, hasher) as commit:
                incoming.check()
                _expect(hasher, digest)
                _, there = await gather(commit(), self._there(digest))
        state = replace(with_segments(seen.state, staging.segments, None), digest=digest)
        window = await self._admit(digest, incoming)
        blob = await self._still_there(there, window, digest)

        async def claim() -> StateVersion | None:
            staging.committed = True
            # A cancellation half-way would leave open whether the state names the staged segments.
            return await settled(self._states.swap(seen, state), grace=GRACE)

        try:
            after, descriptor = await gather(claim(), self._stored(seen.id, state, digest, blob))
        except KeyNotFound:  # as above
            after = None
        if after is None:
            return await self._overtaken(seen.id, digest, staging, incoming)
        return await self._linked(seen.id, state, descriptor, window)

    async def _caught_up(self, seen: StateVersion, algorithm: str) -> ResumableDigest:
        """Return a hasher of the earlier bytes: from the state if possible, otherwise by reading them back."""
        state = seen.state
        if algorithm == state.algorithm:
            known = digest_so_far(state)
            if known is not None:
                return known
        hasher = ResumableDigest(algorithm)
        for segment in state.segments:
            async with self._driver.open_reader(self._states.segment_key(seen.id, segment)) as reader:
                async for piece in reader:
                    await update(hasher, piece)
        return hasher

    async def _stored(
        self,
        id: str,  # noqa: A002
        state: State,
        digest: Digest,
        there: Descriptor | None,
    ) -> Descriptor:
        if there is not None and there.size == state.offset:
            return there
        try:
            info = await self._blobs.writer.compose(self._states.sources(id, state.segments), digest)
        except ConditionFailed as error:
            raise UploadDamaged(id) from error
        if info.size != state.offset:
            raise RecordDamaged(self._states.key(id), f"its segments hold {info.size} bytes")
        return blob_descriptor(digest, info.size)

    async def _linked(
        self,
        id: str,  # noqa: A002
        state: State,
        descriptor: Descriptor,
        window: Window,
    ) -> Descriptor:
        # One after the other: without link and without state, acknowledged bytes would be lost.
        await self._layers.link_stored(descriptor.digest, window)
        keys = [source.key for source in self._states.sources(id, state.segments)]
        with suppress(RevstoreError):  # the blob is linked; a purge deletes the rest
            await self._driver.delete_many([*keys, self._states.key(id)])
        return descriptor

    # ---- uploads that another call began to finish, or has finished

    async def _complete(
        self,
        id: str,  # noqa: A002
        state: State,
        digest: Digest,
        incoming: IncomingContent,
    ) -> Descriptor:
        window = await self._admit(digest, incoming)
        there = await self._there(digest)
        try:
            descriptor = await self._stored(id, state, digest, there.blob if there else None)
        except KeyNotFound as error:  # segments are deleted once the content is stored, and linked
            found = await self._blobs.stored(digest)
            if found is None:
                if await self._read(id, digest, None) is None:
                    return await self._finished(id, digest)
                raise RecordDamaged(self._states.key(id), "a segment that it names is gone") from error
            descriptor = found
        return await self._linked(id, state, descriptor, window)

    async def _overtaken(
        self,
        id: str,  # noqa: A002
        digest: Digest,
        staging: Staging,
        incoming: IncomingContent,
    ) -> Descriptor:
        try:
            seen = await self._read(id, digest, None)
        except DigestMismatch:
            staging.committed = False
            raise
        # A request that the network sent twice loses to itself: then the state names the staged segments.
        names = {each.name for each in staging.segments}
        staging.committed = seen is not None and names <= {each.name for each in seen.state.segments}
        if seen is None:
            return await self._finished(id, digest)
        if seen.state.digest is None:
            raise UploadBusy(id)
        return await self._complete(id, seen.state, digest, incoming)

    async def _finished(self, id: str, digest: Digest) -> Descriptor:  # noqa: A002
        """Return the blob of an upload that was finished and is gone: the first answer may have been lost."""
        found = await self._layers.confirm(digest)
        if found is None:
            raise UploadUnknown(self._name, id)
        return found


@dataclass(frozen=True, slots=True)
class _There:
    """The answer whether a blob is stored.

    Attributes:
        blob: The blob; None if it is not stored.
        window: A window that was opened before the question.
    """

    blob: Descriptor | None
    window: Window


async def _same(content: bytes, digest: Digest) -> None:
    actual = await digest_of(content, digest.algorithm)
    if actual != digest:
        raise DigestMismatch(digest, actual)


def _expect(hasher: ResumableDigest, digest: Digest) -> None:
    actual = Digest(f"{digest.algorithm}:{hasher.hexdigest()}")
    if actual != digest:
        raise DigestMismatch(digest, actual)
