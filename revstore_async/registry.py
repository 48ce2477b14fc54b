"""What an embedding program holds in its hands: a registry, and its repositories."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from types import TracebackType
from typing import Final, Self

from . import inventory
from .blobs.cache import CACHE_SIZE, Caches
from .blobs.layers import LayerStore, find_layer
from .blobs.memory_budget import MEMORY, WAIT, MemoryBudget
from .blobs.store import BlobStore
from .concurrency import gather, gather_map
from .driver import Driver, open_driver
from .errors import InvalidArgument
from .formats.digest import Digest
from .formats.names import RepositoryName
from .layout import CURRENT, Layout
from .manifests.service import ManifestService
from .policy import Policy
from .revisions.referrers import ReferrerStore
from .revisions.store import RevisionStore
from .shared_reads import SharedReadsDriver
from .tags.store import TagStore
from .uploads.store import UploadStore

_MADE: Final = 256  # repositories that are kept as they were made: a server asks for one at each request


class Repository:
    """One repository: everything that a registry keeps under a name. `Registry.repository` makes it.

    It costs nothing to make, and exists in the store as soon as something is put into it.

    Attributes:
        name: Its name.
        manifests: Its manifests, by tag and digest, as clients know them.
        tags: Its tags: set, list, history, restore.
        blobs: Its layers and configs.
        revisions: Its manifests by digest, apart from their signatures.
        referrers: The manifests that name another as their subject.
        uploads: Layers on their way in, in several requests.
    """

    def __init__(
        self, name: RepositoryName, blobs: BlobStore, driver: Driver, layout: Layout, policy: Policy
    ) -> None:
        self.name: Final = name
        self.blobs: Final = LayerStore(name, blobs, driver, layout, policy)
        self.uploads: Final = UploadStore(name, blobs, self.blobs, driver, layout)
        self.revisions: Final = RevisionStore(name, blobs, driver, layout)
        self.referrers: Final = ReferrerStore(name, self.revisions, driver, layout)
        self.tags: Final = TagStore(name, self.revisions, driver, layout, policy)
        self.manifests: Final = ManifestService(
            name, self.revisions, self.tags, self.blobs, driver, policy, blobs.caches.guesses
        )
        self._driver = driver
        self._layout = layout

    def __repr__(self) -> str:
        return f"Repository({str(self.name)!r})"

    async def exists(self) -> bool:
        """Say whether manifests or layers are stored under the name. One round trip, two requests.

        A repository below it, whose name begins with this one's, does not count.
        """
        folder = self._layout.repository(self.name)
        pages = await gather(
            self._driver.list_all(f"{folder}/{self._layout.manifests}", limit=1),
            self._driver.list_all(f"{folder}/{self._layout.layers}", limit=1),
        )
        return any(page.entries for page in pages)


class Registry:
    """A registry's storage: repositories over one driver. An async context manager.

        async with Registry.open("file:///var/lib/registry") as registry:
            repository = registry.repository("library/hello")
            stored = await repository.manifests.put(document, tag="latest")
            manifest = await repository.manifests.get("latest")

    Args:
        driver: The storage; the registry opens and closes it.
        layout: Where things lie; `SEED` reads what Docker Distribution's first draft wrote.
        policy: What is demanded of manifests and tags.
        cache_size: Bytes of small content to keep in memory, such as manifests; 0 keeps nothing.
        memory: Bytes of layers on their way in that are gathered in memory, of all calls together. Each call takes
            them as they arrive, up to a part (`Capabilities.part_size`).
        memory_wait: How long a call waits for such memory, before it raises `UploadMemoryFull`.

    Raises:
        InvalidArgument: The cache's size or the time is negative, or the memory is none.

    Attributes:
        driver: The storage.
        layout: Where things lie.
        blobs: All content by digest, whichever repositories link it.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        layout: Layout = CURRENT,
        policy: Policy | None = None,
        cache_size: int = CACHE_SIZE,
        memory: int = MEMORY,
        memory_wait: timedelta = WAIT,
    ) -> None:
        self.driver: Final = driver
        self.layout: Final = layout
        self._reads: Final = SharedReadsDriver(
            driver
        )  # what the stores ask: it opens and closes with `driver`
        self._caches: Final = Caches.of(cache_size)
        self.blobs: Final = BlobStore(
            self._reads, layout, self._caches, MemoryBudget(memory, wait=memory_wait)
        )
        self._policy: Final = policy or Policy()
        made = partial(Repository, blobs=self.blobs, driver=self._reads, layout=layout, policy=self._policy)
        self._repository: Final = lru_cache(_MADE)(lambda name: made(RepositoryName(name)))

    @classmethod
    def open(
        cls,
        url: str,
        *,
        layout: Layout = CURRENT,
        policy: Policy | None = None,
        cache_size: int = CACHE_SIZE,
        memory: int = MEMORY,
        memory_wait: timedelta = WAIT,
        **options: object,
    ) -> "Registry":
        """Return the registry at a store URL; it opens on entering its `async with` block.

        Args:
            url: Such as `memory:` or `file:///var/lib/registry`; see `revstore_async.driver.open_driver`.
            layout: Where things lie.
            policy: What is demanded of manifests and tags.
            cache_size: Bytes of small content to keep in memory, such as manifests; 0 keeps nothing.
            memory: Bytes of layers on their way in that are gathered in memory, of all calls together.
            memory_wait: How long a call waits for such memory.
            **options: For the driver: what the URL leaves open.

        Raises:
            InvalidArgument: The cache's size or the time is negative, or the memory is none.
            InvalidStoreURL: The URL or an option is not understood.
            MissingExtra: The driver needs packages that are not installed.
        """
        driver = open_driver(url, **options)
        return cls(
            driver,
            layout=layout,
            policy=policy,
            cache_size=cache_size,
            memory=memory,
            memory_wait=memory_wait,
        )

    def __repr__(self) -> str:
        return f"Registry({self.driver!r})"

    async def __aenter__(self) -> Self:
        await self.driver.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._caches.clear()
        await self.driver.__aexit__(kind, error, trace)

    def repository(self, name: str) -> Repository:
        """Return a repository, whether or not anything is stored in it. No request.

        Raises:
            InvalidName: The name is outside the grammar.
        """
        return self._repository(name)

    def repositories(self, *, start_after: str | None = None) -> AsyncGenerator[RepositoryName, None]:
        """Yield the name of each repository, in lexical order. A request for each folder of names on the way.

        Args:
            start_after: Only names after this one; it need not exist. What lies before it is not listed.

        Raises:
            InvalidName: `start_after` is outside the grammar.
        """
        after = None if start_after is None else RepositoryName(start_after)
        return inventory.repositories(self.driver, self.layout, start_after=after)

    async def find_layer(
        self,
        digest: Digest,
        candidates: AsyncIterable[RepositoryName] | Iterable[RepositoryName],
        *,
        limit: int = 100,
    ) -> RepositoryName | None:
        """Return a repository to mount a layer from, the first of those that may be read; None where there is none.

        Content that is not stored is told by one request. Else there is one for each candidate until one is
        found, as many at once as the driver has connections.

        Args:
            digest: The layer's digest.
            candidates: Repositories that the caller may read, those first that are most likely.
            limit: Candidates at most that are looked at.

        Raises:
            InvalidArgument: `limit` is below 1.
        """
        return await find_layer(digest, candidates, self.blobs, self._reads, self.layout, limit=limit)

    async def purge_uploads(self, older_than: timedelta, *, at_once: int | None = None) -> int:
        """Forget the uploads of all repositories that nobody went on with for that long; return how many.

        One request for each 1,000 objects of uploads, and four for each that is forgotten. What killed calls
        left is forgotten with them, and what finished ones left, which is not counted, and the driver's unfinished
        writes. What a newer engine wrote is left alone. Bytes count from the end of the call that
        sends them: the time must be longer than any call may take. Any number of processes may do it at once;
        then an upload may be counted by several.

        Args:
            older_than: The time.
            at_once: Uploads at most that are being forgotten at once; None for as many as the driver has
                connections, which leaves none for others.

        Raises:
            InvalidArgument: The time is negative, or none may be forgotten at once.
        """
        if older_than < timedelta(0):
            raise InvalidArgument("older_than", older_than, "it is in the future")
        limit = self.driver.capabilities.connections if at_once is None else at_once
        if limit < 1:
            raise InvalidArgument("at_once", at_once, "nothing would be forgotten")
        before = datetime.now(UTC) - older_than

        async def purged(upload: inventory.UploadInfo) -> bool:
            uploads = self.repository(upload.name).uploads
            return upload.modified <= before and await uploads.purge(upload.id, before=before)

        found = await inventory.uploads(self.driver, self.layout)
        forgotten = await gather_map(purged, found, limit=limit)
        await self.driver.purge_writers(older_than)
        return sum(forgotten)
