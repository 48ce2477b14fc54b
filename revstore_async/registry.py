"""The objects that an embedding program works with: a registry and its repositories."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from os import PathLike
from types import NoneType, TracebackType
from typing import Final, NoReturn, Self

from . import inventory
from .arguments import check_type
from .blobs.cache import CACHE_SIZE, Caches
from .blobs.finding import find_layer
from .blobs.gate import Gate
from .blobs.layers import LayerStore
from .blobs.memory_budget import MEMORY, WAIT, MemoryBudget
from .blobs.store import BlobStore
from .collector import Collector
from .concurrency import alongside, gather, gather_map
from .driver import Driver, open_driver
from .errors import InvalidArgument, RepositoryUnknown
from .formats.digest import Digest
from .formats.names import RepositoryName
from .layout import CURRENT, Layout
from .manifests.service import ManifestService
from .policy import Policy
from .pulls.pull_times import PullTimes
from .repository_deletion import DeletionProgress, RepositoryDeletion
from .revisions.referrers import ReferrerStore
from .revisions.store import RevisionStore
from .shared_reads import SharedReadsDriver
from .tags.store import TagStore
from .uploads.store import UploadStore

_REPOSITORIES_KEPT: Final = 256  # `Repository` objects to keep: a server asks for one at each request


class Repository:
    """One repository: everything that a registry keeps under a name. `Registry.repository` makes it.

    Making one costs no request. The repository exists in the store from the first put into it on.

    Attributes:
        name: Its name.
        manifests: Its manifests, by tag and digest, as clients know them.
        tags: Its tags: set, list, history, restore.
        blobs: Its layers and configs.
        revisions: Its manifests by digest, apart from their signatures.
        referrers: The manifests that name another as their subject.
        uploads: Its uploads: layers that arrive in several requests.
    """

    def __init__(
        self, name: RepositoryName, blobs: BlobStore, driver: Driver, layout: Layout, policy: Policy
    ) -> None:
        self.name: Final = name
        self.blobs: Final = LayerStore(name, blobs, driver, layout)
        self.uploads: Final = UploadStore(name, blobs, self.blobs, driver, layout)
        self.revisions: Final = RevisionStore(name, blobs, driver, layout)
        self.referrers: Final = ReferrerStore(name, self.revisions, driver, layout)
        self.tags: Final = TagStore(name, self.revisions, driver, layout, policy)
        self.manifests: Final = ManifestService(
            name, self.revisions, self.tags, self.blobs, driver, policy, blobs.caches.tag_hints
        )
        self._blobs = blobs
        self._driver = driver
        self._layout = layout
        self._policy = policy

    def __repr__(self) -> str:
        return f"Repository({str(self.name)!r})"

    async def exists(self) -> bool:
        """Say whether manifests or layers are stored under the name. 2 requests, 1 round trip.

        A repository below this one, with this name as the beginning of its own, does not count.
        """
        folder = self._layout.repository(self.name)
        pages = await gather(
            self._driver.list_all(f"{folder}/{self._layout.manifests}", limit=1),
            self._driver.list_all(f"{folder}/{self._layout.layers}", limit=1),
        )
        return any(page.entries for page in pages)

    async def delete(self, *, progress: DeletionProgress | None = None) -> None:
        """Delete the repository: tags, then manifests (an index before its children), then layers and uploads.

        Content stays stored until a run of the collector, since other repositories may have it. The histories of
        the tags stay, too. A repository below this one, with this name as the beginning of its own, stays. If the
        call ends early, the repository that is left is whole but smaller, and another call deletes the rest. The
        call begins again for tags and manifests that clients push meanwhile, five times at most.

        Costs:

        - 16 requests, nearly all of them listings, and 3 more for each 1,000 keys;
        - 6 requests for each tag, 7 for each manifest, 4 for each upload;
        - 1 request for each 1,000 links to layers, where the store takes that.

        Args:
            progress: A value to follow the deletion by.

        Raises:
            RepositoryUnknown: No manifest and no layer is stored under the name.
            TagImmutable: The policy forbids to delete one of its tags; nothing was deleted, unless the tag is new.
            TagContended: Others changed a tag each of 100 times.
            WrongType: `progress` is of another type.
        """
        check_type("progress", progress, DeletionProgress, NoneType)
        if not await self.exists():
            raise RepositoryUnknown(self.name)
        deletion = RepositoryDeletion(
            name=self.name,
            tags=self.tags,
            revisions=self.revisions,
            manifests=self.manifests,
            uploads=self.uploads,
            driver=self._driver,
            layout=self._layout,
            policy=self._policy,
            progress=progress or DeletionProgress(),
        )
        try:
            await deletion.run()
        finally:
            self._blobs.caches.clear()


class Registry:
    """A registry's storage: repositories over one driver. An async context manager.

        async with Registry.open("file:///var/lib/registry") as registry:
            repository = registry.repository("library/hello")
            stored = await repository.manifests.put(document, tag="latest")
            manifest = await repository.manifests.get("latest")

    Args:
        driver: The storage; the registry opens and closes it.
        layout: The keys of the store; `SEED` reads the keys that Docker Distribution's first draft wrote.
        policy: The rules for manifests and tags.
        cache_size: Bytes of small content to keep in memory, such as manifests; 0 keeps nothing.
        memory: Bytes of incoming layers that all calls together may hold in memory. A call holds the bytes that
            have arrived, up to one part (`Capabilities.part_size`).
        memory_wait: How long a call waits for such memory before it raises `UploadMemoryFull`.
        pull_times: Whether the registry keeps coarse pull times, for retention rules with `pulled`. The server
            notes pulls; a program without the server notes them itself, by `registry.pull_times.note`. Every ten
            minutes it costs 1 request for each repository with new pulls.

    Raises:
        InvalidArgument: `cache_size` or `memory_wait` is negative, or `memory` is below 1.
        WrongType: An argument is of another type.

    Attributes:
        driver: The storage.
        layout: The keys of the store.
        blobs: The content of all repositories, by digest.
        collector: Finds and deletes what no root needs.
        pull_times: The pull times that this registry keeps; None if it keeps no pull times.
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
        pull_times: bool = False,
    ) -> None:
        check_type("driver", driver, Driver)
        check_type("layout", layout, Layout)
        check_type("policy", policy, Policy, NoneType)
        check_type("cache_size", cache_size, int)
        check_type("memory", memory, int)
        check_type("memory_wait", memory_wait, timedelta)
        check_type("pull_times", pull_times, bool)
        self.driver: Final = driver
        self.layout: Final = layout
        self._reads: Final = SharedReadsDriver(driver)  # for the stores; it opens and closes with `driver`
        self._caches: Final = Caches.of(cache_size)
        self._gate: Final = Gate(self._reads, layout)
        self.blobs: Final = BlobStore(
            self._reads, layout, self._caches, MemoryBudget(memory, wait=memory_wait), self._gate
        )
        self._policy: Final = policy or Policy()
        made = partial(Repository, blobs=self.blobs, driver=self._reads, layout=layout, policy=self._policy)
        repository = lru_cache(_REPOSITORIES_KEPT)(lambda name: made(RepositoryName(name)))
        self._repository: Final = repository
        self.pull_times: Final = PullTimes(driver, layout) if pull_times else None
        self._keeping: alongside[NoReturn] | None = None
        # It holds no registry, which holds it: a cycle would stay until the garbage collector runs.
        self.collector: Final = Collector(
            driver,
            layout,
            self._policy,
            lambda name, by: (repository(name) if by is driver else made(name, driver=by)).tags,
            self._caches.clear,
        )

    @classmethod
    def open(
        cls,
        url: str | PathLike[str],
        *,
        layout: Layout = CURRENT,
        policy: Policy | None = None,
        cache_size: int = CACHE_SIZE,
        memory: int = MEMORY,
        memory_wait: timedelta = WAIT,
        pull_times: bool = False,
        **options: object,
    ) -> "Registry":
        """Return the registry at a store URL; it opens on entering its `async with` block.

        Args:
            url: Such as `memory:` or `file:///var/lib/registry`, or the path of a folder; see
                `revstore_async.driver.open_driver`.
            layout: The keys of the store.
            policy: The rules for manifests and tags.
            cache_size: Bytes of small content to keep in memory, such as manifests; 0 keeps nothing.
            memory: Bytes of incoming layers that all calls together may hold in memory.
            memory_wait: How long a call waits for such memory.
            pull_times: Whether the registry keeps coarse pull times.
            **options: The driver's options that the URL does not give.

        Raises:
            InvalidArgument: `cache_size` or `memory_wait` is negative, or `memory` is below 1.
            InvalidStoreURL: The URL or an option is not understood.
            WrongType: An argument is of another type.
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
            pull_times=pull_times,
        )

    def __repr__(self) -> str:
        return f"Registry({self.driver!r})"

    async def __aenter__(self) -> Self:
        await self.driver.__aenter__()
        if self.pull_times is not None:
            self._keeping = alongside(self.pull_times.keep())
            await self._keeping.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._caches.clear()
        await self._gate.stop()
        try:
            if self._keeping is not None and self.pull_times is not None:
                await self._keeping.__aexit__(kind, error, trace)
                await self.pull_times.end()
        finally:
            self._keeping = None
            await self.driver.__aexit__(kind, error, trace)

    def repository(self, name: str) -> Repository:
        """Return a repository, whether or not anything is stored in it. No request.

        Raises:
            InvalidName: The name is outside the grammar.
        """
        if type(name) is not str:  # a list can't be looked up among the kept ones
            name = RepositoryName(name)
        return self._repository(name)

    def repositories(self, *, start_after: str | None = None) -> AsyncGenerator[RepositoryName, None]:
        """Yield the name of each repository, in lexical order. 1 request for each folder of names on the way.

        Args:
            start_after: Only names after this one; it need not exist. Folders before it cost no request.

        Raises:
            InvalidName: `start_after` is outside the grammar.
        """
        after = None if start_after is None else RepositoryName(start_after)
        return inventory.repositories(self.driver, self.layout, start_after=after)

    async def find_layer(
        self,
        digest: str,
        candidates: AsyncIterable[str] | Iterable[str],
        *,
        limit: int = 100,
    ) -> RepositoryName | None:
        """Return the first candidate that has a layer, to mount it from; None if no candidate has it.

        1 request tells whether the content is stored at all. If it is, each candidate costs 1 request more
        until one has it, as many at once as the driver has connections.

        Args:
            digest: The layer's digest.
            candidates: Repositories that the caller may read, the most likely first.
            limit: The most candidates to look at.

        Raises:
            InvalidDigest: The digest is outside the grammar.
            InvalidName: A candidate is outside the grammar.
            InvalidArgument: `limit` is below 1.
        """
        return await find_layer(Digest(digest), candidates, self.blobs, self._reads, self.layout, limit=limit)

    async def purge_uploads(self, older_than: timedelta, *, at_once: int | None = None) -> int:
        """Delete the uploads of all repositories that no call continued for that long; return how many.

        1 request for each 1,000 objects of uploads, and 4 for each upload that it deletes. Also deletes the
        leftovers of killed and finished calls (not counted) and the driver's unfinished writes. The files of a
        newer engine stay. The age of bytes counts from the end of the call that sends them: the time must be
        longer than any call may take. Any number of processes may purge at once; several of them may then count
        the same upload.

        Args:
            older_than: The time since the last call that continued an upload.
            at_once: The most uploads to delete at once; None for as many as the driver has connections, which
                leaves no connection for other calls.

        Raises:
            InvalidArgument: `older_than` is negative, or `at_once` is below 1.
        """
        check_type("older_than", older_than, timedelta)
        check_type("at_once", at_once, int, NoneType)
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
