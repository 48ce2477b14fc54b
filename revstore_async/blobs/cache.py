"""Keeps content that never changes in memory: by digest, bounded, the least recently used dropped first.

The cache gives no access and proves no presence: each read asks for the repository's link, and each write that
relies on content asks for its presence. A damaged or lost object whose content is kept goes on being served, as
the right bytes of its digest. Switch the cache off to examine a store.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from ..errors import InvalidArgument

CACHE_SIZE: Final = 64 << 20
"""Bytes that a registry keeps in memory, where no other number is given."""

ENTRY_LIMIT: Final = 1 << 20
"""Bytes of one content at most; real manifests are smaller, most layers are larger."""

FACTS_SIZE: Final = 8 << 20
"""Bytes of facts about content, which outlive the content in the cache: some 16,000 manifests."""

SOUNDNESS_SIZE: Final = 4 << 20
"""Bytes of what content must be, and what was found damaged: some 8,000 blobs."""

GUESSES_SIZE: Final = 8 << 20
"""Bytes of the digests that tags pointed at: some 17,000 tags."""

_OVERHEAD: Final = 400  # bytes of an entry beside its content: digest, key, node and the object's own head

Value = TypeVar("Value")


class Cache:
    """Values by digest, or by another text, of several types side by side.

    Args:
        size: Bytes to keep at most; 0 keeps nothing.

    Raises:
        InvalidArgument: The size is negative.
    """

    def __init__(self, size: int) -> None:
        if size < 0:
            raise InvalidArgument("size", size, "it is negative; 0 keeps nothing")
        self._size = size
        self._used = 0
        self._entries: OrderedDict[tuple[type, str], tuple[object, int]] = OrderedDict()

    @property
    def used(self) -> int:
        """Bytes of the kept values, with an estimate of their overhead."""
        return self._used

    def find(self, kind: type[Value], name: str) -> Value | None:
        """Return the value of a type that is kept under a name, or None."""
        place = (kind, name)
        entry = self._entries.get(place)
        if entry is None:
            return None
        self._entries.move_to_end(place)
        return cast("Value", entry[0])

    def keep(self, name: str, value: object, size: int = 0) -> None:
        """Keep a small value that its name determines; the least recently used entries give way.

        Args:
            name: Its digest, verified; of a guess, what it is about.
            value: What is found by its type again.
            size: The bytes that it takes.
        """
        taken = size + _OVERHEAD
        if size > ENTRY_LIMIT or taken > self._size:
            return
        place = (type(value), name)
        _, before = self._entries.pop(place, (None, 0))
        self._entries[place] = (value, taken)
        self._used += taken - before
        while self._used > self._size:
            _, (_, given) = self._entries.popitem(last=False)
            self._used -= given

    def forget(self, kind: type[object], name: str) -> None:
        """Forget what of that type is kept under a name, if anything is."""
        _, taken = self._entries.pop((kind, name), (None, 0))
        self._used -= taken

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._used = 0


@dataclass(frozen=True, slots=True)
class Caches:
    """The caches of one registry.

    Attributes:
        content: Content, and values computed from it.
        facts: Small facts about content that never change.
        guesses: The digests that tags pointed at when they were last asked for. A guess is never an answer: it
            tells which content to request together with the tag.
        soundness: The knowledge of `revstore_async.blobs.soundness` about content. It is only ever a reason to
            upload content anew.
    """

    content: Cache
    facts: Cache
    guesses: Cache
    soundness: Cache

    @classmethod
    def of(cls, size: int) -> "Caches":
        """Return empty ones, the first of that many bytes."""
        return cls(Cache(size), Cache(FACTS_SIZE), Cache(GUESSES_SIZE if size else 0), Cache(SOUNDNESS_SIZE))

    def clear(self) -> None:
        """Forget everything."""
        self.content.clear()
        self.facts.clear()
        self.guesses.clear()
        self.soundness.clear()
