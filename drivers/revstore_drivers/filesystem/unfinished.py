"""Files that are being written, under a name that is no key. The functions block, so they run in threads.

The steps of a write, and the reason of each:

1. The writer creates a temporary file in the key's folder: a rename is atomic inside of one file system.
2. It locks the file (`flock`), so that no other process purges it.
3. It writes all bytes and compares the size.
4. It syncs the file: otherwise the rename may survive a power failure, and the bytes not.
5. It locks the key's folder, judges the condition, sets the file's time, and renames the file.
6. It syncs the folder: otherwise the rename may not survive a power failure.
"""

# ruff: noqa: PTH104, PTH108 (as in `root`)

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress

from revstore_async.driver import Condition, FileInfo
from revstore_async.errors import ConditionFailed, InvalidKey, Unavailable

from ..arguments import check_condition
from .listing import keys_below
from .root import MARK, KeyLocked, Root, info_of, sync_folder

_TRIES = 100  # times that other processes may remove the folder before the writer gives up
_READ_AT_ONCE = 1 << 20
_A_FOLDER = frozenset({errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST})


class Unfinished:
    """A file that is being written.

    Attributes:
        name: The file's name without the mark; empty before the file is created.
        published: Whether the file was renamed to the key.
        removed: Whether the file was removed.
    """

    def __init__(self, root: Root, key: str) -> None:
        self.name: str = ""
        self.published: bool = False
        self.removed: bool = False
        self._root = root
        self._key = key
        self._folder = root.folder_of(key)
        self._file = -1
        self._way = False  # whether the key's folder exists, and no link is on the way
        self._durable = False  # whether all bytes are written and synced

    def create(self) -> None:
        """Create the file, and its folder."""
        for _ in range(_TRIES):
            try:
                self._root.make_way(self._key)
                self._way = True
                if self._created():
                    return
            except (FileNotFoundError, NotADirectoryError):  # another process removed an empty folder
                continue
        raise Unavailable(self._key, "its folder is removed again and again")

    def _created(self) -> bool:
        name = secrets.token_hex(8)
        self._file = os.open(self._path(name), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        self.name = name
        # A purge may have removed the file before it was locked; then the name is gone.
        if self._try_lock() and os.fstat(self._file).st_nlink:
            return True
        self.close()
        return False

    def write(self, offset: int, *pieces: bytes | bytearray | memoryview) -> None:
        """Write pieces one after another, from an offset on."""
        if not self.name:
            self.create()
        for piece in pieces:
            rest = memoryview(piece).cast("B")
            while rest:
                count = os.pwrite(self._file, rest, offset)
                offset += count
                rest = rest[count:]

    def copy(self, source: int, offset: int, count: int, to: int) -> int:
        """Copy bytes of another file to an offset, by the system itself where it can; return their number."""
        if not self.name:
            self.create()
        if hasattr(os, "copy_file_range"):
            try:
                return os.copy_file_range(source, self._file, count, offset, to)
            except OSError as error:
                if error.errno not in {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}:
                    raise
        piece = os.pread(source, min(count, 1 << 20), offset)
        self.write(to, piece)
        return len(piece)

    def read(self, offset: int, size: int) -> Iterator[bytes]:
        """Read back the written bytes from an offset on."""
        end = offset + size
        while offset < end:
            piece = os.pread(self._file, min(end - offset, _READ_AT_ONCE), offset)
            if not piece:
                raise Unavailable(self._key, "the temporary file is shorter than what was written")
            yield piece
            offset += len(piece)

    def publish(self, size: int, condition: Condition | None) -> FileInfo:
        """Make the file the object of the key; return its info.

        Raises:
            ConditionFailed: The condition does not hold; the file is removed.
            InvalidKey: The key is a folder of other keys.
            KeyLocked: Another process or thread holds the lock of the key's folder. Nothing has changed, and the
                caller calls again.
        """
        if not self._durable:
            self._make_durable(size)
        try:
            with self._root.locked(self._key):
                info = self._replace(condition)
        except ConditionFailed:
            self.remove()
            raise
        with suppress(FileNotFoundError):  # another call deleted the key already, and its folder with it
            sync_folder(self._folder)
        self.close()
        return info

    def _make_durable(self, size: int) -> None:
        if not self.name:
            self.create()
        if (actual := os.fstat(self._file).st_size) != size:
            raise Unavailable(self._key, f"the temporary file has {actual} bytes instead of {size}")
        os.fsync(self._file)
        self._durable = True

    def _replace(self, condition: Condition | None) -> FileInfo:
        there = self._root.find(self._key)
        check_condition(self._key, condition, info_of(self._key, there).etag if there else None)
        # The time is later than the replaced version's, whatever the clock says. With the inode's number it makes
        # an etag that no other version has.
        now = time.time_ns()
        now = max(now, there.st_mtime_ns + 1) if there else now
        os.utime(self._file, ns=(now, now))
        target = self._root.path_of(self._key)
        try:
            os.rename(self._path(self.name), target)
        except OSError as error:
            if error.errno not in _A_FOLDER:
                raise
            self._make_room()
            os.rename(self._path(self.name), target)
        self.published = True
        return info_of(self._key, os.fstat(self._file))

    def _make_room(self) -> None:
        # Killed processes leave empty folders, which count as absent.
        if next(keys_below(self._root, self._key + "/", None), None) is None:
            self._root.prune_below(self._key)
        if os.path.lexists(self._root.path_of(self._key)):
            raise InvalidKey(self._key, "it is a folder of other keys, or of unfinished writes")

    def remove(self) -> None:
        """Remove the file and its empty folders, unless it was published. Failures leave files for the purge."""
        if self.name and not self.published:
            with suppress(OSError):
                os.unlink(self._path(self.name))
        if self._way and not self.published:
            self._root.prune(self._key.rpartition("/")[0])
        self.removed = True
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            with suppress(OSError):
                os.close(self._file)
            self._file = -1

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _path(self, name: str) -> str:
        return f"{self._folder}/{MARK}{name}"


class Put:
    """The put of content under a key: a step that the driver takes again when the key's folder was locked."""

    def __init__(self, root: Root, key: str, content: bytes, condition: Condition | None) -> None:
        self._root = root
        self._key = key
        self._content = content
        self._condition = condition
        self._unfinished = Unfinished(root, key)
        self.waits: bool = False
        """Whether the content is in a file that waits for the lock."""

    def take(self) -> FileInfo:
        """Store the content; return the info of the stored object.

        Raises:
            KeyLocked: Another process or thread holds the lock; the caller calls this again, or `remove`.
        """
        try:
            if not self.waits:
                self._write()
            info = self._unfinished.publish(len(self._content), self._condition)
        except KeyLocked:
            self.waits = True
            raise
        except BaseException:
            self.remove()
            raise
        self.waits = False
        return info

    def _write(self) -> None:
        condition, key = self._condition, self._key
        if condition is not None:  # a condition that fails now needs no file; `publish` checks it again
            there = self._root.find(key)
            check_condition(key, condition, info_of(key, there).etag if there else None)
        self._unfinished.write(0, self._content)

    def remove(self) -> None:
        """Remove the file that waits, if there is one."""
        self.waits = False
        self._unfinished.remove()
