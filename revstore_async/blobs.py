"""The blob store: content under its digest, the same for all repositories, verified whenever it is read."""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from .bodies import Body, Budget
from .cache import Caches
from .digest import Digest, new_hasher
from .driver import Driver, Reader
from .errors import (
    BlobDamaged,
    BlobUnknown,
    DigestMismatch,
    InvalidArgument,
    KeyNotFound,
    LinkDangling,
    ObjectTooLarge,
    SizeMismatch,
)
from .layout import BlobData, Layout
from .links import LinkStore
from .manifests import OCTET_STREAM, Descriptor
from .threads import StreamHasher, digest_of


class BlobReader(Reader):
    """A reader of a blob that holds back the last piece until the whole is known to be right.

    Only a read from the first byte to the last can be verified; one of a range passes on what the store has,
    and so does one of a legacy tarsum, which can't be computed, and one that is not to be verified.
    """

    def __init__(self, inner: Reader, digest: Digest, *, verify: bool) -> None:
        self.info = inner.info
        self._inner = inner
        self._digest = digest
        self._hashing = StreamHasher(new_hasher(digest.algorithm)) if verify else None
        self._left = inner.info.size

    async def read(self, size: int = 1 << 16, /) -> bytes:
        """Return the next bytes: at least one and at most `size`; none only at the end.

        Raises:
            BlobDamaged: The content is not what its digest says; its last piece was not handed out.
        """
        piece = await self._inner.read(size)
        if self._hashing is None:
            return piece
        await self._hashing.update(piece)
        self._left -= len(piece)
        if self._left <= 0 or not piece:
            actual = Digest(f"{self._digest.algorithm}:{await self._hashing.hexdigest()}")
            if actual != self._digest:
                raise BlobDamaged(self._digest, actual)
        return piece

    async def stop(self) -> None:
        """Leave no hashing under way."""
        if self._hashing is not None:
            await self._hashing.stop()


