"""The stores of the benchmark: MinIO by default, any S3 endpoint, a folder, memory."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from os import environ
from pathlib import Path
from secrets import token_hex
from shutil import rmtree
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import aioboto3

from revstore_async import Registry

from .servers.minio import running as minio_running

FLOOR = "bench-floor"
"""Where raw clients write."""


class Unfit(ValueError):
    """A scenario cannot run on this store."""


class Store(Protocol):
    """A place for one run."""

    @property
    def kind(self) -> str:
        """The kind of the store, in a word."""

    @property
    def distant(self) -> tuple[str, int] | None:
        """Host and port of its server, for a link before it; None if the store can't have a link."""

    @property
    def shared(self) -> bool:
        """Whether several processes see the same content."""

    def url(self, endpoint: str | None = None) -> str:
        """Return the store's URL for the engine, through another endpoint than its own if one is given."""

    def distribution(self, endpoint: str | None = None) -> Mapping[str, Any]:
        """Return Distribution's configuration for the same store."""

    def environment(self) -> Mapping[str, str]:
        """Return the environment variables that a process needs to use it."""

    def credentials(self) -> Mapping[str, str]:
        """Return the options that the engine's driver needs besides the URL."""


@dataclass(frozen=True, slots=True)
class S3Store:
    """A prefix of a bucket on an S3 server."""

    endpoint: str
    bucket: str
    prefix: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    kind: str = "s3"
    shared: bool = True

    @property
    def distant(self) -> tuple[str, int] | None:
        """Host and port; None for HTTPS, since a proxy would break its names."""
        parts = urlsplit(self.endpoint)
        if parts.scheme != "http" or parts.hostname is None:
            return None
        return parts.hostname, parts.port or 80

    def url(self, endpoint: str | None = None) -> str:
        """Return `s3://...`."""
        return (
            f"s3://{self.bucket}/{self.prefix}?endpoint_url={endpoint or self.endpoint}&region={self.region}"
        )

    def distribution(self, endpoint: str | None = None) -> Mapping[str, Any]:
        """Return its `s3` driver's options."""
        return {
            "s3": {
                "region": self.region,
                "regionendpoint": endpoint or self.endpoint,
                "forcepathstyle": True,
                "secure": self.endpoint.startswith("https"),
                "accesskey": self.access_key,
                "secretkey": self.secret_key,
                "bucket": self.bucket,
                "rootdirectory": f"/{self.prefix}",
            }
        }

    def environment(self) -> Mapping[str, str]:
        """Return the credentials."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def credentials(self) -> Mapping[str, str]:
        """Return the credentials as the S3 driver's options."""
        return {"access_key_id": self.access_key, "secret_access_key": self.secret_key}

    def boto(self, endpoint: str | None = None) -> Mapping[str, Any]:
        """Return the arguments of an SDK's client."""
        return {
            "endpoint_url": endpoint or self.endpoint,
            "region_name": self.region,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
        }


@dataclass(frozen=True, slots=True)
class FileStore:
    """A folder."""

    folder: Path
    kind: str = "file"
    distant: tuple[str, int] | None = None
    shared: bool = True

    def url(self, endpoint: str | None = None) -> str:  # noqa: ARG002 (it has no endpoint)
        """Return `file://...`."""
        return self.folder.as_uri()

    def distribution(self, endpoint: str | None = None) -> Mapping[str, Any]:  # noqa: ARG002 (as above)
        """Return its `filesystem` driver's options."""
        return {"filesystem": {"rootdirectory": str(self.folder)}}

    def environment(self) -> Mapping[str, str]:
        """Return nothing."""
        return {}

    def credentials(self) -> Mapping[str, str]:
        """Return nothing."""
        return {}


@dataclass(frozen=True, slots=True)
class MemoryStore:
    """The memory of a process, which no other process sees: for scenarios of the engine alone."""

    kind: str = "memory"
    distant: tuple[str, int] | None = None
    shared: bool = False

    def url(self, endpoint: str | None = None) -> str:  # noqa: ARG002 (it has no endpoint)
        """Return `memory:`."""
        return "memory:"

    def distribution(self, endpoint: str | None = None) -> Mapping[str, Any]:  # noqa: ARG002 (as above)
        """Refuse."""
        raise Unfit("two processes share no memory")

    def environment(self) -> Mapping[str, str]:
        """Return nothing."""
        return {}

    def credentials(self) -> Mapping[str, str]:
        """Return nothing."""
        return {}


@asynccontextmanager
async def opened(url: str, folder: Path) -> AsyncIterator[Store]:
    """Make a store ready for one run; remove the run's content at its end.

    Args:
        url: `minio` for a MinIO of our own; else `s3://bucket/prefix?endpoint_url=...` with the credentials in
            AWS's environment variables, `file:///folder` or `memory:`.
        folder: The folder in which our own MinIO keeps its files.
    """
    scheme = url.partition(":")[0]
    if scheme == "memory":
        yield MemoryStore()
    elif scheme == "file":
        store = FileStore(Path(urlsplit(url).path) / f"bench-{token_hex(4)}")
        yield store
        await asyncio.to_thread(rmtree, store.folder, ignore_errors=True)  # it may never have been made
    elif scheme == "minio":
        async with on_minio(folder) as store_of_ours:
            yield store_of_ours
    elif scheme == "s3":
        found = _named(url)
        yield found
        await _empty(found)
    else:
        raise Unfit(f"no store of this kind: {url}")


@asynccontextmanager
async def on_minio(folder: Path) -> AsyncIterator[S3Store]:
    """Run a MinIO of our own with its files in a folder, which may have them already."""
    with minio_running(folder) as server:
        store = S3Store(server.endpoint, "bench", "root", server.user, server.password, kind="minio")
        client: Any
        async with aioboto3.Session().client("s3", **store.boto()) as client:
            with suppress(client.exceptions.BucketAlreadyOwnedByYou):
                await client.create_bucket(Bucket=store.bucket)
        yield store


def _named(url: str) -> S3Store:
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    prefix = f"{parts.path.strip('/')}/bench-{token_hex(4)}".strip("/")
    store = S3Store(
        query.get("endpoint_url") or f"https://s3.{query.get('region', 'us-east-1')}.amazonaws.com",
        parts.netloc,
        prefix,
        environ["AWS_ACCESS_KEY_ID"],
        environ["AWS_SECRET_ACCESS_KEY"],
    )
    return replace(store, region=query.get("region", store.region))


def registry_of(store: Store, endpoint: str | None = None, *, cache_size: int = 0) -> Registry:
    """Return the engine on a store, not opened yet.

    Args:
        store: The store.
        endpoint: An endpoint of the store other than its own.
        cache_size: Bytes of content that it keeps in memory; 0 by default, so that scenarios measure requests.
    """
    credentials: dict[str, Any] = dict(store.credentials())
    return Registry.open(store.url(endpoint), cache_size=cache_size, **credentials)


async def _empty(store: Store) -> None:
    async with registry_of(store) as registry:
        for written in ("docker", FLOOR):
            await registry.driver.delete_prefix(written)
