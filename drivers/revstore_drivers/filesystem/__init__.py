"""The driver of files: the store is one folder, and a key is the path of a file in it.

Docker Distribution reads and writes the same folder.

The modules `root` (names, paths, locks), `unfinished` (files that are being written) and `listing` (walks) block,
so they run in threads. `threads` takes calls from the event loop to threads and back. `driver` and `streams` hold
the classes that the engine calls.

The driver relies on a local POSIX file system with atomic renames, `flock`, and times of a nanosecond.
"""

from .driver import FilesystemDriver

__all__ = ["FilesystemDriver"]
