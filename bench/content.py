"""The content that a store gets before a measurement: repositories as registries have them, by their keys."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from revstore_async import CURRENT, Digest
from revstore_async.concurrency import gather_map
from revstore_async.formats.descriptors import OCI_MANIFEST
from revstore_async.formats.names import RepositoryName, Tag
from revstore_async.layout import BlobData, LayerLink, RevisionLink, TagCurrent, TagIndex

from .stores import FileStore, S3Store, Store, registry_of

NAME = "bench/library"
SMALL = 100_000
"""Bytes of the layer that is pulled."""

_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"

Item = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Images:
    """A repository that was filled.

    Attributes:
        name: Its name.
        tags: How many tags it has, `t0` and on, each with a manifest of its own.
        digests: The digests of the first manifests.
        layer: The digest of a layer of 100 kB.
        parts: Digest and size of the config and the layers to which its manifests refer.
        seed: The seed of everything random in it.
    """

    name: str
    tags: int
    digests: tuple[str, ...]
    layer: str
    parts: tuple[tuple[str, int], ...]
    seed: int

    def manifest(self, mark: str) -> bytes:
        """Return an image manifest of this repository, a different one for each mark."""
        return manifest(self.parts, mark)

    def as_json(self) -> dict[str, Any]:
        """Return it for another process."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> "Images":
        """Read the value of `as_json`."""
        told["digests"] = tuple(told["digests"])
        told["parts"] = tuple((digest, size) for digest, size in told["parts"])
        return cls(**told)


def manifest(parts: Iterable[tuple[str, int]], mark: str) -> bytes:
    """Return an OCI image manifest as build tools write them, of about 2 kB with seven layers."""
    (config, config_size), *layers = parts
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": _CONFIG_TYPE, "digest": config, "size": config_size},
        "layers": [{"mediaType": _LAYER_TYPE, "digest": digest, "size": size} for digest, size in layers],
        "annotations": {
            "org.opencontainers.image.created": "2026-10-01T09:30:00Z",
            "org.opencontainers.image.revision": Digest.of(mark.encode()).partition(":")[2][:40],
            "org.opencontainers.image.source": "https://git.example.org/bench/library",
            "org.opencontainers.image.version": mark,
        },
    }
    return json.dumps(document, indent=2).encode()


async def fill(store: Store, tags: int, seed: int, *, name: str = NAME) -> Images:
    """Fill a repository: tags, each with a manifest of its own, and the layers of all."""
    chance = random.Random(seed)
    layer = chance.randbytes(SMALL)
    contents = [chance.randbytes(1500), layer, *(chance.randbytes(2000) for _ in range(6))]
    parts = tuple((Digest.of(content), len(content)) for content in contents)
    repository = RepositoryName(name)
    digests: list[str] = []

    def items() -> Iterator[Item]:
        for content in contents:
            yield from _blob(repository, content)
        for number in range(tags):
            document = manifest(parts, f"{seed}-{number}")
            digest = Digest.of(document)
            if number < 1000:
                digests.append(digest)
            yield CURRENT.key(BlobData(digest)), document
            yield CURRENT.key(RevisionLink(repository, digest)), digest.encode()
            yield from _tag(repository, f"t{number}", digest)

    await write(store, items())
    return Images(name, tags, tuple(digests), Digest.of(layer), parts, seed)


async def fill_tags(store: Store, name: str, tags: int, seed: int) -> None:
    """Fill a repository with tags that share one manifest, to be listed."""
    document = manifest([(Digest.of(b"{}"), 2)], f"{seed}")
    digest, repository = Digest.of(document), RepositoryName(name)

    def items() -> Iterator[Item]:
        yield CURRENT.key(BlobData(digest)), document
        yield CURRENT.key(RevisionLink(repository, digest)), digest.encode()
        for number in range(tags):
            yield from _tag(repository, f"v{number:06}", digest)

    await write(store, items())


def _blob(repository: RepositoryName, content: bytes) -> Iterator[Item]:
    digest = Digest.of(content)
    yield CURRENT.key(BlobData(digest)), content
    yield CURRENT.key(LayerLink(repository, digest)), digest.encode()


def _tag(repository: RepositoryName, tag: str, digest: Digest) -> Iterator[Item]:
    yield CURRENT.key(TagCurrent(repository, Tag(tag))), digest.encode()
    yield CURRENT.key(TagIndex(repository, Tag(tag), digest)), digest.encode()


async def write(store: Store, items: Iterator[Item]) -> None:
    """Write many small objects as fast as the machine can; no measurement counts this."""
    async with registry_of(store) as registry:
        put = _quick(store) or registry.driver.put

        async def put_item(item: Item) -> None:
            await put(*item)

        while batch := list(islice(items, 2000)):
            await gather_map(put_item, batch, limit=32)
            await asyncio.sleep(0)


def _quick(store: Store) -> Callable[[str, bytes], Awaitable[object]] | None:
    """Return a faster way to write objects than the driver's; None if there is none."""
    match store:
        case FileStore(folder):
            return partial(_put_file, folder)
        case S3Store():
            return _obstore(store)
        case _:
            return None


async def _put_file(folder: Path, key: str, content: bytes) -> None:
    """Write a file; unlike the driver, without a wait for the disk."""
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _obstore(store: S3Store) -> Callable[[str, bytes], Awaitable[object]] | None:
    """Return a way to write objects by `obstore`, if it is installed."""
    try:
        from .floor import obstore_of  # noqa: PLC0415 (it may not be installed)

        client, module = obstore_of(store)
    except ImportError:
        return None

    async def put(key: str, content: bytes) -> None:
        await module.put_async(client, f"{store.prefix}/{key}", content)

    return put
