"""A repository's blobs: its layers and configs, each reachable only through the repository's link to it."""

from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from .blobs import BlobReader, BlobStore
from .concurrency import alongside, gather
from .digest import Digest
from .driver import Driver
from .errors import BlobUnknown, InvalidOffset, LinkDangling
from .layout import LayerLink, Layout
from .links import Link, LinkStore, expect
from .manifests import Descriptor
from .names import RepositoryName
from .policy import Policy


class LayerStore:
    """The blobs of one repository."""

    def __init__(
        self,
        name: RepositoryName,
        blobs: BlobStore,
        driver: Driver,
        layout: Layout,
        policy: Policy,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._name = name
        self._blobs = blobs
        self._links = LinkStore(driver)
        self._layout = layout
        self._policy = policy
        self._now = now

    def _key(self, digest: Digest) -> str:
        return self._layout.key(LayerLink(self._name, digest))

    async def put(self, content: bytes | AsyncIterable[bytes], *, digest: Digest | None = None) -> Descriptor:
        """Store content and link it here; return its descriptor. Two requests, one after the other.

        Args:
            content: The bytes, or an asynchronous iterable of them of any length.
            digest: What the content must be; needed for an iterable.

        Raises:
            DigestMismatch: The content has another digest; nothing is stored.
            InvalidArgument: A stream came without its digest.
        """
        descriptor = await self._blobs.put(content, digest=digest)
        await self._links.link(self._key(descriptor.digest), descriptor.digest)
        return descriptor

    async def get(self, digest: Digest, *, limit: int | None = None) -> bytes:
        """Return a blob's content, verified. Link and content are asked for together: one round trip.

        Raises:
            BlobUnknown: The repository has no link to it.
            LinkDangling: It has one, but the content is not stored.
            BlobDamaged: What is stored is not that content.
            ObjectTooLarge: It holds more than `limit` bytes.
        """
        key = self._key(digest)
        link, content = await gather(self._links.find(key), self._blobs.fetch(digest, limit=limit))
        self._judge(link, digest)
        if content is None:
            raise LinkDangling(key, digest)
        return await self._blobs.verified(digest, content)

    async def stat(self, digest: Digest) -> Descriptor:
        """Return a blob's descriptor. Link and content are asked about together: one round trip.

        Raises:
            BlobUnknown: The repository has no link to it.
            LinkDangling: It has one, but the content is not stored.
        """
        link, found = await gather(self._links.find(self._key(digest)), self._blobs.present(digest))
        link = self._judge(link, digest)
        if found is None:
            raise LinkDangling(link.key, digest)
        return found

    async def exists(self, digest: Digest) -> bool:
        """Say whether the repository has a blob, link and content. One round trip."""
        link, found = await gather(self._links.find(self._key(digest)), self._blobs.present(digest))
        return link is not None and found is not None

    @asynccontextmanager
    async def open(
        self, digest: Digest, *, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[BlobReader]:
        """Open a blob's content from `offset` on. One round trip to the first byte.

        Args:
            digest: Its digest.
            offset: Where to begin, in bytes.
            length: Bytes to read at most; None for all.

        Raises:
            BlobUnknown: The repository has no link to it.
            LinkDangling: It has one, but the content is not stored.
            InvalidOffset: The offset is outside the content.
        """
        key = self._key(digest)
        async with AsyncExitStack() as stack:
            async with alongside(self._links.find(key)) as link:
                try:
                    reader = await stack.enter_async_context(
                        self._blobs.open(digest, offset=offset, length=length)
                    )
                except (BlobUnknown, InvalidOffset) as error:
                    self._judge(await link, digest)  # without a link, nothing is told of the content
                    if isinstance(error, BlobUnknown):
                        raise LinkDangling(key, digest) from error
                    raise
                self._judge(await link, digest)
            yield reader

    async def confirm(self, digest: Digest) -> Descriptor | None:
        """Tell one who may push whether a blob is here to rely on; None where it is not. One round trip.

        The link's time is a lease, within which a collector takes the blob for needed. A yes renews it when
        half is over, which is one more round trip, once in half a lease.
        """
        link, found = await gather(self._links.find(self._key(digest)), self._blobs.present(digest))
        if link is None or found is None:
            return None
        expect(link, digest)
        if self._now() - link.modified > self._policy.lease / 2:
            await self._links.link(link.key, digest)
        return found

    def _judge(self, link: Link | None, digest: Digest) -> Link:
        if link is None:
            raise BlobUnknown(digest, self._name)
        return expect(link, digest)
