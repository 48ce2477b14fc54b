"""Uploads: layers on their way in, by any number of requests to any number of processes."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from types import NoneType

from ..arguments import check_moment, check_type
from ..blobs.content import Content
from ..blobs.incoming import IncomingContent
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
from ..formats.descriptors import Descriptor
from ..formats.digest import Digest, new_hasher
from ..formats.names import RepositoryName
from ..layout import Layout
from ..threads import update
from .finishing import UploadFinisher
from .segments import GRACE, Staging, digest_so_far, joinable, with_segments
from .state import State, StateVersion, UploadStates


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way.

    Attributes:
        id: Its name, a UUID in text.
        offset: The durably accepted bytes; the client sends the next ones from here.
        started: When it began; aware, in UTC.
        algorithm: The algorithm of the digest that is computed as bytes arrive.
    """

    id: str
    offset: int
    started: datetime
    algorithm: str


class UploadStore:
    """The uploads of one repository.

    Any process on the store may continue any upload at any time: an upload has no secret, no owner and no state
    in memory. Bytes are stored first; they count once a compare-and-swap makes the upload's state name them.
    One of two writers at one offset wins; the other gets an error and leaves nothing stored.
    """

    def __init__(
        self,
        name: RepositoryName,
        blobs: BlobStore,
        layers: LayerStore,
        driver: Driver,
        layout: Layout,
        *,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._name = name
        self._driver = driver
        self._memory = blobs.memory
        self._states = UploadStates(name, driver, layout)
        self._finisher = UploadFinisher(name, self._states, blobs, layers, driver)
        self._now = now or partial(datetime.now, UTC)

    async def start(self, *, algorithm: str = "sha256") -> Upload:
        """Begin an upload. One request.

        Args:
            algorithm: The algorithm of the digest that `finish` will name. If `finish` names another, the bytes
                are read once more.

        Raises:
            InvalidDigest: The engine can't compute the algorithm.
            Unsupported: The driver lacks conditional writes.
        """
        new_hasher(algorithm)  # refuses an algorithm that can't be computed
        return _upload(await self._states.create(State(self._now(), algorithm)))

    async def status(self, id: str) -> Upload:  # noqa: A002 (the field's word for it)
        """Return an upload as it is now. One request.

        Raises:
            UploadUnknown: There is no such upload.
        """
        return _upload(await self._states.read(id))

    async def append(
        self,
        id: str,  # noqa: A002
        content: Content,
        *,
        offset: int | None = None,
        length: int | None = None,
    ) -> Upload:
        """Add bytes at the end of an upload; return the upload as it is then.

        2 round trips if the content fits in `Capabilities.part_size`: the state is read while the bytes are
        stored, then it is swapped. Now and then 2 more, to join small segments. Larger content is written in
        parts as it comes. The call takes the registry's memory as bytes arrive, up to the size of a part. When
        memory runs out, it stores its bytes as a segment, and waits.

        The content ends early if the source fails, if this call is cancelled while it waits for bytes, or if
        memory is not free in time. The call then keeps the bytes that came, and raises the error. Any other
        failure keeps nothing.

        Args:
            id: The upload.
            content: The bytes; an asynchronous iterable of them of any length; a file's path, or an open binary
                file.
            offset: The offset that the sender believes the upload to be at; None for any.
            length: The content's size in bytes, if the sender announced it.

        Raises:
            UploadUnknown: There is no such upload.
            UploadOffsetMismatch: The upload is at another offset; raised before all the content is read, if
                possible.
            UploadBusy: Another writer added bytes meanwhile; nothing was kept.
            UploadClaimed: A call that finishes the upload has named its digest; nothing was kept.
            UploadDamaged: The storage has changed the earlier bytes; nothing was kept.
            SizeMismatch: The content is longer or shorter than announced; nothing was kept.
            UploadMemoryFull: Other calls held the memory for too long; the bytes that came before were kept.
        """
        self._check(id, offset)
        with IncomingContent.of(content, length, self._memory) as incoming:
            return _upload(await self._appended(id, incoming, offset))

    async def _appended(self, id: str, incoming: IncomingContent, offset: int | None) -> StateVersion:  # noqa: A002
        async with (
            alongside(self._open_for_more(id, offset)) as reading,
            Staging.open(self._driver, self._states, id) as staging,
        ):
            head = await incoming.small(self._part_size, beside=reading)
            if head is not None:

                async def small() -> StateVersion:
                    if head:
                        await staging.put(head)
                    seen = await reading
                    return await self._named(seen, staging, head, offset) if head else seen

                after = await settled(small(), grace=GRACE)
            else:
                seen = await reading
                hasher = digest_so_far(seen.state)
                async with staging.written(incoming, hasher) as commit:

                    async def large() -> StateVersion:
                        await commit()
                        state = with_segments(seen.state, staging.segments, hasher)
                        return await self._swapped(seen, state, staging, offset)

                    after = await settled(large(), grace=GRACE)
        incoming.check()
        return after

    async def finish(
        self,
        id: str,  # noqa: A002
        digest: str,
        content: Content = b"",
        *,
        offset: int | None = None,
        length: int | None = None,
    ) -> Descriptor:
        """Store an upload's content as a blob, link it here, and end the upload; return the blob's descriptor.

        The bytes were hashed as they came, and are not read back. There are two exceptions: the digest is of
        another algorithm than the upload's, or this Python lacks the functions that `resumable_digest` needs.

        2 round trips if all the content comes here and fits in `Capabilities.part_size`: the blob is stored
        while the state is read; then the link. Otherwise 4: the state; the store copies the content while the
        state is swapped for one that takes no more bytes; the link; the clean-up.

        The driver checks the copy. It compares the bytes with the digest or, with `conditional_copy`, the
        versions of the copied segments with those that were stored. Unhashed bytes never replace a blob: with
        `conditional_copy`, this call asks for the blob beside the state (1 request more), and a blob of the
        right size stays.

        A caller may repeat the call after it ended between any two steps, and after it was done: it succeeds if
        the repository has the blob. Content that comes with offset 0 is compared with the digest then, too.
        Without an offset it is not compared, as it may be only the last bytes.

        A failed call leaves the upload as it was before, with two exceptions. Once the state is swapped, the
        upload takes no more bytes: a client can finish it with the same digest, or cancel it. If nothing was
        appended before, the state is deleted while the link is written. The upload may then be gone without a
        link, and the client sends the content to a new one.

        Args:
            id: The upload.
            digest: The digest that the content must have.
            content: The last bytes, in any form that `append` takes.
            offset: The offset that the sender believes the upload to be at; None for any.
            length: The size of these last bytes, if the sender announced it.

        Raises:
            UploadUnknown: There is no such upload, and the repository does not have the blob.
            DigestMismatch: The content has another digest, or the upload is being finished as another.
            InvalidDigest: The digest is one that can't be computed (tarsum).
            UploadOffsetMismatch: The upload is at another offset.
            UploadBusy: Another writer changed it meanwhile.
            UploadDamaged: The storage has changed the earlier bytes: the client must send the content to a new
                upload. The blob is as it was.
            SizeMismatch: The last bytes are more or fewer than announced.
            UploadMemoryFull: Other calls held the memory for too long.
        """
        digest = Digest(digest)
        self._check(id, offset)
        with IncomingContent.of(content, length, self._memory) as incoming:
            return await self._finisher.finish(id, digest, incoming, offset)

    async def cancel(self, id: str) -> None:  # noqa: A002
        """End an upload, and delete its bytes. Three round trips.

        Raises:
            UploadUnknown: There is no such upload.
        """
        await self._states.read(id)
        await self._driver.delete(self._states.key(id))  # first: a writer that stores bytes now finds it gone
        with suppress(RevstoreError):  # it is cancelled; a purge deletes the rest
            await self._driver.delete_prefix(self._states.folder(id))

    async def purge(self, id: str, *, before: datetime) -> bool:  # noqa: A002
        """Delete an upload that has not changed since `before`; return True if it was not finished.

        4 round trips. A client that continues the upload before the second one wins; the upload then stays, and
        the call returns False. An upload without a readable state goes by the age of its objects. The
        state of a newer engine is left alone.

        Raises:
            InvalidArgument: `before` has no zone.
            WrongType: An argument is of another type.
        """
        check_moment("before", before)
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
        # The state first: a writer that stores bytes now finds it gone, and deletes them again.
        await self._driver.delete(self._states.key(id))
        await self._driver.delete_prefix(self._states.folder(id))

    def _check(self, id: str, offset: int | None) -> None:  # noqa: A002
        self._states.check_id(id)
        if offset is not None and type(offset) is not int:
            check_type("offset", offset, int, NoneType)

    # ---- appending

    @property
    def _part_size(self) -> int:
        return self._driver.capabilities.part_size

    async def _open_for_more(self, id: str, offset: int | None) -> StateVersion:  # noqa: A002
        seen = await self._states.read(id)
        if seen.state.digest is not None:
            raise UploadClaimed(id, seen.state.digest)
        if offset not in {None, seen.state.offset}:
            raise UploadOffsetMismatch(id, offset or 0, seen.state.offset)
        return seen

    async def _named(
        self, seen: StateVersion, staging: Staging, head: bytes, offset: int | None
    ) -> StateVersion:
        """Make the state name a small segment, and join the small ones once they are many."""
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
        with suppress(RevstoreError):  # the bytes are kept; the pieces go with the upload at the latest
            await self._driver.delete_many([self._states.segment_key(seen.id, each) for each in small])
        return after

    async def _swapped(
        self, seen: StateVersion, state: State, staging: Staging, offset: int | None
    ) -> StateVersion:
        staging.committed = True
        after = await self._states.swap(seen, state)
        if after is not None:
            return after
        found = await self._states.find(seen.id)
        if found is not None and state.segments[-1].name in {each.name for each in found.state.segments}:
            # The network sent the request twice, and it lost to itself: no other call has a segment of that
            # name.
            return replace(seen, state=state)
        staging.committed = False
        # Without an offset the loser's bytes would go after bytes that it has not seen.
        await self._open_for_more(seen.id, offset)
        raise UploadBusy(seen.id)


def _upload(seen: StateVersion) -> Upload:
    return Upload(seen.id, seen.state.offset, seen.state.started, seen.state.algorithm)
