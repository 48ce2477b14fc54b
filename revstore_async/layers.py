"""A repository's blobs: its layers and configs, each reachable only through the repository's link to it."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from .blobs import BlobReader, BlobStore
from .concurrency import alongside, gather, gather_map
from .digest import Digest
from .driver import Driver, entries
from .errors import BlobUnknown, InvalidArgument, InvalidOffset, LinkDamaged, LinkDangling, Unsupported
from .layout import LayerLink, Layout
from .links import Link, LinkStore, expect
from .manifests import Descriptor
from .names import RepositoryName
from .policy import Policy


@dataclass(frozen=True, slots=True)
class LayerInfo:
    """A layer in a listing.

    Attributes:
        digest: Its digest.
        linked: When its link was last written, by the store's clock.
    """

    digest: Digest
    linked: datetime


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
        self._driver = driver
        self._links = LinkStore(driver)
        self._layout = layout
        self._policy = policy
        self._now = now

    def _key(self, digest: Digest) -> str:
        return self._layout.key(LayerLink(self._name, digest))

    async def put(
        self,
        content: bytes | AsyncIterable[bytes],
        *,
        digest: Digest | None = None,
        length: int | None = None,
    ) -> Descriptor:
        """Store content and link it here; return its descriptor.

        Two requests, one after the other, where the content fits in `Capabilities.part_size`; else one more for
        each part.

        Args:
            content: The bytes, or an asynchronous iterable of them of any length.
            digest: What the content must be; needed for an iterable.
            length: The content's size in bytes, where the sender announced it.

        Raises:
            DigestMismatch: The content has another digest; nothing is stored.
            SizeMismatch: It is longer or shorter than announced; nothing is stored.
            InvalidArgument: A stream came without its digest.
        """
        descriptor = await self._blobs.put(content, digest=digest, length=length)
        await self.link_stored(descriptor.digest)
        return descriptor

    async def link_stored(self, digest: Digest) -> None:
        """Link content that the caller has just stored. One request."""
        await self._links.link(self._key(digest), digest)

    async def link(self, digest: Digest) -> Descriptor:
        """Link content that is stored already; return its descriptor. Two requests, one after the other.

        Whoever calls it decides that this repository may have the content: no other one's link is asked for.

        Raises:
            BlobUnknown: It is not stored.
        """
        found = await self._blobs.present(digest)
        if found is None:
            raise BlobUnknown(digest)
        await self.link_stored(digest)
        return found

    async def mount(self, digest: Digest, source: RepositoryName) -> Descriptor:
        """Link a blob of another repository here; return its descriptor. Two round trips.

        Link and content are asked about together, then the link is written. Whether the caller may read there
        is not judged here.

        Raises:
            BlobUnknown: The source has no link to it, or the content is not stored.
            LinkDamaged: The source's link holds something else.
        """
        link, found = await gather(
            self._links.find(self._layout.key(LayerLink(source, digest))), self._blobs.present(digest)
        )
        if link is None or found is None:
            raise BlobUnknown(digest, source)
        expect(link, digest)
        await self.link_stored(digest)
        return found

    async def delete(self, digest: Digest) -> None:
        """Delete the repository's link to a blob. Two round trips; content stays stored.

        Manifests that refer to it stay as well.

        Raises:
            BlobUnknown: The repository has no link to it.
        """
        key = self._key(digest)
        if not await self._links.linked(key):
            raise BlobUnknown(digest, self._name)
        await self._driver.delete(key)

    async def enumerate(self) -> AsyncIterator[LayerInfo]:
        """Yield each layer that the repository links, by digest. One request for each 1,000."""
        async for info in entries(self._driver.list_all, self._layout.layers_of(self._name)):
            place = self._layout.parse(info.key)
            if isinstance(place, LayerLink):
                yield LayerInfo(place.digest, info.modified)

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
        self, digest: Digest, *, offset: int = 0, length: int | None = None, verify: bool = True
    ) -> AsyncIterator[BlobReader]:
        """Open a blob's content from `offset` on. One round trip to the first byte.

        Args:
            digest: Its digest.
            offset: Where to begin, in bytes.
            length: Bytes to read at most; None for all.
            verify: Compare the whole with its digest, as `BlobStore.open` says.

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
                        self._blobs.open(digest, offset=offset, length=length, verify=verify)
                    )
                except (BlobUnknown, InvalidOffset) as error:
                    self._judge(await link, digest)  # without a link, nothing is told of the content
                    if isinstance(error, BlobUnknown):
                        raise LinkDangling(key, digest) from error
                    raise
                self._judge(await link, digest)
            yield reader

    async def url_for(
        self, digest: Digest, *, method: str = "GET", expires: timedelta = timedelta(minutes=20)
    ) -> str:
        """Return a URL at the store with which anybody can read a blob until it expires. One round trip.

        Args:
            digest: Its digest.
            method: GET or HEAD.
            expires: How long the URL is good.

        Raises:
            BlobUnknown: The repository has no link to it.
            LinkDangling: It has one, but the content is not stored.
            InvalidArgument: The method is another one, or the time not positive.
            Unsupported: The driver lacks `signed_urls`.
        """
        if not self._driver.capabilities.signed_urls:
            raise Unsupported(self._driver.name, "signed URLs")
        await self.stat(digest)
        return await self._driver.url_for(self._blobs.path(digest), method=method, expires=expires)

    async def confirm(self, digest: Digest) -> Descriptor | None:
        """Tell one who may push whether a blob is here to rely on; None where it is not. One round trip.

        A damaged link is none to rely on: who hears so uploads the blob, and that writes the link again.

        The link's time is a lease, within which a collector takes the blob for needed. A yes renews it when
        half is over, which is one more round trip, once in half a lease.
        """
        link, found = await gather(self._sound(digest), self._blobs.present(digest))
        if link is None or found is None:
            return None
        if self._now() - link.modified > self._policy.lease / 2:
            await self._links.link(link.key, digest)
        return found

    async def _sound(self, digest: Digest) -> Link | None:
        try:
            link = await self._links.find(self._key(digest))
            return None if link is None else expect(link, digest)
        except LinkDamaged:
            return None

    def _judge(self, link: Link | None, digest: Digest) -> Link:
        if link is None:
            raise BlobUnknown(digest, self._name)
        return expect(link, digest)


