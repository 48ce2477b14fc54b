"""The blob store: content under its digest, the same for all repositories, verified whenever it is read."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from copy import copy
from types import NoneType

from ..arguments import check_range, check_type
from ..driver import Driver, FileInfo, entries
from ..errors import (
    BlobDamaged,
    BlobUnknown,
    Damaged,
    InvalidOffset,
    KeyNotFound,
    LinkDangling,
    ObjectTooLarge,
    RevstoreError,
)
from ..formats.descriptors import Descriptor, blob_descriptor
from ..formats.digest import Digest
from ..layout import BlobData, Layout
from ..threads import digest_of
from .cache import Caches
from .content import Content
from .gate import Gate
from .links import LinkStore
from .listed import BlobInfo
from .memory_budget import MemoryBudget
from .reader import BlobReader
from .soundness import Soundness
from .writing import BlobWriter


class BlobStore:
    """All content of a store, by digest. It knows no repositories and checks no permissions.

    Args:
        driver: The storage.
        layout: The layout of the store's keys.
        caches: The caches in memory; None to keep nothing.
        memory: The budget of all content on its way in; None for one of `memory_budget.MEMORY` bytes.
        gate: The gate of all writers of the process; None for one of its own.

    Attributes:
        caches: The caches of content that was read whole, and verified.
        memory: The budget that content on its way in shares.
        writer: Stores content for callers that link it.
        soundness: The damage that is known without reading content.
    """

    def __init__(
        self,
        driver: Driver,
        layout: Layout,
        caches: Caches | None = None,
        memory: MemoryBudget | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.caches: Caches = caches or Caches.of(0)
        self.memory: MemoryBudget = memory or MemoryBudget()
        self.soundness: Soundness = Soundness(self.caches)
        self.writer: BlobWriter = BlobWriter(
            driver, layout, gate or Gate(driver, layout), self.memory, self.soundness
        )
        self._driver = driver
        self._layout = layout
        self._links = LinkStore(driver)

    def path(self, digest: str) -> str:
        """Return the key of a blob's content.

        Raises:
            InvalidDigest: The digest is outside the grammar.
        """
        if not isinstance(digest, Digest):
            digest = Digest(digest)
        return self._layout.key(BlobData(digest))

    # ---- reading

    async def get(self, digest: str, *, limit: int | None = None) -> bytes:
        """Return a blob's content, verified. 1 request; 0 if the content is in memory.

        Args:
            digest: Its digest.
            limit: Bytes that the caller is willing to hold; None for any.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            BlobUnknown: It is not stored.
            BlobDamaged: The stored bytes have another digest.
            ObjectTooLarge: It holds more than `limit` bytes.
        """
        digest = Digest(digest)
        check_type("limit", limit, int, NoneType)
        content = await self.fetch(digest, limit=limit)
        if content is None:
            raise BlobUnknown(digest)
        return await self.verified(digest, content)

    async def fetch(self, digest: Digest, *, limit: int | None = None, fresh: bool = False) -> bytes | None:
        """Return the stored bytes of a blob, not verified yet; None if it is not stored. One request.

        The caller gives them to `verified`; the two are separate for callers that ask for content and
        permission together. Content in memory is returned without a request, even if the store has lost it: the
        bytes of a digest never change.

        Args:
            digest: The blob's digest.
            limit: Bytes that the caller is willing to hold; None for any.
            fresh: Ask the store and ignore memory, for a caller that relies on the stored bytes.

        Raises:
            ObjectTooLarge: It holds more than `limit` bytes.
        """
        content = None if fresh else self.kept(digest)
        if content is not None:
            if limit is not None and len(content) > limit:
                raise ObjectTooLarge(self.path(digest), len(content), limit)
            return content
        try:
            return (await self._driver.get(self.path(digest), limit=limit)).content
        except KeyNotFound:
            return None

    def kept(self, digest: Digest) -> bytes | None:
        """Return content from memory; None if it is not there. No request."""
        return self.caches.content.find(bytes, digest)

    async def verified(self, digest: Digest, content: bytes, *, keep: bool = True) -> bytes:
        """Return the content, if it has the digest. Content of a legacy tarsum passes: no hash can verify it.

        Args:
            digest: The digest.
            content: The bytes from `fetch`. Bytes from memory were verified before they were kept.
            keep: Keep small content in memory; False if the caller keeps its own value of it.

        Raises:
            BlobDamaged: The content has another digest.
        """
        if content is self.kept(digest) or digest.tarsum:
            return content
        actual = await digest_of(content, digest.algorithm)
        if actual != digest:
            await self._found(digest, content, actual)
            raise BlobDamaged(digest, actual)
        self.soundness.read_well(digest, len(content))
        if keep:
            self.caches.content.keep(digest, content, len(content))
        return content

    @asynccontextmanager
    async def open(
        self, digest: str, *, offset: int = 0, length: int | None = None, verify: bool = True
    ) -> AsyncIterator[BlobReader]:
        """Open a blob's content from `offset` on. One request to the first byte.

        Args:
            digest: Its digest.
            offset: The first byte to read, from 0.
            length: Bytes to read at most; None for all.
            verify: Compare the whole with its digest. Hashing takes most of the CPU of a large read; False is
                for a caller that passes the bytes to a reader that verifies them, as every client of a registry
                does.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            BlobUnknown: It is not stored.
            BlobDamaged: It is empty, and must not be.
            BlobSizeDamaged: It has another size than the content of this digest, if that is known.
            InvalidOffset: The offset is outside the content.
        """
        digest = Digest(digest)
        check_range(offset, length)
        async with AsyncExitStack() as stack:
            opening = self._driver.open_reader(self.path(digest), offset=offset, length=length)
            try:
                reader = await stack.enter_async_context(opening)
            except KeyNotFound as error:
                raise BlobUnknown(digest) from error
            except InvalidOffset as error:  # it is the caller's fault only if the content is sound
                if damage := self.soundness.shown(digest, error.size):
                    raise copy(damage) from error  # no cycle with this frame
                raise
            if damage := self.soundness.shown(digest, reader.info.size):
                raise copy(damage)  # no cycle with this frame
            whole = offset == 0 and (length is None or length >= reader.info.size)
            verifies = verify and whole and digest.tarsum is None
            blob = BlobReader(reader, digest, self.soundness, verify=verifies)
            stack.push_async_callback(blob.stop)
            yield blob

    async def stat(self, digest: str) -> Descriptor:
        """Return a blob's descriptor. One request.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            BlobUnknown: It is not stored.
            BlobDamaged: It is empty, and must not be.
            BlobSizeDamaged: It has another size than the content of this digest, if that is known.
        """
        digest = Digest(digest)
        found = await self.look(digest)
        if found is None:
            raise BlobUnknown(digest)
        if isinstance(found, Damaged):
            raise copy(found)  # no cycle with this frame
        return blob_descriptor(digest, found.size)

    async def exists(self, digest: str) -> bool:
        """Say whether a blob is stored and not known to be damaged, without reading it. One request.

        Raises:
            InvalidDigest: The digest is outside the grammar.
        """
        return await self.stored(digest) is not None

    async def enumerate(self) -> AsyncIterator[BlobInfo]:
        """Yield each stored blob, manifests and signatures among them, in the order of their keys.

        1 request for each 1,000 blobs. The generator holds one page of the listing, so its memory is bounded. It
        yields blobs that no repository links, too. A blob that comes or goes meanwhile may be among them or not.
        Objects of other programs are left out.
        """
        async for info in entries(self._driver.list_all, self._layout.blobs):
            item = self._layout.parse(info.key)
            if isinstance(item, BlobData):
                yield BlobInfo(item.blob, info.size, info.modified)

    async def look(self, digest: Digest) -> FileInfo | Damaged | None:
        """Return the store's stat of content, or the damage that its size shows. One request.

        For callers that read; `rely` is for callers that link the content.

        Returns:
            None if the content is not stored.
        """
        try:
            info = await self._driver.stat(self.path(digest))
        except KeyNotFound:
            return None
        return self.soundness.shown(digest, info.size) or info

    async def rely(self, digest: Digest) -> FileInfo | Damaged | None:
        """Return the store's stat of content, or the damage that makes it unreliable. One request.

        For callers that link the content: they have opened a window of `Gate` before, and go on in it.

        Returns:
            The damage that the size shows or an earlier read found; None if the content is not stored.
        """
        try:
            info = await self._driver.stat(self.path(digest))
        except KeyNotFound:
            return None
        return self.soundness.damage(digest, info) or info

    async def stored(self, digest: str) -> Descriptor | None:
        """Return the descriptor of content that is stored and not known to be damaged, or None. One request.

        It is a plain look, for readers: a collector may be about to delete the content.

        Raises:
            InvalidDigest: The digest is outside the grammar.
        """
        digest = Digest(digest)
        found = await self.rely(digest)
        return blob_descriptor(digest, found.size) if isinstance(found, FileInfo) else None

    # ---- writing

    async def put(
        self, content: Content, *, digest: str | None = None, length: int | None = None
    ) -> Descriptor:
        """Store content, durably, and return its descriptor.

        1 request; for a stream larger than `Capabilities.part_size`, 1 for each part and 1 more. It writes
        without asking whether the blob is there: the bytes are the same, and a damaged blob is healed.

        Args:
            content: The bytes; an asynchronous iterable of them of any length; a file's path, or an open binary
                file, which is read from its present position on. It is held a part at a time.
            digest: The digest that the content must have; optional for bytes and for a path, which are then
                stored by their sha256. A file is then read twice.
            length: The content's size in bytes, if the sender announced it.

        Raises:
            DigestMismatch: The content has another digest; nothing is stored.
            SizeMismatch: It is longer or shorter than announced; nothing is stored.
            InvalidArgument: A stream or an open file came without its digest.
            InvalidDigest: The digest is outside the grammar, or one that can't be computed (tarsum).
            WrongType: The content has another form, or an argument is of another type.
            OSError: The file can't be opened or read; nothing is stored.
            UploadMemoryFull: Other calls held the memory for too long; nothing is stored.
            BeingCollected: The collector is deleting the same content; nothing is stored.
            Unavailable: It took longer than `Bounds.link_within`, and a run of the collector came in between.
        """
        placed = await self.writer.place(content, None if digest is None else Digest(digest), length)
        await placed.window.close(placed.info.modified)
        return blob_descriptor(placed.digest, placed.info.size)

    # ---- links to blobs

    async def link(self, key: str, digest: Digest) -> None:
        """Write a link to a blob. 1 request.

        Raises:
            BeingCollected: The collector is deleting the link, or the blob.
        """
        item = self._layout.parse(key)
        window = await self.writer.gate.admit(BlobData(digest), *([] if item is None else [item]))
        await window.close(await self._links.link(key, digest))

    async def readlink(self, key: str) -> Digest:
        """Return the digest that a link holds. One request.

        Raises:
            KeyNotFound: There is no link.
            LinkDamaged: Its content is not a digest.
        """
        return (await self._links.readlink(key)).digest

    async def linked(self, key: str) -> bool:
        """Say whether there is a link. One request."""
        return await self._links.linked(key)

    async def resolve(self, key: str) -> Descriptor:
        """Return the descriptor of the content that a link points at. Two requests, one after the other.

        Raises:
            KeyNotFound: There is no link.
            LinkDamaged: Its content is not a digest.
            LinkDangling: The content is not stored.
            BlobDamaged: It is empty, and must not be.
            BlobSizeDamaged: It has another size than the content of this digest, if that is known.
        """
        digest = await self.readlink(key)
        try:
            return await self.stat(digest)
        except BlobUnknown as error:
            raise LinkDangling(key, digest) from error

    # ---- inside

    async def _found(self, digest: Digest, content: bytes, actual: Digest) -> None:
        """Remember damage, if the store still holds it. One request, only if content is damaged."""
        with suppress(RevstoreError):  # the caller raises the damage itself
            file = await self._driver.get(self.path(digest), limit=len(content))
            if file.content == content:
                self.soundness.found(digest, file.info, actual)
