"""The file-system driver: one folder, a key's path is the key. Docker Distribution reads and writes it too.

`root` holds the tree of the threads' work: names and paths, `unfinished` the files on their way in, `listing`
the walks; they block and run in threads. `threads` is the way there and back, `driver` and `streams` what the
engine holds in its hands.

It relies on a local POSIX file system with atomic renames, `flock`, and times of a nanosecond.
"""

from .driver import FilesystemDriver

__all__ = ["FilesystemDriver"]
