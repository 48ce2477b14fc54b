"""What an embedding program holds in its hands: a registry, and its repositories."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self

from . import inventory
from .blobs import BlobStore
from .driver import Driver, open_driver
from .layers import LayerStore
from .layout import CURRENT, Layout
from .manifest_service import ManifestService
from .names import RepositoryName
from .policy import Policy
from .revisions import RevisionStore
from .tags import TagStore


class Repository:
    """One repository: everything that a registry keeps under a name. `Registry.repository` makes it.

    It costs nothing to make, and exists in the store as soon as something is put into it.

    Attributes:
        name: Its name.
        manifests: Its manifests, by tag and digest, as clients know them.
        tags: Its tags: set, list, history, restore.
        blobs: Its layers and configs.
        revisions: Its manifests by digest, apart from their signatures.
    """

    def __init__(
        self, name: RepositoryName, blobs: BlobStore, driver: Driver, layout: Layout, policy: Policy
    ) -> None:
        self.name: Final = name
        self.blobs: Final = LayerStore(name, blobs, driver, layout, policy)
        self.revisions: Final = RevisionStore(name, blobs, driver, layout)
        self.tags: Final = TagStore(name, self.revisions, driver, layout, policy)
        self.manifests: Final = ManifestService(name, self.revisions, self.tags, self.blobs, driver, policy)
        self._driver = driver
        self._layout = layout

    def __repr__(self) -> str:
        return f"Repository({str(self.name)!r})"

    async def exists(self) -> bool:
        """Say whether anything is stored under the name. One request."""
        page = await self._driver.list_all(self._layout.repository(self.name), limit=1)
        return bool(page.entries)


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

    Attributes:
        driver: The storage.
        layout: Where things lie.
        blobs: All content by digest, whichever repositories link it.
    """

    def __init__(self, driver: Driver, *, layout: Layout = CURRENT, policy: Policy | None = None) -> None:
        self.driver: Final = driver
        self.layout: Final = layout
        self.blobs: Final = BlobStore(driver, layout)
        self._policy: Final = policy or Policy()

    @classmethod
    def open(
        cls, url: str, *, layout: Layout = CURRENT, policy: Policy | None = None, **options: object
    ) -> "Registry":
        """Return the registry at a store URL; it opens on entering its `async with` block.

        Args:
            url: Such as `memory:` or `file:///var/lib/registry`; see `revstore_async.driver.open_driver`.
            layout: Where things lie.
            policy: What is demanded of manifests and tags.
            **options: For the driver: what the URL leaves open.

        Raises:
            InvalidStoreURL: The URL or an option is not understood.
            MissingExtra: The driver needs packages that are not installed.
        """
        return cls(open_driver(url, **options), layout=layout, policy=policy)

    def __repr__(self) -> str:
        return f"Registry({self.driver!r})"

    async def __aenter__(self) -> Self:
        await self.driver.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.driver.__aexit__(kind, error, trace)

    def repository(self, name: str) -> Repository:
        """Return a repository, whether or not anything is stored in it. No request.

        Raises:
            InvalidName: The name is outside the grammar.
        """
        return Repository(RepositoryName(name), self.blobs, self.driver, self.layout, self._policy)

    def repositories(self) -> AsyncIterator[RepositoryName]:
        """Yield the name of each repository, in lexical order. A request for each folder of names."""
        return inventory.repositories(self.driver, self.layout)
