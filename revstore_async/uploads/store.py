"""Uploads: layers on their way in, in any number of requests, that any process may go on with."""

from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ..blobs.incoming import Body
from ..blobs.layers import LayerStore
from ..blobs.store import BlobStore
from ..concurrency import alongside, settled
from ..driver import Driver, entries
from ..errors import (
    ConditionFailed,
    KeyNotFound,
    RecordDamaged,
    RecordOfNewerEngine,
    RevstoreError,
    UploadBusy,
    UploadClaimed,
    UploadDamaged,
    UploadOffsetMismatch,
    UploadUnknown,
)
from ..formats.digest import Digest, new_hasher
from ..formats.manifests import Descriptor
from ..formats.names import RepositoryName
from ..layout import Layout
from ..threads import update
from .finishing import UploadFinisher
from .segments import GRACE, Staging, digest_so_far, joinable, with_segments
from .state import Seen, State, UploadStates


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way.

    Attributes:
        id: Its name, a UUID in text.
        offset: Bytes accepted, durably; the next ones are sent from here.
        started: When it began; aware, in UTC.
        algorithm: The algorithm of the digest that is computed as bytes arrive.
    """

    id: str
    offset: int
    started: datetime
    algorithm: str


class UploadStore:
    """The uploads of one repository.

    Any process on the store may go on with any of them at any time: there is no secret, no memory and no holder.
    Bytes are stored first; they count from the moment when the upload's state names them, which is one
    compare-and-swap. Of two writers at one offset, one wins, and the other hears so and leaves nothing.
    """

    def __init__(
        self,
        name: RepositoryName,
        blobs: BlobStore,
        layers: LayerStore,
        driver: Driver,
        layout: Layout,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._name = name
        self._driver = driver
        self._memory = blobs.memory
        self._states = UploadStates(name, driver, layout)
        self._finisher = UploadFinisher(name, self._states, blobs, layers, driver)
        self._now = now

    async def start(self, *, algorithm: str = "sha256") -> Upload:
        """Begin an upload. One request.

        Args:
            algorithm: That of the digest which `finish` will name. With another one there, the bytes are read
                once more.

        Raises:
            InvalidDigest: The algorithm is not one that the engine can compute.
            Unsupported: The driver lacks conditional writes.
        """
        new_hasher(algorithm)  # judges it
        return _upload(await self._states.create(State(self._now(), algorithm)))

    async def status(self, id: str) -> Upload:  # noqa: A002 (the field's word for it)
        """Return what is known of an upload. One request.

        Raises:
            UploadUnknown: There is none.
        """
        return _upload(await self._states.read(id))

    async def append(
        self,
        id: str,  # noqa: A002
        content: bytes | AsyncIterable[bytes],
        *,
        offset: int | None = None,
        length: int | None = None,
    ) -> Upload:
        """Add bytes at the end of an upload; return what is known of it then.

        Two round trips where the content fits in `Capabilities.part_size`: the state is read while the bytes are
        stored, then it is swapped. Now and then two more, by which small pieces become one. Larger content goes
        out in parts as it comes. The call takes the registry's memory as bytes arrive, up to that size. When
        memory runs out, it stores what it holds as a segment, and waits.

        A source that breaks off, by an error or by the cancellation of this call while it waits for bytes, is
        the end of the content: what came is kept, then the error goes on. So does memory that is not there in time.
        Any other failure keeps nothing.

        Args:
            id: The upload.
            content: The bytes, or an asynchronous iterable of them of any length.
            offset: Where the sender believes the upload to be; None for wherever it is.
            length: The content's size in bytes, where the sender announced it.

        Raises:
            UploadUnknown: There is no such upload.
            UploadOffsetMismatch: It is at another offset; told before the content is read where that is known.
            UploadBusy: Another writer added bytes meanwhile; nothing was kept.
            UploadClaimed: A call that finishes the upload has named its digest; nothing was kept.
            UploadDamaged: The storage has changed what came before; nothing was kept.
            SizeMismatch: The content is longer or shorter than announced; nothing was kept.
            UploadMemoryFull: Other calls held the memory for too long; what came before was kept.
        """
        with Body.of(content, length, self._memory) as body:
            return _upload(await self._appended(id, body, offset))

    async def _appended(self, id: str, body: Body, offset: int | None) -> Seen:  # noqa: A002
        async with (
            alongside(self._open_for_more(id, offset)) as reading,
            Staging.open(self._driver, self._states, id) as staging,
        ):
            head = await body.small(self._part_size, beside=reading)
            if head is not None:

                async def small() -> Seen:
                    if head:
                        await staging.put(head)
                    seen = await reading
                    return await self._named(seen, staging, head, offset) if head else seen

                after = await settled(small(), grace=GRACE)
            else:
                seen = await reading
                hasher = digest_so_far(seen.state)
                async with staging.written(body, hasher) as commit:

                    async def large() -> Seen:
                        await commit()
                        state = with_segments(seen.state, staging.segments, hasher)
                        return await self._swapped(seen, state, staging, offset)

                    after = await settled(large(), grace=GRACE)
        body.check()
        return after

    async def finish(
        self,
        id: str,  # noqa: A002
        digest: Digest,
        content: bytes | AsyncIterable[bytes] = b"",
        *,
        offset: int | None = None,
        length: int | None = None,
    ) -> Descriptor:
        """Make a blob of an upload, linked in this repository, and end the upload; return its descriptor.

        The digest is known from the bytes as they came, and nothing is read back; except where the digest is of
        another algorithm than the upload's, or this Python lacks what `resumable_digest` needs.

        Two round trips where all the content comes here and fits in `Capabilities.part_size`: it is stored where
        it belongs while the state is read. Else four: the state; the store copies the content while the state
        is swapped for one that takes no more bytes; the link; the clean-up.

        The copy is compared: its bytes with the digest, or on a driver with `conditional_copy` the versions of the
        objects that are copied with those that were stored. Bytes that were not hashed never replace a blob: such
        a driver is asked for the blob beside the state (one request), and what is there with the right size stays.

        It may be repeated, where it ended between any two steps and after it was done: it succeeds where the
        repository has the blob. Sent with offset 0, content is compared with the digest then, too; without an
        offset it may be the last bytes of something, so it is not.

        When it fails, the upload is as it was before, but for two cases. Once the state is swapped, the upload
        takes no more bytes: it can be finished with the same digest, or cancelled. And of an upload to which
        nothing was appended the state and the link go together, so that it may be gone without a link: then the
        content is sent to a new one.

        Args:
            id: The upload.
            digest: What the content must be.
            content: The last bytes, or an asynchronous iterable of them.
            offset: Where the sender believes the upload to be; None for wherever it is.
            length: The size of these last bytes, where the sender announced it.

        Raises:
            UploadUnknown: There is no such upload, and the repository does not have the blob.
            DigestMismatch: The content has another digest, or the upload is being finished as another.
            InvalidDigest: The digest is one that can't be computed (tarsum).
            UploadOffsetMismatch: The upload is at another offset.
            UploadBusy: Another writer changed it meanwhile.
            UploadDamaged: The storage has changed what came before: the content is to be sent to a new upload. The
                blob is as it was.
            SizeMismatch: The last bytes are more or fewer than announced.
            UploadMemoryFull: Other calls held the memory for too long.
        """
        with Body.of(content, length, self._memory) as body:
            return await self._finisher.finish(id, digest, body, offset)

    async def cancel(self, id: str) -> None:  # noqa: A002
        """End an upload, and forget what was sent. Three round trips.

        Raises:
            UploadUnknown: There is none.
        """
        await self._states.read(id)
        await self._driver.delete(self._states.key(id))  # first: who stores bytes now finds it gone
        with suppress(RevstoreError):  # it is cancelled; a purge takes what is left
            await self._driver.delete_prefix(self._states.folder(id))

    async def purge(self, id: str, *, before: datetime) -> bool:  # noqa: A002
        """Forget an upload that nobody went on with since a time; say whether it was one that nobody finished.

        Whoever goes on with it at this moment wins: four round trips, the second of which settles it. What has no
        state, or one that can't be read, is judged by the age of what lies there. What a newer engine wrote is
        left alone.
        """
        unfinished = True
        try:
            seen = await self._states.look(id)
        except RecordOfNewerEngine:
            return False
        except (UploadUnknown, RecordDamaged):  # of a call that was killed
            if not await self._rests(id, before):
                return False
        else:
            if seen.modified > before:
                return False
            unfinished = not (seen.state.over and seen.state.digest)
            if not seen.state.over and await self._states.swap(seen, replace(seen.state, over=True)) is None:
                return False
        await self._discard(id)
        return unfinished

    async def _rests(self, id: str, before: datetime) -> bool:  # noqa: A002
        async for info in entries(self._driver.list_all, self._states.folder(id)):
            if info.modified > before:
                return False
        return True

    async def _discard(self, id: str) -> None:  # noqa: A002
        # The state first: who stores bytes now finds it gone, and removes them again.
        await self._driver.delete(self._states.key(id))
        await self._driver.delete_prefix(self._states.folder(id))

    # ---- appending

    @property
    def _part_size(self) -> int:
        return self._driver.capabilities.part_size

    async def _open_for_more(self, id: str, offset: int | None) -> Seen:  # noqa: A002
        seen = await self._states.read(id)
        if seen.state.digest is not None:
            raise UploadClaimed(id, seen.state.digest)
        if offset not in {None, seen.state.offset}:
            raise UploadOffsetMismatch(id, offset or 0, seen.state.offset)
        return seen

    async def _named(self, seen: Seen, staging: Staging, head: bytes, offset: int | None) -> Seen:
        """Have the state name a small segment, and join the small ones where they have become many."""
        hasher = digest_so_far(seen.state)
        if hasher is not None:
            await update(hasher, head)
        state = with_segments(seen.state, staging.segments, hasher)
        small = joinable(state.segments, self._part_size)
        if not small:
            return await self._swapped(seen, state, staging, offset)
        try:
            joined = await staging.join(small)
        except KeyNotFound:  # another writer has joined them, or has cancelled the upload
            await self._open_for_more(seen.id, offset)
            raise UploadBusy(seen.id) from None
        except ConditionFailed as error:
            raise UploadDamaged(seen.id) from error
        state = replace(state, segments=(*state.segments[: -len(small)], joined))
        after = await self._swapped(seen, state, staging, offset)
        with suppress(RevstoreError):  # the bytes are kept; what is left of the pieces goes with the upload
            await self._driver.delete_many([self._states.segment_key(seen.id, each) for each in small])
        return after

    async def _swapped(self, seen: Seen, state: State, staging: Staging, offset: int | None) -> Seen:
        staging.named = True
        after = await self._states.swap(seen, state)
        if after is not None:
            return after
        found = await self._states.find(seen.id)
        if found is not None and state.segments[-1].name in {each.name for each in found.state.segments}:
            # The request was sent twice on its way, and lost to itself: that segment has nobody else's name.
            return replace(seen, state=state)
        staging.named = False
        # Without an offset the loser's bytes would go after bytes that it has not seen.
        await self._open_for_more(seen.id, offset)
        raise UploadBusy(seen.id)


def _upload(seen: Seen) -> Upload:
    return Upload(seen.id, seen.state.offset, seen.state.started, seen.state.algorithm)
