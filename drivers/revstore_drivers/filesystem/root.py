"""The folder that is the store: names, paths, locks, and what is known of a file. It blocks: for threads."""

# ruff: noqa: PTH102, PTH106, PTH108 (texts as paths: a Path for each would cost more than the call)

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from revstore_async.driver import KEY_LIMIT, FileInfo, IfMatch
from revstore_async.errors import AccessDenied, InvalidKey, KeyNotFound

from ..arguments import check_condition

MARK = ","
"""The first character of every name here that is no part of a key: it is outside the grammar of keys."""

_PART = re.compile(r"[A-Za-z0-9._-]+")
_TRIES = 100  # how often a folder may be made anew while its lock is taken
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})


def is_part(name: str) -> bool:
    """Whether a name can be a part of a key."""
    return _PART.fullmatch(name) is not None


def info_of(key: str, status: os.stat_result) -> FileInfo:
    """Return what is known of a file as what the store knows of an object."""
    modified = _EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
    # The inode's number alone is used again soon, and a kernel's own times stand still for milliseconds: see
    # `Unfinished.publish`, which sets the time.
    etag = f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"
    return FileInfo(key, status.st_size, modified, etag)


def sync_folder(path: str) -> None:
    """Make a folder's entries durable."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(folder)


class KeyLocked(Exception):
    """Another process or thread holds the lock of a key's folder. It never leaves the driver.

    Attributes:
        key: The key.
        folder: The folder's path.
    """

    def __init__(self, key: str, folder: str) -> None:
        super().__init__(key)
        self.key = key
        self.folder = folder


class Root:
    """The root folder.

    Symbolic links below it are never followed: they are no objects and no folders.
    """

    def __init__(self, path: Path) -> None:
        self.path: str = str(path.resolve())
        if os.path.lexists(self.path) and not Path(self.path).is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "the root is not a folder", self.path)

    def path_of(self, key: str) -> str:
        """Return the path of a key, or of a prefix."""
        return f"{self.path}/{key}" if key else self.path

    def folder_of(self, key: str) -> str:
        """Return the path of the folder that holds a key."""
        return self.path_of(key.rpartition("/")[0])

    def check_way(self, key: str) -> None:
        """Check that no folder on the way to a key is a symbolic link.

        Raises:
            AccessDenied: One is.
        """
        at = self.path
        for part in key.split("/")[:-1]:
            at = f"{at}/{part}"
            try:
                status = os.lstat(at)
            except (FileNotFoundError, NotADirectoryError):
                return
            self._check_no_link(key, status)

    def make_way(self, key: str) -> None:
        """Create the folders that a key needs, durably.

        Raises:
            InvalidKey: An object stands where a folder is needed.
            AccessDenied: A symbolic link stands there.
            FileNotFoundError: Another process removes an empty folder at this moment; to be tried again.
        """
        at = self.path
        if not Path(at).is_dir():
            Path(at).mkdir(parents=True, exist_ok=True)
            sync_folder(str(Path(at).parent))
        for part in key.split("/")[:-1]:
            above, at = at, f"{at}/{part}"
            try:
                status = os.lstat(at)
            except FileNotFoundError:
                try:
                    os.mkdir(at)
                    sync_folder(above)
                except FileExistsError:
                    pass
                except OSError:  # a full disk: nothing stays of the folders that were made
                    self.prune(at.removeprefix(self.path + "/"))
                    raise
                status = os.lstat(at)
            self._check_no_link(key, status)
            if not stat.S_ISDIR(status.st_mode):
                parent = at.removeprefix(self.path + "/")
                raise InvalidKey(key, f"the object {parent!r} stands where a folder is needed")

    def find(self, key: str) -> os.stat_result | None:
        """Return what is known of the file of a key; None if there is no file.

        Raises:
            AccessDenied: A symbolic link is on the way or at the end of it.
        """
        self.check_way(key)
        try:
            status = os.lstat(self.path_of(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        self._check_no_link(key, status)
        return status if stat.S_ISREG(status.st_mode) else None

    def open(self, key: str) -> tuple[int, FileInfo]:
        """Open the file of a key to read it.

        Raises:
            KeyNotFound: There is none.
            AccessDenied: A symbolic link is on the way or at the end of it.
        """
        self.check_way(key)
        try:
            # Without O_NONBLOCK, a pipe that somebody put there would hold the thread for ever.
            file = os.open(self.path_of(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise KeyNotFound(key) from error
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            os.close(file)
            raise KeyNotFound(key)
        return file, info_of(key, status)

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Keep every other process and thread from changing the objects in the folder of a key.

        The folder itself is locked: that needs no file, which a full disk would refuse, and keys of different
        folders never wait for each other. It waits for nothing, since a process that stands still may hold it.

        Raises:
            KeyLocked: Another holds it.
            FileNotFoundError: There is no such folder.
        """
        lock = self._lock(key)
        try:
            yield
        finally:
            os.close(lock)

    def _lock(self, key: str) -> int:
        path = self.folder_of(key)
        for _ in range(_TRIES):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # It may have been removed, and made anew, before it was locked. From here on it stays: a writer has
                # its temporary file in it, and only the holder of its lock removes the file of a key.
                if os.path.samestat(os.fstat(lock), os.lstat(path)):
                    return lock
            except BlockingIOError:
                os.close(lock)
                raise KeyLocked(key, path) from None
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)
        raise KeyLocked(key, path)

    def remove(self, key: str, condition: IfMatch | None = None) -> bool:
        """Remove the file of a key; say whether there was one. Its folder is neither synced nor pruned.

        Raises:
            ConditionFailed: It is another version, or there is none.
            KeyLocked: Another holds the lock of its folder.
        """
        if self.find(key) is not None:
            with suppress(FileNotFoundError), self.locked(key):  # its folder may go with the last file in it
                status = self.find(key)
                check_condition(key, condition, info_of(key, status).etag if status else None)
                if status is None:
                    return False
                os.unlink(self.path_of(key))
                return True
        check_condition(key, condition, None)
        return False

    def prune(self, folder: str) -> None:
        """Remove a folder, given by its prefix, and those above it that are empty then; but never the root.

        Against a writer that is about to need one of them only the order helps: the system removes none that
        holds a file, and the writer makes anew what is gone.
        """
        while folder:
            try:
                os.rmdir(self.path_of(folder))
            except FileNotFoundError:
                pass
            except OSError:
                return
            folder = folder.rpartition("/")[0]

    def prune_below(self, folder: str) -> None:
        """Remove the empty folders below and at a prefix, deepest first, and those above it."""
        top = self.path_of(folder)
        for path, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                os.rmdir(path)
        self.prune(folder.rpartition("/")[0])

    def _check_no_link(self, key: str, status: os.stat_result) -> None:
        if stat.S_ISLNK(status.st_mode):
            raise AccessDenied(key, "a symbolic link is in the way, and none is followed")


def is_short_enough(path: str) -> bool:
    """Whether a path below the root is short enough for a key."""
    return len(path) <= KEY_LIMIT
