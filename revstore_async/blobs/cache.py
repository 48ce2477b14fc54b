"""A bounded cache of content in memory, by digest; it drops the least recently used entries first.

The cache gives no access and proves no presence: each read asks for the repository's link, and each write that
relies on content asks for its presence. If the store damages or loses an object, the cache still returns its
content: the right bytes of the digest. Switch the cache off to examine a store.
"""

from dataclasses import dataclass
from operator import itemgetter
from typing import Final, TypeVar, cast

from cachetools import LRUCache

from ..errors import InvalidArgument

CACHE_SIZE: Final = 64 << 20
"""Bytes that a registry keeps in memory by default."""

ENTRY_LIMIT: Final = 1 << 20
"""The largest content that the cache keeps, in bytes; real manifests are smaller, most layers are larger."""

FACTS_SIZE: Final = 8 << 20
"""Bytes for facts about content, enough for some 16,000 manifests; facts outlive the content in the cache."""

SOUNDNESS_SIZE: Final = 4 << 20
"""Bytes for the known sizes of content and the damage found, enough for some 8,000 blobs."""

TAG_HINTS_SIZE: Final = 8 << 20
"""Bytes for the digests that tags pointed at, enough for some 17,000 tags."""

_OVERHEAD: Final = 400  # bytes of an entry beside its content: digest, key, node and the object's own head

Value = TypeVar("Value")


class Cache:
    """Values of several types; a type and a name (a digest or another text) find one value.

    Args:
        size: Bytes to keep at most; 0 keeps nothing.

    Raises:
        InvalidArgument: The size is negative.
    """

    def __init__(self, size: int) -> None:
        if size < 0:
            raise InvalidArgument("size", size, "it is negative; 0 keeps nothing")
        self._entries: LRUCache[tuple[type, str], tuple[object, int]] = LRUCache(
            size, getsizeof=itemgetter(1)
        )

    @property
    def used(self) -> int:
        """Bytes of the kept values, with an estimate of their overhead."""
        return int(self._entries.currsize)

    def find(self, kind: type[Value], name: str) -> Value | None:
        """Return the value of this type under this name, or None."""
        entry = self._entries.get((kind, name))
        return None if entry is None else cast("Value", entry[0])

    def keep(self, name: str, value: object, size: int = 0) -> None:
        """Keep a small value that its name determines; the cache drops the least recently used entries for it.

        Args:
            name: The value's verified digest, or a text that names the tag or blob which the value is about.
            value: The value; `find` returns it by its type.
            size: The value's size in bytes.
        """
        taken = size + _OVERHEAD
        if size <= ENTRY_LIMIT and taken <= self._entries.maxsize:
            self._entries[type(value), name] = value, taken

    def forget(self, kind: type[object], name: str) -> None:
        """Forget the value of this type under this name, if there is one."""
        self._entries.pop((kind, name), None)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()


@dataclass(frozen=True, slots=True)
class Caches:
    """The caches of one registry.

    Attributes:
        content: Content, and values computed from it.
        facts: Small facts about content that never change.
        tag_hints: The digest that each tag pointed at when it was last read. A hint is never an answer: it tells
            which content to request together with the tag.
        soundness: The knowledge of `revstore_async.blobs.soundness` about content. It only ever leads
            to a new upload of content.
    """

    content: Cache
    facts: Cache
    tag_hints: Cache
    soundness: Cache

    @classmethod
    def of(cls, size: int) -> "Caches":
        """Return empty caches; `size` is the size of the content cache in bytes."""
        return cls(
            Cache(size), Cache(FACTS_SIZE), Cache(TAG_HINTS_SIZE if size else 0), Cache(SOUNDNESS_SIZE)
        )

    def clear(self) -> None:
        """Forget everything."""
        self.content.clear()
        self.facts.clear()
        self.tag_hints.clear()
        self.soundness.clear()
