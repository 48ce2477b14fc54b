"""The writer of content: all of it goes through the gate before it becomes visible."""

from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Final

from ..arguments import check_type
from ..driver import Driver, FileInfo, Source
from ..errors import DigestMismatch, SizeMismatch
from ..formats.digest import Digest, new_hasher
from ..layout import BlobData, Layout, StoredObject
from ..threads import StreamHasher, digest_of
from .content import Content, default_digest
from .gate import Gate, Window
from .incoming import IncomingContent
from .memory_budget import MemoryBudget
from .soundness import Soundness

Linked = Callable[[Digest], StoredObject]
"""Makes the link that the caller writes to content."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Content that was stored, and not linked yet.

    Attributes:
        digest: Its digest.
        info: The store's facts about it.
        window: The window in which the caller links it.
    """

    digest: Digest
    info: FileInfo
    window: Window


class BlobWriter:
    """Stores content, for callers that link it afterwards.

    Attributes:
        gate: The gate of all writers.
        memory: The budget that content on its way in shares.
    """

    def __init__(
        self, driver: Driver, layout: Layout, gate: Gate, memory: MemoryBudget, soundness: Soundness
    ) -> None:
        self.gate: Final = gate
        self.memory: Final = memory
        self._driver = driver
        self._layout = layout
        self._soundness = soundness

    async def place(
        self, content: Content, digest: Digest | None, length: int | None, *links: Linked
    ) -> Placed:
        """Store content, and return it with the window in which the caller links it.

        Costs and errors are those of `BlobStore.put`.

        Args:
            content: As in `BlobStore.put`.
            digest: As in `BlobStore.put`.
            length: As in `BlobStore.put`.
            *links: The links that the caller writes.
        """
        if not isinstance(content, bytes | bytearray | memoryview):
            return await self._place_stream(content, digest or await default_digest(content), length, links)
        content = bytes(content)  # a buffer may change while a thread hashes it
        if length is not None and type(length) is not int:
            check_type("length", length, int, NoneType)
        if length not in {None, len(content)}:
            raise SizeMismatch(length or 0, len(content))
        actual = await digest_of(content, digest.algorithm if digest else "sha256")
        if digest is not None and actual != digest:
            raise DigestMismatch(digest, actual)
        window = await self.gate.admit(BlobData(actual), *[link(actual) for link in links])
        return Placed(actual, await self.store(actual, content), window)

    async def store(self, digest: Digest, content: bytes) -> FileInfo:
        """Store small content under the digest that the caller has computed for it. 1 request.

        The caller has asked the gate.
        """
        info = await self._driver.put(self._layout.key(BlobData(digest)), content)
        self._soundness.hashed(digest, len(content))
        return info

    async def write(
        self, pieces: AsyncIterable[bytes], digest: Digest, admit: Callable[[], Awaitable[Window]]
    ) -> Placed:
        """Store a stream larger than a part; the caller holds its memory. 1 request for each part, and 1 more.

        Args:
            pieces: The stream.
            digest: The digest that it must have.
            admit: Asks the gate; called just before the content becomes visible.

        Raises:
            DigestMismatch: It has another digest; nothing is stored.
        """
        async with (
            StreamHasher.beside(new_hasher(digest.algorithm)) as hashing,
            self._driver.open_writer(self._layout.key(BlobData(digest))) as writer,
        ):
            async for piece in pieces:
                await hashing.update(piece)
                await writer.write(piece)
            actual = Digest(f"{digest.algorithm}:{await hashing.hexdigest()}")
            if actual != digest:
                raise DigestMismatch(digest, actual)
            window = await admit()
            info = await writer.commit()
        self._soundness.hashed(digest, info.size)
        return Placed(digest, info, window)

    async def compose(self, sources: Sequence[Source], digest: Digest) -> FileInfo:
        """Store the joined content of objects under the digest that the caller computed for it. 1 request.

        The driver compares the bytes with the digest, or the sources with their etags: see `Driver.compose`. The
        caller has asked the gate.

        Args:
            sources: The objects, in the order of their content.
            digest: The digest of the whole.

        Raises:
            KeyNotFound: One of them is not there; the blob is as it was.
            ConditionFailed: Their content is another; the blob is as it was.
        """
        info = await self._driver.compose(sources, self._layout.key(BlobData(digest)), digest=digest)
        self._soundness.hashed(digest, sum(source.size for source in sources))
        return info

    async def _place_stream(
        self, content: Content, digest: Digest, length: int | None, links: Sequence[Linked]
    ) -> Placed:
        new_hasher(digest.algorithm)  # refuses a digest that can't be computed
        part_size = self._driver.capabilities.part_size
        with IncomingContent.of(content, length, self.memory) as incoming:

            async def admit() -> Window:
                objects = [BlobData(digest), *[link(digest) for link in links]]
                return await self.gate.admit(*objects, patient=not incoming.holds_memory)

            head = await incoming.small(min(part_size, self.memory.small))
            if head is None:
                await incoming.promise(part_size)
                head = await incoming.small(part_size)
            incoming.check()
            if head is None:
                return await self.write(incoming.whole(), digest, admit)
            actual = await digest_of(head, digest.algorithm)
            if actual != digest:
                raise DigestMismatch(digest, actual)
            window = await admit()
            return Placed(digest, await self.store(digest, head), window)
