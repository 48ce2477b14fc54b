"""Positions in the order of keys: from any text to the text that a server begins a listing after.

S3 gathers folders only from the keys after `StartAfter`. After `a/` it gives the folder `a/` again, since the keys
in that folder come after `a/`. And a server may fail on a text that can be no key: MinIO does on `..`. The driver
therefore turns any text into a key-like text at the same position among all possible keys.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from revstore_async.driver import KEY_LIMIT, FileInfo, Folder

_LAST: Final = "~"  # after every character of a key
_FIRST: Final = ","  # before every one
_AFTER_SLASH: Final = "0"  # the character that follows `/`: all of `a/...` is before `a0`
_ALPHABET: Final = "-./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_LEGAL = re.compile(r"[A-Za-z0-9._/-]*")
_BAD = re.compile(r"(?:^|/)(?:/|\.{1,2}/)")  # an empty part, `.` or `..`, and the `/` that shows it


def position_after(text: str) -> str:
    """Return a text of a key's characters, `~` and `,` that has the same keys after it as the given text."""
    text = text[: KEY_LIMIT + 1]  # no key is longer, so what follows parts none
    found = _LEGAL.match(text)
    legal = found.end() if found else 0
    bad = _BAD.search(text, 0, legal)
    if bad:
        legal = bad.end() - 1
    begin = text[:legal]
    if legal == len(text):
        # `..` at the end is no key, but what it begins (`..x`) may be.
        return begin + _FIRST if begin.rpartition("/")[2] in {".", ".."} else begin
    before = [letter for letter in _ALPHABET if letter < text[legal]]
    return begin + before[-1] + _LAST if before else begin + _FIRST


def start_of(begin: str, start_after: str | None, *, folders: bool) -> str | None:
    """Return the text after which the server begins; empty for the beginning.

    Args:
        begin: The beginning of every listed key.
        start_after: As in `Driver.list`.
        folders: Whether the server gathers folders.

    Returns:
        None if no listed key comes after it.
    """
    if start_after is None or start_after <= begin:
        return ""
    if not start_after.startswith(begin):
        return "" if start_after < begin else None
    position = position_after(start_after)
    name, slash, _ = position[len(begin) :].partition("/")
    if folders and slash:
        return begin + name + slash + _LAST  # a position in a folder is after the folder's own
    return position


@dataclass(frozen=True, slots=True)
class Level:
    """The part of a listing that lies in one folder.

    Attributes:
        begin: The beginning of the folder's keys.
        start: The text after which the server begins.
        between: A key before that text that belongs to the listing too; empty if there is no such key.
    """

    begin: str
    start: str
    between: str


def levels(begin: str, position: str, *, folders: bool) -> Iterator[Level]:
    """Yield the parts of a listing after a position, folder by folder, from the innermost folder on.

    After `a/b/c` come the later keys of `a/b/`, then the keys of `a/` after all of `a/b/...`, then the keys after
    all of `a/...`. The driver asks for the last part as "after `a0`", and for `a0` by itself. So the server meets
    no name that begins with `a` and comes before `a/...`.
    """
    parts = position[len(begin) :].split("/")[:-1]
    for depth in range(len(parts), -1, -1):
        within = "".join(f"{part}/" for part in parts[:depth])
        if depth == len(parts):
            if not folders:
                yield Level(begin + within, position, "")
            continue
        beyond = begin + within + parts[depth] + _AFTER_SLASH
        yield Level(begin + within, beyond, beyond)


def position_of(entry: FileInfo | Folder) -> str:
    """Return where an entry stands in the order."""
    return entry.key + "/" if isinstance(entry, Folder) else entry.key
