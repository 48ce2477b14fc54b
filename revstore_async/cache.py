"""What is kept in memory of content that never changes: by digest, bounded, the longest unused forgotten first.

Nothing here gives access, nor says that something is stored: a repository's link is asked for each time, and so is
the presence of what somebody relies on. A damaged or lost object whose content is kept goes on being served, as the
right bytes of its digest; who examines a store switches the cache off.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from .errors import InvalidArgument

CACHE_SIZE: Final = 64 << 20
"""Bytes that a registry keeps in memory, where no other number is given."""

ENTRY_LIMIT: Final = 1 << 20
"""Bytes of one content at most; above it are manifests that nobody writes, and layers."""

FACTS_SIZE: Final = 8 << 20
"""Bytes of what is known of content, which outlives the content: some 16,000 manifests."""

GUESSES_SIZE: Final = 8 << 20
"""Bytes of what tags pointed at: some 17,000 tags."""

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
        """Bytes that are kept, with an estimate of what holds them."""
        return self._used

    def find(self, kind: type[Value], name: str) -> Value | None:
        """Return what of that type is kept under a name; None where nothing is."""
        place = (kind, name)
        entry = self._entries.get(place)
        if entry is None:
            return None
        self._entries.move_to_end(place)
        return cast("Value", entry[0])

    def keep(self, name: str, value: object, size: int = 0) -> None:
        """Keep a value that the name determines, if it is small; what was unused for longest gives way.

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

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._used = 0


@dataclass(frozen=True, slots=True)
class Caches:
    """What one registry keeps.

    Attributes:
        content: Content, and what was made of it.
        facts: What is known of content, small and the same for ever.
        guesses: What tags pointed at when they were last asked for. It is never an answer: it says what to ask
            for at the same time as the tag.
    """

    content: Cache
    facts: Cache
    guesses: Cache

    @classmethod
    def of(cls, size: int) -> "Caches":
        """Return empty ones, the first of that many bytes."""
        return cls(Cache(size), Cache(FACTS_SIZE), Cache(GUESSES_SIZE if size else 0))

    def clear(self) -> None:
        """Forget everything."""
        self.content.clear()
        self.facts.clear()
        self.guesses.clear()
