"""The floor: single requests and streams of raw clients, on the same store."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import aioboto3
from botocore.config import Config

from .stores import S3Store

_PIECE = 1 << 20

See = Callable[[bytes], Awaitable[None]]


class Raw(Protocol):
    """A raw client. Keys are the engine's, without the store's prefix."""

    async def get(self, key: str, see: See | None = None) -> int:
        """Read an object to its end, and show each piece to `see`; return its number of bytes."""

    async def head(self, key: str) -> None:
        """Ask for an object's size."""

    async def put(self, key: str, content: bytes) -> None:
        """Write a small object in one request."""

    async def upload(self, key: str, pieces: AsyncIterator[bytes]) -> None:
        """Write a large object by parts, several at once."""


class Aioboto3:
    """aioboto3's client, as its documentation has it, with a pool that is large enough."""

    def __init__(self, store: S3Store, client: Any) -> None:  # noqa: ANN401 (made at run time by botocore)
        self._store = store
        self._client = client

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self._store.bucket, "Key": f"{self._store.prefix}/{key}"}

    async def get(self, key: str, see: See | None = None) -> int:
        """Read an object to its end, and show each piece to `see`; return its number of bytes."""
        answer = await self._client.get_object(**self._named(key))
        size = 0
        async with answer["Body"] as body:
            while piece := await body.content.read(_PIECE):
                size += len(piece)
                if see is not None:
                    await see(piece)
        return size

    async def head(self, key: str) -> None:
        """Ask for an object's size."""
        await self._client.head_object(**self._named(key))

    async def put(self, key: str, content: bytes) -> None:
        """Write a small object in one request."""
        await self._client.put_object(**self._named(key), Body=content)

    async def upload(self, key: str, pieces: AsyncIterator[bytes]) -> None:
        """Write a large object by `upload_fileobj`."""
        await self._client.upload_fileobj(_File(pieces), self._store.bucket, self._named(key)["Key"])


class _File:
    """An asynchronous iterable as the file that `upload_fileobj` wants."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    async def read(self, size: int) -> bytes:
        parts, held = [self._rest], len(self._rest)
        while held < size:
            piece = await anext(self._pieces, b"")
            if not piece:
                break
            parts.append(piece)
            held += len(piece)
        whole = b"".join(parts)
        self._rest = whole[size:]
        return whole[:size]


class Obstore:
    """obstore's client (Rust's object_store)."""

    def __init__(self, store: S3Store, client: Any, module: Any) -> None:  # noqa: ANN401 (it may not be installed)
        self._prefix = store.prefix
        self._client = client
        self._module = module

    async def get(self, key: str, see: See | None = None) -> int:
        """Read an object to its end, piece by piece, each of which is seen; return its bytes."""
        answer = await self._module.get_async(self._client, f"{self._prefix}/{key}")
        size = 0
        async for piece in answer.stream(min_chunk_size=_PIECE):
            size += len(piece)
            if see is not None:
                await see(piece)
        return size

    async def head(self, key: str) -> None:
        """Ask for an object's size."""
        await self._module.head_async(self._client, f"{self._prefix}/{key}")

    async def put(self, key: str, content: bytes) -> None:
        """Write a small object in one request."""
        await self._module.put_async(self._client, f"{self._prefix}/{key}", content, use_multipart=False)

    async def upload(self, key: str, pieces: AsyncIterator[bytes]) -> None:
        """Write a large object by its multipart upload."""
        await self._module.put_async(
            self._client, f"{self._prefix}/{key}", pieces, use_multipart=True, chunk_size=8 << 20
        )


def obstore_of(store: S3Store, endpoint: str | None = None) -> tuple[Any, Any]:
    """Return obstore's client of a store, and the module; raise `ImportError` if it is not installed."""
    module = import_module("obstore")
    client = import_module("obstore.store").S3Store(
        store.bucket,
        endpoint=endpoint or store.endpoint,
        region=store.region,
        access_key_id=store.access_key,
        secret_access_key=store.secret_key,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    return client, module


@asynccontextmanager
async def aioboto3_client(store: S3Store, endpoint: str | None = None) -> AsyncIterator[Raw]:
    """Open aioboto3's client."""
    config = Config(
        max_pool_connections=64,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"},
    )
    client: Any
    async with aioboto3.Session().client("s3", config=config, **store.boto(endpoint)) as client:
        yield Aioboto3(store, client)


@asynccontextmanager
async def obstore_client(store: S3Store, endpoint: str | None = None) -> AsyncIterator[Raw]:
    """Open obstore's client."""
    yield Obstore(store, *obstore_of(store, endpoint))


def installed() -> dict[str, Callable[[S3Store, str | None], AbstractAsyncContextManager[Raw]]]:
    """Return the functions that open the installed raw clients, by name."""
    if find_spec("obstore") is None:
        return {"aioboto3": aioboto3_client}
    return {"aioboto3": aioboto3_client, "obstore": obstore_client}
