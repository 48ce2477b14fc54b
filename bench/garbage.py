"""A store of which half of the blobs are garbage, in the layout of Docker Distribution, by its keys."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from revstore_async import CURRENT, Digest
from revstore_async.formats.names import RepositoryName, Tag
from revstore_async.layout import BlobData, LayerLink, RevisionLink, TagCurrent, TagIndex

from .content import Item, manifest

IN_A_REPOSITORY = 100
"""Manifests of one repository."""

_LAYERS = 7
"""Layers of a manifest."""

_UNTAGGED = 10
"""Every tenth manifest has no tag."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object of the store.

    Attributes:
        key: Its key.
        content: Its content.
        stays: Whether a collection must leave it.
    """

    key: str
    content: bytes
    stays: bool = True


@dataclass(frozen=True, slots=True)
class Revision:
    """A manifest that stays.

    Attributes:
        repository: Its repository.
        tag: Its tag; None if it has none.
        digest: Its digest.
        content: The document.
    """

    repository: RepositoryName
    tag: Tag | None
    digest: Digest
    content: bytes


class HalfGarbage:
    """A store with many blobs; the same seed makes the same store.

    Ten blobs that stay are four manifests, their four configs, and two layers, which the manifests share. Ten blobs
    that are garbage are two manifests without a link, six blobs with a layer link that no manifest needs, and two
    blobs without any link. No manifest is of schema 1: Distribution's collector stops at those.

    Attributes:
        blobs: The number of all blobs.
        manifests: The number of manifests that stay: a fifth of the blobs.
        garbage: The number of blobs that are garbage: half of them.
    """

    def __init__(self, blobs: int, seed: int) -> None:
        """Describe a store.

        Args:
            blobs: The number of all blobs: a multiple of 10.
            seed: The seed of all content.

        Raises:
            ValueError: The number of blobs is no multiple of 10.
        """
        if blobs <= 0 or blobs % 10:
            raise ValueError(f"a number of blobs must be a multiple of 10, which {blobs} is not")
        self.blobs = blobs
        self.manifests = blobs // 5
        self.garbage = blobs // 2
        self._seed = seed

    def revisions(self) -> Iterator[Revision]:
        """Yield the manifests that stay."""
        for repository in self._repositories():
            yield from repository.revisions()

    def objects(self) -> Iterator[Stored]:
        """Yield all objects of the store: content before links, links before tags."""
        for repository in self._repositories():
            yield from repository.objects()

    def items(self) -> Iterator[Item]:
        """Yield the key and content of each object of the store, in the same order."""
        for stored in self.objects():
            yield stored.key, stored.content

    def unneeded_layers(self) -> Iterator[tuple[RepositoryName, bytes]]:
        """Yield layers of deleted manifests, each with its repository, where its link still is."""
        for repository in self._repositories():
            for _, *layers in repository.gone():
                for layer in layers:
                    yield repository.name, layer

    def _repositories(self) -> "Iterator[_Repository]":
        for number, first in enumerate(range(0, self.manifests, IN_A_REPOSITORY)):
            name = RepositoryName(f"bench/gc-{number:04}")
            yield _Repository(name, min(IN_A_REPOSITORY, self.manifests - first), f"{self._seed}-{number}")


class _Repository:
    """One repository with all of its content, which it shares with no other."""

    def __init__(self, name: RepositoryName, manifests: int, seed: str) -> None:
        self.name = name
        self.manifests = manifests
        self.seed = seed
        chance = random.Random(seed)
        self.layers = [chance.randbytes(200) for _ in range(manifests // 2)]
        self.configs = [chance.randbytes(200) for _ in range(manifests)]

    def revisions(self) -> Iterator[Revision]:
        parts = [(Digest.of(layer), len(layer)) for layer in self.layers]
        for number, config in enumerate(self.configs):
            # Neighbours share layers, and each layer has a manifest.
            layers = [parts[(number + step) % len(parts)] for step in range(min(_LAYERS, len(parts)))]
            content = manifest([(Digest.of(config), len(config)), *layers], f"{self.name}-{number}")
            tag = Tag(f"v{number}") if number % _UNTAGGED else None
            yield Revision(self.name, tag, Digest.of(content), content)

    def objects(self) -> Iterator[Stored]:
        for content in (*self.layers, *self.configs):
            yield from self.linked(content, stays=True)
        yield from self.unneeded()
        for revision in self.revisions():
            link = revision.digest.encode()
            yield Stored(CURRENT.key(BlobData(revision.digest)), revision.content)
            yield Stored(CURRENT.key(RevisionLink(self.name, revision.digest)), link)
            if revision.tag is not None:
                yield Stored(CURRENT.key(TagIndex(self.name, revision.tag, revision.digest)), link)
                yield Stored(CURRENT.key(TagCurrent(self.name, revision.tag)), link)

    def unneeded(self) -> Iterator[Stored]:
        """Yield the garbage: that of deleted manifests, and content that was never linked."""
        for number, (config, *layers) in enumerate(self.gone()):
            for content in (config, *layers):
                yield from self.linked(content, stays=False)
            parts = [(Digest.of(content), len(content)) for content in (config, *layers)]
            gone = manifest(parts, f"{self.name}-gone-{number}")
            for content in (gone, bytes(reversed(config))):
                yield Stored(CURRENT.key(BlobData(Digest.of(content))), content, stays=False)

    def gone(self) -> Iterator[Sequence[bytes]]:
        """Yield the config and the layers of each deleted manifest."""
        chance = random.Random(f"{self.seed} gone")
        for _ in range(self.manifests // 2):
            yield [chance.randbytes(200) for _ in range(3)]

    def linked(self, content: bytes, *, stays: bool) -> Iterator[Stored]:
        digest = Digest.of(content)
        yield Stored(CURRENT.key(BlobData(digest)), content, stays)
        yield Stored(CURRENT.key(LayerLink(self.name, digest)), digest.encode(), stays)
