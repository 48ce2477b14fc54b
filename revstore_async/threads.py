"""Work that computes, kept off the event loop where it would hold it up."""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from anyio import to_thread

from .digest import Digest, new_hasher

R = TypeVar("R")

HASH_INLINE: Final = 1 << 17
"""Bytes up to which hashing here is cheaper than in a thread."""

READ_INLINE: Final = 1 << 12
"""Bytes of a document up to which it is read and written here: below a millisecond, one signature included."""


class Hasher(Protocol):
    """What computes a digest: hashlib's objects, and `ResumableDigest`."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take more bytes."""

    def hexdigest(self) -> str:
        """Return the digest of the bytes so far, as lower-case hexadecimal digits."""


async def in_thread_if_large(size: int, function: Callable[..., R], *args: object) -> R:
    """Call a function that reads or writes a document of this many bytes; in a thread when it is large."""
    if size <= READ_INLINE:
        return function(*args)
    return await to_thread.run_sync(function, *args)


async def update(hasher: Hasher, data: bytes | bytearray | memoryview) -> None:
    """Feed data to a hasher; in a thread when it is large."""
    if len(data) <= HASH_INLINE:
        hasher.update(data)
    else:
        await to_thread.run_sync(hasher.update, data)


async def digest_of(content: bytes | bytearray | memoryview, algorithm: str = "sha256") -> Digest:
    """Return the digest of content; computed in a thread when it is large.

    Raises:
        InvalidDigest: The algorithm is not one that the engine can compute.
    """
    hasher = new_hasher(algorithm)
    await update(hasher, content)
    return Digest(f"{algorithm}:{hasher.hexdigest()}")