async def find_layer(
    digest: Digest,
    candidates: AsyncIterable[RepositoryName] | Iterable[RepositoryName],
    blobs: BlobStore,
    driver: Driver,
    layout: Layout,
    *,
    limit: int = 100,
) -> RepositoryName | None:
    """Return the first of some repositories that links a blob; None where none does, or it is not stored.

    Content that is not stored is told by one request, and no candidate is asked for. Else as many as the driver
    has connections are asked about at once: a request for each until one is found.

    Args:
        digest: The blob's digest.
        candidates: The repositories, those first that are most likely.
        blobs: All content.
        driver: The storage.
        layout: Where things lie.
        limit: Candidates at most that are looked at.

    Raises:
        InvalidArgument: `limit` is below 1.
    """
    if limit < 1:
        raise InvalidArgument("limit", limit, "nobody would be asked about")
    if await blobs.present(digest) is None:
        return None
    links = LinkStore(driver)

    async def asked(batch: list[RepositoryName]) -> RepositoryName | None:
        keys = [layout.key(LayerLink(name, digest)) for name in batch]
        linked = await gather_map(links.linked, keys, limit=len(keys)) if keys else ()
        return next((name for name, yes in zip(batch, linked, strict=True) if yes), None)

    batch: list[RepositoryName] = []
    async with aclosing(_first(candidates, limit)) as names:
        async for name in names:
            batch.append(name)
            if len(batch) == driver.capabilities.connections:
                if found := await asked(batch):
                    return found
                batch = []
    return await asked(batch)


async def _first(
    names: AsyncIterable[RepositoryName] | Iterable[RepositoryName], limit: int
) -> AsyncGenerator[RepositoryName, None]:
    left = limit
    if isinstance(names, AsyncIterable):
        async for name in names:
            yield name
            left -= 1
            if not left:
                return
    else:
        for name in islice(names, limit):
            yield name
