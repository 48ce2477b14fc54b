"""The root folder of the store: names, paths, locks and the state of files. It blocks, so it runs in threads."""

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
from revstore_async.errors import AccessDenied, DeletionExpired, InvalidKey, KeyNotFound

from ..arguments import check_condition

MARK = ","
"""The first character of each file name of the driver that is no part of a key: no key has a comma."""

_PART = re.compile(r"[A-Za-z0-9._-]+")
_TRIES = 100  # times that other processes may replace a folder while this one locks it
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})


def is_part(name: str) -> bool:
    """Whether a name can be a part of a key."""
    return _PART.fullmatch(name) is not None


def info_of(key: str, status: os.stat_result) -> FileInfo:
    """Return the info of a key from the status of its file."""
    modified = _EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
    # The inode's number alone does not tell versions apart, since file systems soon use a number again. Nor do the
    # kernel's own times, which stand still for milliseconds. Therefore `Unfinished.publish` sets the time.
    etag = f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"
    return FileInfo(key, status.st_size, modified, etag)


def machine_time() -> datetime:
    """Return the time of this machine's clock, by which the driver sets the times of files."""
    return datetime.now(UTC)


def sync_folder(path: str) -> None:
    """Make the entries of a folder durable."""
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

    It follows no symbolic link below the root: a link is neither an object nor a folder.
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
            AccessDenied: A folder is a symbolic link.
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
            InvalidKey: A folder of the key is an object.
            AccessDenied: A folder of the key is a symbolic link.
            FileNotFoundError: Another process removed an empty folder at this moment; the caller tries again.
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
        """Return the status of the file of a key; None if there is no file.

        Raises:
            AccessDenied: A folder of the key, or its file, is a symbolic link.
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
            KeyNotFound: There is no file.
            AccessDenied: A folder of the key, or its file, is a symbolic link.
        """
        self.check_way(key)
        try:
            # Without O_NONBLOCK, a named pipe in the folder would hold the thread for ever.
            file = os.open(self.path_of(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise KeyNotFound(key, machine_time()) from error
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            os.close(file)
            raise KeyNotFound(key, machine_time())
        return file, info_of(key, status)

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Keep every other process and thread from changing the objects in the folder of a key.

        The lock is on the folder itself. That needs no file, which a full disk would refuse, and keys of different
        folders never wait for each other. This method does not wait, since a process that stands still may hold
        the lock.

        Raises:
            KeyLocked: Another process or thread holds the lock.
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
                # Another process may have replaced the folder before this one locked it. From here on the folder
                # stays: a writer has its temporary file in it, and only the holder of the lock removes a key's
                # file.
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

    def remove(self, key: str, condition: IfMatch | None = None, until: datetime | None = None) -> bool:
        """Remove the file of a key; return whether there was one. The caller syncs and prunes the folder.

        The end is compared with the clock right before the file is removed, under the lock of its folder.

        Raises:
            ConditionFailed: The file is another version, or is missing.
            DeletionExpired: The end of the deletion is over.
            KeyLocked: Another process or thread holds the lock of the folder.
        """
        if self.find(key) is not None:
            with suppress(FileNotFoundError), self.locked(key):  # its folder may go with the last file in it
                status = self.find(key)
                check_condition(key, condition, info_of(key, status).etag if status else None)
                if status is None:
                    return False
                if until is not None and machine_time() > until:
                    raise DeletionExpired(key, until)
                os.unlink(self.path_of(key))
                return True
        check_condition(key, condition, None)
        if until is not None and machine_time() > until:
            raise DeletionExpired(key, until)
        return False

    def prune(self, folder: str) -> str:
        """Remove the folder of a prefix if it is empty, then each folder above that is empty, but never the root.

        Return the prefix of the first folder that stays; empty for the root. A writer may be about to use a folder
        that is empty. The system removes no folder that holds a file, and the writer creates it again.
        """
        while folder:
            try:
                os.rmdir(self.path_of(folder))
            except FileNotFoundError:
                pass
            except OSError:
                return folder
            folder = folder.rpartition("/")[0]
        return folder

    def prune_below(self, folder: str) -> None:
        """Remove the empty folders at and below a prefix, the deepest first, then those above it."""
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
