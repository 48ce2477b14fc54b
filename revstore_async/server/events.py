"""Events of a registry, for the program around the server."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag

_LOG = logging.getLogger("revstore_async.server")


@dataclass(frozen=True, slots=True)
class Event:
    """A completed operation.

    Attributes:
        repository: The repository of the operation.
        principal: The name of the caller; empty for anonymous.
    """

    repository: RepositoryName
    principal: str


@dataclass(frozen=True, slots=True)
class ManifestPushed(Event):
    """A manifest was stored, and its tags set."""

    digest: Digest
    media_type: str
    tags: tuple[Tag, ...]


@dataclass(frozen=True, slots=True)
class ManifestPulled(Event):
    """A manifest was handed out, by a reference: a tag or its digest."""

    digest: Digest
    media_type: str
    reference: str


@dataclass(frozen=True, slots=True)
class ManifestDeleted(Event):
    """A manifest was deleted, by its digest."""

    digest: Digest


@dataclass(frozen=True, slots=True)
class TagDeleted(Event):
    """A tag was deleted; the manifest stays."""

    tag: Tag


@dataclass(frozen=True, slots=True)
class SignaturesAdded(Event):
    """Signatures of a stored manifest were added."""

    digest: Digest
    count: int


@dataclass(frozen=True, slots=True)
class BlobPushed(Event):
    """A blob was uploaded.

    Attributes:
        digest: Its digest.
        size: Its size in bytes.
    """

    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class BlobPulled(Event):
    """A blob was pulled: its answer begins after this event, or the client is redirected to the storage.

    Attributes:
        digest: Its digest.
        size: Its size in bytes.
        redirected: Whether the client is redirected to the storage.
    """

    digest: Digest
    size: int
    redirected: bool


@dataclass(frozen=True, slots=True)
class BlobMounted(Event):
    """A blob of another repository was mounted here."""

    digest: Digest
    source: RepositoryName


@dataclass(frozen=True, slots=True)
class BlobDeleted(Event):
    """A repository's link to a blob was deleted."""

    digest: Digest


Listener = Callable[[Event], Awaitable[None]]
"""Is told each event before the answer to the client: long work belongs into a queue of its own."""


async def tell(listener: Listener, event: Event) -> None:
    """Tell a listener. An error of the listener is logged and changes nothing; the client is not told."""
    try:
        await listener(event)
    except Exception:  # noqa: BLE001 (any error of a program's own listener)
        _LOG.exception("a listener failed on %r", event)
