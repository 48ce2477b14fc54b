"""The lists of a run: sorted hashes of keys.

A key is hashed from behind the root of the store, so that two views of one bucket agree.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

HASH_SIZE: Final = 32
"""Bytes of one hash."""

SHARD_KEYS: Final = 100_000
"""The most hashes of one shard."""

RUN_KEYS: Final = 1_000_000
"""The most keys that one run condemns. The next run goes on."""


def key_hash(root: str, key: str) -> bytes:
    """Return the hash of a key of a store with this root.

    Raises:
        ValueError: The key is not below the root.
    """
    if not key.startswith(f"{root}/"):
        raise ValueError(key)
    return hashlib.sha256(key[len(root) + 1 :].encode()).digest()


def join_hashes(hashes: Iterable[bytes]) -> bytes:
    """Return hashes as a list has them: sorted, each once."""
    return b"".join(sorted({*hashes}))


class HashList:
    """A list of hashes in memory, of 32 bytes each.

    Args:
        content: The list, as it is stored.

    Raises:
        ValueError: The content is no such list.
    """

    def __init__(self, content: bytes = b"") -> None:
        if len(content) % HASH_SIZE:
            raise ValueError(f"{len(content)} bytes are no list of hashes of {HASH_SIZE} bytes")
        self._content = content

    def __len__(self) -> int:
        return len(self._content) // HASH_SIZE

    def __contains__(self, hashed: object) -> bool:
        if not isinstance(hashed, bytes):
            return False
        place = bisect_left(range(len(self)), hashed, key=self._at)
        return place < len(self) and self._at(place) == hashed

    def _at(self, place: int) -> bytes:
        return self._content[place * HASH_SIZE : (place + 1) * HASH_SIZE]
