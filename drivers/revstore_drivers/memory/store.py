"""The store of the memory driver."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from datetime import UTC, datetime

from revstore_async.driver import Condition, File, FileInfo, Folder, IfMatch
from revstore_async.errors import DeletionExpired, InvalidKey

from ..arguments import check_condition

_LAST = "\U0010ffff"  # it comes after every character of a key, and so after all keys of a folder


class MemoryStore:
    """The stored objects. Several drivers may be opened on one store, as several processes on one folder.

    Attributes:
        objects: The objects by key.
        unfinished: The keys of the writers at work, once for each writer; a test sees here that no writer is left.
    """

    def __init__(self) -> None:
        self.objects: dict[str, File] = {}
        self.unfinished: list[str] = []
        self._order: list[str] = []
        self._made = 0

    def set(self, key: str, content: bytes, condition: Condition | None, now: datetime) -> FileInfo:
        """Store an object if the condition holds. It is one step, since this method awaits nothing.

        Raises:
            ConditionFailed: The condition does not hold.
            InvalidKey: A folder has this key, or an object has the key of one of its folders.
        """
        self._check(key, condition)
        self._check_nesting(key)
        info = FileInfo(key, len(content), now.astimezone(UTC), self._number())
        if key not in self.objects:
            insort(self._order, key)
        self.objects[key] = File(info, content)
        return info

    def time_of_answer(self, key: str, now: datetime) -> datetime:  # noqa: ARG002 (a store may have other clocks)
        """Return the store's time of an answer about a key, by the clock of its writes.

        Args:
            key: The key.
            now: The time of the driver's clock.
        """
        return now.astimezone(UTC)

    def check_not_ended(self, key: str, until: datetime | None, now: datetime) -> None:
        """Check that the end of a deletion is not over.

        Raises:
            DeletionExpired: It is.
        """
        if until is not None and now > until:
            raise DeletionExpired(key, until)

    def remove(self, key: str, condition: IfMatch | None = None) -> None:
        """Remove an object, if it is there."""
        self._check(key, condition)
        if self.objects.pop(key, None) is not None:
            del self._order[bisect_left(self._order, key)]

    def below(self, begin: str, start_after: str | None) -> Iterator[str]:
        """Yield in order the keys that begin with one text and come after another."""
        order, at = self._order, bisect_left(self._order, begin)
        if start_after is not None:
            at = max(at, bisect_right(order, start_after))
        while at < len(order) and order[at].startswith(begin):
            yield order[at]
            at += 1

    def children(self, begin: str, start_after: str | None) -> Iterator[FileInfo | Folder]:
        """Yield in order the objects and folders right behind a text that their keys begin with."""
        after = start_after
        while key := next(self.below(begin, after), None):
            name, slash, _ = key.removeprefix(begin).partition("/")
            if not slash:
                yield self.objects[key].info
                after = key
                continue
            position = begin + name + slash
            if start_after is None or position > start_after:
                yield Folder(begin + name)
            after = position + _LAST

    def _check_nesting(self, key: str) -> None:
        # S3 takes both keys, and a file system can't. An engine that needs both should fail in its first test.
        if next(self.below(key + "/", None), None) is not None:
            raise InvalidKey(key, "it is a folder of other keys")
        parts = key.split("/")
        for count in range(1, len(parts)):
            if (parent := "/".join(parts[:count])) in self.objects:
                raise InvalidKey(key, f"the object {parent!r} stands where a folder is needed")

    def _check(self, key: str, condition: Condition | None) -> None:
        check_condition(key, condition, self.objects[key].info.etag if key in self.objects else None)

    def _number(self) -> str:
        self._made += 1
        return str(self._made)
