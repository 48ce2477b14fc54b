"""Positions in the order of keys: from any text to where a server is to begin.

S3 lists keys after `StartAfter` and only then gathers folders, so after `a/` the folder `a/` comes again, for
the keys in it are after `a/`; and a server may choke on a text that could be no key (MinIO on `..`). The driver
therefore turns the text into the key-like position that parts all possible keys at the same point.
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
    """Return a text of a key's characters, `~` and `,`: the keys after it are those after the given one."""
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
    """Return the position after which the server is to begin; empty for the beginning.

    Args:
        begin: What every key that is asked for begins with.
        start_after: As the contract says.
        folders: Whether folders are gathered.

    Returns:
        None if nothing that is asked for comes after it.
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
    """A part of what comes after a position: what is in one folder.

    Attributes:
        begin: What the keys in it begin with.
        start: The position after which they come.
        between: A key that comes before that position and yet is asked for; empty for none.
    """

    begin: str
    start: str
    between: str


def levels(begin: str, position: str, *, folders: bool) -> Iterator[Level]:
    """Yield the parts after a position folder by folder, from the innermost on.

    After `a/b/c` come the keys after it in `a/b/`, then those in `a/` after all of `a/b/...`, then those after
    all of `a/...`. The latter is said as "after `a0`", with `a0` itself besides: so no name that begins with
    `a` and comes before `a/...` is in the server's way.
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
