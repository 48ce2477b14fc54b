"""Walks over the root in the order of keys. These functions block, so they run in threads.

A folder counts in that order with a `/` at its end: `a-b` comes before `a/x`, though `a` comes before `a-b`. A page
reads the folders on the way to its first entry, and the folders of its entries. It asks the system only about its
own files.
"""

import os
from collections.abc import Iterator
from contextlib import suppress

from revstore_async.driver import FileInfo, Folder, Page

from .root import MARK, Root, info_of, is_part, is_short_enough


def list_children(root: Root, prefix: str, start_after: str | None, limit: int) -> Page[FileInfo | Folder]:
    """Return one page of the objects and folders directly below a prefix."""
    begin = _begin(root, prefix)
    found: list[FileInfo | Folder] = []
    for position in _positions(root, begin):
        if start_after is not None and position <= start_after:
            continue
        if len(found) == limit:
            last = found[-1]
            return Page(tuple(found), last.key + "/" if isinstance(last, Folder) else last.key)
        if not position.endswith("/"):
            found += _known(root, position)
        elif next(keys_below(root, position, None), None) is not None:
            found.append(Folder(position[:-1]))
    return Page(tuple(found), None)


def list_below(root: Root, prefix: str, start_after: str | None, limit: int) -> Page[FileInfo]:
    """Return one page of the objects below a prefix, at any depth."""
    found: list[FileInfo] = []
    for key in keys_below(root, _begin(root, prefix), start_after):
        if len(found) == limit:
            return Page(tuple(found), found[-1].key)
        found += _known(root, key)
    return Page(tuple(found), None)


def unfinished_files(root: Root) -> Iterator[tuple[str, str] | None]:
    """Yield the prefix and path of every unfinished file, and None after each folder of the walk."""
    for path, folders, names in os.walk(root.path):
        folders[:] = [name for name in folders if is_part(name)]
        prefix = path[len(root.path) + 1 :]
        for name in names:
            if name.startswith(MARK):
                yield prefix, f"{path}/{name}"
        yield None


def _begin(root: Root, prefix: str) -> str:
    if not prefix:
        return ""
    root.check_way(prefix + "/")
    return prefix + "/"


def _positions(root: Root, begin: str) -> list[str]:
    """Return the positions of a folder's entries in order; the position of a folder ends with `/`."""
    try:
        with os.scandir(root.path_of(begin)) as entries:
            positions = {
                begin + entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "")
                for entry in entries
                if is_part(entry.name)
                and (entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False))
            }
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(position for position in positions if is_short_enough(position.rstrip("/")))


def keys_below(root: Root, begin: str, start_after: str | None) -> Iterator[str]:
    """Yield in order the keys below a folder that come after a text."""
    for position in _positions(root, begin):
        if not position.endswith("/"):
            if start_after is None or position > start_after:
                yield position
        elif start_after is None or position > start_after:
            yield from keys_below(root, position, None)
        elif start_after.startswith(position):
            yield from keys_below(root, position, start_after)


def _known(root: Root, key: str) -> Iterator[FileInfo]:
    with suppress(FileNotFoundError, NotADirectoryError):  # deleted since the folder was read
        yield info_of(key, os.lstat(root.path_of(key)))
