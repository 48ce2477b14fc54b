"""A repository's blobs: its layers and configs, each reachable only through the repository's link to it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import partial
from types import NoneType

from ..arguments import check_range, check_type
from ..concurrency import alongside, gather
from ..driver import Driver, FileInfo, entries
from ..errors import (
    BlobSizeMismatch,
    BlobUnknown,
    Damaged,
    InvalidOffset,
    LinkDamaged,
    Unsupported,
)
from ..formats.descriptors import Descriptor, blob_descriptor
from ..formats.digest import Digest
from ..formats.names import RepositoryName
from ..layout import BlobData, LayerLink, Layout
from .content import Content
from .gate import TRIES, Window
from .links import Link, LinkStore, expect
from .listed import LayerInfo
from .reader import BlobReader
from .store import BlobStore


class LayerStore:
    """The blobs of one repository."""

    def __init__(
        self,
        name: RepositoryName,
        blobs: BlobStore,
        driver: Driver,
        layout: Layout,
        *,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._name = name
        self._blobs = blobs
        self._gate = blobs.writer.gate
        self._driver = driver
        self._links = LinkStore(driver)
        self._layout = layout
        self._link = partial(LayerLink, name)
        self._now = now or partial(datetime.now, UTC)

    def _key(self, digest: Digest) -> str:
        return self._layout.key(LayerLink(self._name, digest))

    async def put(
        self,
        content: Content,
        *,
        digest: str | None = None,
        length: int | None = None,
    ) -> Descriptor:
        """Store content and link it here; return its descriptor.

        2 requests, one after the other, if the content fits in `Capabilities.part_size`; otherwise 1 more for
        each part.

        Args:
            content: The bytes; an asynchronous iterable of them of any length; a file's path, or an open binary
                file.
            digest: The digest that the content must have; required for an iterable and for an open file.
            length: The content's size in bytes, if the sender announced it.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            DigestMismatch: The content has another digest; nothing is stored.
            SizeMismatch: It is longer or shorter than announced; nothing is stored.
            InvalidArgument: A stream or an open file came without its digest.
            WrongType: The content has another form, or an argument is of another type.
            OSError: The file can't be opened or read; nothing is stored.
            BeingCollected: The collector is deleting the same content, or its link; nothing is stored.
            Unavailable: It took longer than `Bounds.link_within`, and a run of the collector came in between.
        """
        digest = None if digest is None else Digest(digest)
        placed = await self._blobs.writer.place(content, digest, length, self._link)
        await self.link_stored(placed.digest, placed.window)
        return blob_descriptor(placed.digest, placed.info.size)

    async def link_stored(self, digest: Digest, window: Window) -> None:
        """Link content that the caller has just stored, and close the window of that. One request.

        Raises:
            Unavailable: As `Window.close`.
        """
        await window.close(await self._links.link(self._key(digest), digest))

    async def link(self, digest: str) -> Descriptor:
        """Link content that is stored already; return its descriptor. Two requests, one after the other.

        The caller decides that this repository may have the content: this method reads no other repository's
        link.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            BlobUnknown: It is not stored, or the collector is deleting it.
            BeingCollected: The collector is deleting the link.
            Unavailable: Runs of the collector came in between.
        """
        digest = Digest(digest)
        for _ in range(TRIES):
            window = await self._gate.open(self._link(digest))
            found = await self._blobs.stored(digest)
            if found is None or not window.admits(BlobData(digest)):
                raise BlobUnknown(digest)
            if await window.rely():
                await self.link_stored(digest, window)
                return found
        raise self._gate.gave_up(self._link(digest))

    async def mount(self, digest: str, source: str) -> Descriptor:
        """Link a blob of another repository here; return its descriptor. Two round trips.

        It asks for link and content together, then writes the link. It does not check that the caller may read
        the source.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            InvalidName: The source is outside the grammar.
            BlobUnknown: The source has no link to the blob, or the content is not stored, or the collector is
                deleting it. If it is stored, and known without a read to be damaged, the damage is the cause.
            LinkDamaged: The source's link holds something else.
            BeingCollected: The collector is deleting the link of this repository.
            Unavailable: Runs of the collector came in between.
        """
        digest, source = Digest(digest), RepositoryName(source)
        for _ in range(TRIES):
            window = await self._gate.open(self._link(digest))
            link, found = await gather(
                self._links.find(self._layout.key(LayerLink(source, digest))), self._blobs.rely(digest)
            )
            if link is None or found is None:
                raise BlobUnknown(digest, source)
            expect(link, digest)
            if isinstance(found, Damaged) or self._doubted(digest, found):
                raise BlobUnknown(digest, source) from _damage(found)
            if not window.admits(BlobData(digest)):
                raise BlobUnknown(digest, source)
            if await window.rely():
                await self.link_stored(digest, window)
                return blob_descriptor(digest, found.size)
        raise self._gate.gave_up(self._link(digest))

    async def delete(self, digest: str) -> None:
        """Delete the repository's link to a blob. Two round trips; content stays stored.

        Manifests that refer to it stay as well.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            BlobUnknown: The repository has no link to it.
        """
        digest = Digest(digest)
        key = self._key(digest)
        if not await self._links.linked(key):
            raise BlobUnknown(digest, self._name)
        await self._driver.delete(key)

    async def enumerate(self) -> AsyncIterator[LayerInfo]:
        """Yield each layer that the repository links, by digest. One request for each 1,000."""
        async for info in entries(self._driver.list_all, self._layout.layers_of(self._name)):
            link = self._layout.parse(info.key)
            if isinstance(link, LayerLink):
                yield LayerInfo(link.digest, info.modified)

    async def get(self, digest: str, *, limit: int | None = None) -> bytes:
        """Return a blob's content, verified. Link and content are asked for together: one round trip.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            BlobUnknown: The repository has no link to it.
            LinkDangling: It has one, but the content is not stored.
            BlobDamaged: The stored bytes have another digest.
            ObjectTooLarge: It holds more than `limit` bytes.
        """
        digest = Digest(digest)
        check_type("limit", limit, int, NoneType)
        key = self._key(digest)
        link, content = await gather(self._links.find(key), self._blobs.fetch(digest, limit=limit))
        self._check(link, digest)
        if content is None:
            raise await self._links.without_content(key, digest, BlobUnknown(digest, self._name))
        return await self._blobs.verified(digest, content)

    async def stat(self, digest: str) -> Descriptor:
        """Return a blob's descriptor. Link and content are asked about together: one round trip.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            BlobUnknown: The repository has no link to it.
            LinkDamaged: Its link holds something else.
            LinkDangling: It has one, but the content is not stored.
            BlobDamaged: The content is empty, and must not be.
            BlobSizeDamaged: It has another size than the content of this digest, if that is known.
        """
        digest = Digest(digest)
        link, found = await gather(self._links.find(self._key(digest)), self._blobs.look(digest))
        link = self._check(link, digest)
        if found is None:
            raise await self._links.without_content(link.key, digest, BlobUnknown(digest, self._name))
        if isinstance(found, Damaged):
            raise copy(found)  # no cycle with this frame
        return blob_descriptor(digest, found.size)

    async def exists(self, digest: str) -> bool:
        """Say whether the repository has a blob, link and content, neither known to be damaged. One round trip.

        Raises:
            InvalidDigest: The digest is outside the grammar.
        """
        digest = Digest(digest)
        link, found = await gather(self._sound(digest), self._blobs.rely(digest))
        return isinstance(link, Link) and isinstance(found, FileInfo) and not self._doubted(digest, found)

    @asynccontextmanager
    async def open(
        self, digest: str, *, offset: int = 0, length: int | None = None, verify: bool = True
    ) -> AsyncIterator[BlobReader]:
        """Open a blob's content from `offset` on. One round trip to the first byte.

        Args:
            digest: Its digest.
            offset: The first byte to read, from 0.
            length: Bytes to read at most; None for all.
            verify: Compare the whole with its digest, as `BlobStore.open` says.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            BlobUnknown: The repository has no link to it.
            LinkDangling: It has one, but the content is not stored.
            BlobDamaged: The content is empty, and must not be.
            BlobSizeDamaged: It has another size than the content of this digest, if that is known.
            InvalidOffset: The offset is outside the content.
        """
        digest = Digest(digest)
        check_range(offset, length)
        key = self._key(digest)
        async with AsyncExitStack() as stack:
            async with alongside(self._links.find(key)) as link:
                try:
                    reader = await stack.enter_async_context(
                        self._blobs.open(digest, offset=offset, length=length, verify=verify)
                    )
                except (BlobUnknown, InvalidOffset, Damaged) as error:
                    self._check(await link, digest)  # without a link, nothing is told of the content
                    if isinstance(error, BlobUnknown):
                        absent = BlobUnknown(digest, self._name)
                        raise await self._links.without_content(key, digest, absent) from error
                    raise
                self._check(await link, digest)
            yield reader

    async def url_for(
        self, digest: str, *, method: str = "GET", expires: timedelta = timedelta(minutes=20)
    ) -> str:
        """Return a URL at the store; every holder can read the blob with it until it expires. One round trip.

        Args:
            digest: Its digest.
            method: GET or HEAD.
            expires: How long the URL is good.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            BlobUnknown: The repository has no link to it.
            LinkDangling: It has one, but the content is not stored.
            InvalidArgument: The method is another one, or the time not positive.
            Unsupported: The driver lacks `signed_urls`.
        """
        digest = Digest(digest)
        check_type("method", method, str)
        check_type("expires", expires, timedelta)
        if not self._driver.capabilities.signed_urls:
            raise Unsupported(self._driver.name, "signed URLs")
        await self.stat(digest)
        return await self._driver.url_for(self._blobs.path(digest), method=method, expires=expires)

    async def confirm(self, digest: str) -> Descriptor | None:
        """Return the descriptor from `rely_on`, or None if the blob is missing.

        Raises:
            InvalidDigest: The digest is outside the grammar.
        """
        try:
            return await self.rely_on(digest)
        except BlobUnknown:
            return None

    async def rely_on(self, digest: str, size: int | None = None) -> Descriptor:
        """Return the descriptor of a blob that a push can rely on. 1 round trip.

        Only a caller with the right to push may ask. A damaged blob counts as missing: the client then uploads
        it, which writes content and link again. A blob is damaged if the size of its content shows it, if an
        earlier read of this process found it, or if its link holds something else.

        The link's time starts a lease; until its end a collector treats the blob as needed. A successful call
        renews the lease once half of it is over: 1 more round trip, once in half a lease. A blob that a run of the
        collector has condemned is rescued: 2 round trips more, once a run.

        Args:
            digest: The blob's digest.
            size: The blob's size in bytes by a manifest; None without a manifest. If the content has another
                size, calls without a size report it as missing from then on, until it is written again.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            BlobUnknown: The blob is missing, or damaged; the damage is then the error's cause. Or the collector is
                deleting it.
            BlobSizeMismatch: Its size is not the announced one.
            Unavailable: Runs of the collector came in between.
        """
        digest = Digest(digest)
        for _ in range(TRIES):
            window = await self._gate.open()
            descriptor, due = await self.find(window, digest, size)
            if await window.rely():
                if due:
                    await self.link_stored(digest, window)
                return descriptor
        raise self._gate.gave_up(self._link(digest))

    async def find(self, window: Window, digest: Digest, size: int | None) -> tuple[Descriptor, bool]:
        """Return a blob that a push can rely on within a window, for a caller that goes on by `Window.rely`.

        1 round trip. Errors are those of `rely_on`.

        Returns:
            The descriptor, and whether half of the link's lease is over: then the caller calls `renew`, or
            `link_stored`.
        """
        if size is not None and type(size) is not int:
            check_type("size", size, int, NoneType)
        link, found = await gather(self._sound(digest), self._blobs.rely(digest))
        if not isinstance(link, Link) or not isinstance(found, FileInfo):
            raise BlobUnknown(digest, self._name) from _damage(link, found)
        if size is None and self._doubted(digest, found):
            raise BlobUnknown(digest, self._name)
        if size not in {None, found.size}:
            self._blobs.soundness.doubt(self._name, digest, found)
            raise BlobSizeMismatch(digest, self._name, size or 0, found.size)
        if not window.admits(self._link(digest), BlobData(digest)):
            raise BlobUnknown(digest, self._name)
        age = (link.date or self._now()) - link.modified  # by the store's clock, if the driver tells it
        return blob_descriptor(digest, found.size), age > window.view.lease / 2

    async def renew(self, digest: Digest) -> None:
        """Write a link again, which renews its lease; the caller goes on in its window. 1 request."""
        await self._links.link(self._key(digest), digest)

    async def _sound(self, digest: Digest) -> Link | LinkDamaged | None:
        try:
            link = await self._links.find(self._key(digest))
            return None if link is None else expect(link, digest)
        except LinkDamaged as error:
            return error

    def _doubted(self, digest: Digest, found: FileInfo) -> bool:
        return self._blobs.soundness.doubted(self._name, digest, found)

    def _check(self, link: Link | None, digest: Digest) -> Link:
        if link is None:
            raise BlobUnknown(digest, self._name)
        return expect(link, digest)


def _damage(*found: object) -> Damaged | None:
    """Return the first damage among these results, if any."""
    return next((each for each in found if isinstance(each, Damaged)), None)