class BlobStore:
    """All content of a store, by digest. It knows nothing of repositories, and so of nobody's permission.

    Args:
        driver: The storage.
        layout: Where things lie.
        caches: What is kept in memory; None to keep nothing.
        memory: What is gathered of all content on its way in; None for `bodies.MEMORY`.

    Attributes:
        caches: What is kept in memory of content that was read whole, and verified.
        memory: What content on its way in shares.
    """

    def __init__(
        self, driver: Driver, layout: Layout, caches: Caches | None = None, memory: Budget | None = None
    ) -> None:
        self.caches = caches or Caches.of(0)
        self.memory = memory or Budget()
        self._driver = driver
        self._layout = layout
        self._links = LinkStore(driver)

    def path(self, digest: Digest) -> str:
        """Return the key of a blob's content."""
        return self._layout.key(BlobData(digest))

    # ---- reading

    async def get(self, digest: Digest, *, limit: int | None = None) -> bytes:
        """Return a blob's content, verified. One request; none where it is kept in memory.

        Args:
            digest: Its digest.
            limit: Bytes that the caller is willing to hold; None for any.

        Raises:
            BlobUnknown: It is not stored.
            BlobDamaged: What is stored is not that content.
            ObjectTooLarge: It holds more than `limit` bytes.
        """
        content = await self.fetch(digest, limit=limit)
        if content is None:
            raise BlobUnknown(digest)
        return await self.verified(digest, content)

    async def fetch(self, digest: Digest, *, limit: int | None = None) -> bytes | None:
        """Return what is stored for a blob, for `verified`; None where nothing is. One request.

        The two are apart for callers that ask for content and permission together. Content that is kept in memory
        is returned without a request, also where the store has lost it: the bytes of a digest are always the same.

        Raises:
            ObjectTooLarge: It holds more than `limit` bytes.
        """
        content = self.kept(digest)
        if content is not None:
            if limit is not None and len(content) > limit:
                raise ObjectTooLarge(self.path(digest), len(content), limit)
            return content
        try:
            return (await self._driver.get(self.path(digest), limit=limit)).content
        except KeyNotFound:
            return None

    def kept(self, digest: Digest) -> bytes | None:
        """Return content that is kept in memory; None where it is not. No request."""
        return self.caches.content.find(bytes, digest)

    async def verified(self, digest: Digest, content: bytes, *, keep: bool = True) -> bytes:
        """Return the content, if it has the digest. That of a legacy tarsum can't be told, and is taken as it is.

        Args:
            digest: The digest.
            content: What `fetch` returned. What it had from memory was verified before it was kept.
            keep: Keep it in memory, if it is small; False where the caller keeps what it makes of it.

        Raises:
            BlobDamaged: It has another.
        """
        if content is self.kept(digest) or digest.tarsum:
            return content
        actual = await digest_of(content, digest.algorithm)
        if actual != digest:
            raise BlobDamaged(digest, actual)
        if keep:
            self.caches.content.keep(digest, content, len(content))
        return content

    @asynccontextmanager
    async def open(
        self, digest: Digest, *, offset: int = 0, length: int | None = None, verify: bool = True
    ) -> AsyncIterator[BlobReader]:
        """Open a blob's content from `offset` on. One request to the first byte.

        Args:
            digest: Its digest.
            offset: Where to begin, in bytes.
            length: Bytes to read at most; None for all.
            verify: Compare the whole with its digest. Hashing takes most of the CPU of a large read; False is for
                whoever hands the bytes to somebody who verifies them, as every client of a registry does.

        Raises:
            BlobUnknown: It is not stored.
            InvalidOffset: The offset is outside the content.
        """
        async with AsyncExitStack() as stack:
            opening = self._driver.open_reader(self.path(digest), offset=offset, length=length)
            try:
                reader = await stack.enter_async_context(opening)
            except KeyNotFound as error:
                raise BlobUnknown(digest) from error
            whole = offset == 0 and (length is None or length >= reader.info.size)
            blob = BlobReader(reader, digest, verify=verify and whole and digest.tarsum is None)
            stack.push_async_callback(blob.stop)
            yield blob

    async def stat(self, digest: Digest) -> Descriptor:
        """Return a blob's descriptor. One request.

        Raises:
            BlobUnknown: It is not stored.
        """
        found = await self.present(digest)
        if found is None:
            raise BlobUnknown(digest)
        return found

    async def exists(self, digest: Digest) -> bool:
        """Say whether a blob is stored. One request."""
        return await self.present(digest) is not None

    async def present(self, digest: Digest) -> Descriptor | None:
        """Say whether content is there to rely on: the one function for every such decision. One request.

        A check before a push, a known layer, a mount, what a manifest refers to: all of them ask here, because
        a collector at work will have a say in the answer (docs/decisions/0003). Whoever got a yes links the
        content within `Policy.link_within`, or asks again.
        """
        try:
            info = await self._driver.stat(self.path(digest))
        except KeyNotFound:
            return None
        return self.descriptor(digest, info.size)

    # ---- writing

    async def put(
        self,
        content: bytes | bytearray | memoryview | AsyncIterable[bytes],
        *,
        digest: Digest | None = None,
        length: int | None = None,
    ) -> Descriptor:
        """Store content, durably, and return its descriptor.

        One request; for a stream larger than `Capabilities.part_size`, one a part and one more. It is written
        without asking whether it is there: the same bytes, and a damaged blob is healed.

        Args:
            content: The bytes, or an asynchronous iterable of them of any length, held a part at a time.
            digest: What the content must be; with bytes it may be left out, and is sha256 then.
            length: The content's size in bytes, where the sender announced it.

        Raises:
            DigestMismatch: The content has another digest; nothing is stored.
            SizeMismatch: It is longer or shorter than announced; nothing is stored.
            InvalidArgument: A stream came without its digest.
            InvalidDigest: The digest is one that can't be computed (tarsum).
        """
        if not isinstance(content, bytes | bytearray | memoryview):
            if digest is None:
                raise InvalidArgument(
                    "digest", None, "a stream is stored under the digest that the caller names"
                )
            new_hasher(digest.algorithm)  # judges it
            body = Body(content, length)
            part_size = self._driver.capabilities.part_size
            async with self.memory.hold(body.memory(part_size)):
                head = await body.small(part_size)
                body.check()
                if head is None:
                    return await self.write(body.whole(), digest)
                return await self.put(head, digest=digest)
        if length not in {None, len(content)}:
            raise SizeMismatch(length or 0, len(content))
        actual = await digest_of(content, digest.algorithm if digest else "sha256")
        if digest is not None and actual != digest:
            raise DigestMismatch(digest, actual)
        return await self.store(actual, bytes(content))

    async def store(self, digest: Digest, content: bytes) -> Descriptor:
        """Store small content whose digest the caller has computed. One request."""
        await self._driver.put(self.path(digest), content)
        return self.descriptor(digest, len(content))

    async def write(self, pieces: AsyncIterable[bytes], digest: Digest) -> Descriptor:
        """Store a stream of more than a part, whose memory the caller holds. One request a part, and one more.

        Raises:
            DigestMismatch: It has another digest; nothing is stored.
        """
        async with (
            StreamHasher.beside(new_hasher(digest.algorithm)) as hashing,
            self._driver.open_writer(self.path(digest)) as writer,
        ):
            async for piece in pieces:
                await hashing.update(piece)
                await writer.write(piece)
            actual = Digest(f"{digest.algorithm}:{await hashing.hexdigest()}")
            if actual != digest:
                raise DigestMismatch(digest, actual)
            info = await writer.commit()
        return self.descriptor(digest, info.size)

    async def compose(self, sources: Sequence[tuple[str, int]], digest: Digest) -> Descriptor:
        """Store the content of objects, one after another, whose digest the caller has computed. One request.

        Args:
            sources: Their keys and sizes, as for `Driver.compose`.
            digest: The digest of the whole.

        Raises:
            KeyNotFound: One of them is not there; the blob is as it was.
        """
        info = await self._driver.compose(sources, self.path(digest))
        return self.descriptor(digest, info.size)

    @staticmethod
    def descriptor(digest: Digest, size: int) -> Descriptor:
        """Return the descriptor of a blob of that size."""
        return Descriptor(OCTET_STREAM, digest, size)

    # ---- links to blobs

    async def link(self, key: str, digest: Digest) -> None:
        """Write a link to a blob. One request."""
        await self._links.link(key, digest)

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
        """
        digest = await self.readlink(key)
        found = await self.present(digest)
        if found is None:
            raise LinkDangling(key, digest)
        return found
