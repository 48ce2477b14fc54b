"""The survey of a store: its keys and their references, in a temporary database on the disk.

The memory that a run takes is therefore bounded, however large the store is.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from datetime import UTC, date, datetime
from enum import IntEnum
from operator import attrgetter
from threading import Lock
from types import TracebackType
from typing import Final, Self

from ..driver import FileInfo
from ..errors import ForeignKey
from ..formats.digest import Digest
from ..formats.names import RepositoryName
from ..layout import (
    BlobData,
    LayerLink,
    Layout,
    ReferrerLink,
    RevisionLink,
    RevisionMediaType,
    SignatureLink,
    StoredObject,
    TagClaim,
    TagCreated,
    TagCurrent,
    TagDeleted,
    TagIndex,
    TagReplaced,
)
from ..tags.current import is_delete_marker, md5_of_link
from .pack_format import version_of_link
from .references import References


class Kind(IntEnum):
    """The kinds of keys that a run may delete, in the order in which it deletes them."""

    TAG = 1
    INDEX = 2
    RECORD = 3
    REVISION = 4
    BESIDE = 5
    REFERRER = 6
    LAYER = 7
    BLOB = 8


_SCHEMA: Final = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -32000;
-- digest: what the key gives access to, or the blob itself; owner: the revision that it lies beside.
CREATE TABLE object (
    kind INTEGER NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL, modified INTEGER NOT NULL, etag TEXT NOT NULL,
    repository TEXT, digest TEXT, owner TEXT, tag TEXT, number INTEGER
);
CREATE TABLE reference (
    parent TEXT NOT NULL, child TEXT NOT NULL, is_subject INTEGER NOT NULL, PRIMARY KEY (parent, child)
) WITHOUT ROWID;
CREATE TABLE unreadable (digest TEXT PRIMARY KEY) WITHOUT ROWID;
-- Manifests that are still to be read. size: of the content, if it was listed.
CREATE TABLE unread (digest TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID;
-- Manifests and versions of links that were read. pack: the number of the pack that has it; target: of a link.
CREATE TABLE fact (
    pack INTEGER NOT NULL, name TEXT NOT NULL, size INTEGER, target TEXT, PRIMARY KEY (pack, name)
) WITHOUT ROWID;
-- reference: a tag or digest that was pulled; * for all of the repository.
CREATE TABLE pull (
    repository TEXT NOT NULL, reference TEXT NOT NULL, modified INTEGER NOT NULL,
    PRIMARY KEY (repository, reference)
) WITHOUT ROWID;
"""
_INDEXES: Final = """
CREATE INDEX of_repository ON object (repository, kind, digest);
CREATE INDEX of_kind ON object (kind, digest);
CREATE INDEX of_tag ON object (repository, tag, kind) WHERE tag IS NOT NULL;
CREATE INDEX of_child ON reference (child) WHERE is_subject;
"""


def _fields(kind: type[StoredObject]) -> Sequence[Callable[[StoredObject], object] | None]:
    """Return the functions that get the values of the last columns of a kind's rows; None for NULL."""
    there = {field.name for field in dataclass_fields(kind)}

    def first(*names: str) -> Callable[[StoredObject], object] | None:
        return next((attrgetter(name) for name in names if name in there), None)

    return (
        first("name"),
        first("digest", "blob"),
        first("revision", "subject"),
        first("tag"),
        first("sequence"),
    )


_KINDS: Final[Mapping[type[StoredObject], tuple[int, Sequence[Callable[[StoredObject], object] | None]]]] = {
    kind: (number.value, _fields(kind))
    for kind, number in {
        BlobData: Kind.BLOB,
        RevisionLink: Kind.REVISION,
        RevisionMediaType: Kind.BESIDE,
        SignatureLink: Kind.BESIDE,
        ReferrerLink: Kind.REFERRER,
        TagCurrent: Kind.TAG,
        TagIndex: Kind.INDEX,
        TagCreated: Kind.RECORD,
        TagReplaced: Kind.RECORD,
        TagDeleted: Kind.RECORD,
        TagClaim: Kind.RECORD,
        LayerLink: Kind.LAYER,
    }.items()
}
"""The keys that a run may delete; keys of uploads, and marks of changes under way, it passes over."""


_KIND_NUMBERS: Final = {kind.name.lower(): kind.value for kind in Kind}
_UNREAD: Final = """
INSERT OR IGNORE INTO unread
SELECT o.digest, b.size FROM object o LEFT JOIN object b ON b.kind = :blob AND b.digest = o.digest
WHERE o.kind = :revision OR (o.kind = :record AND o.key LIKE '%/deleted' AND b.digest IS NOT NULL)
"""

_INDEXED: Final = """
SELECT t.rowid, t.etag, i.digest FROM object t JOIN object i ON i.repository = t.repository AND i.tag = t.tag
WHERE t.kind = :tag AND t.digest IS NULL AND length(t.etag) = 32 AND i.kind = :index
"""
NEW: Final = 0
"""The number of no pack: facts that no pack has yet."""

_ROWS: Final = 1000
"""Rows of the database that are in memory at once."""


@dataclass(frozen=True, slots=True)
class TagRow:
    """A tag with a link that is still to be read.

    Attributes:
        row: Its row in the database.
        key: The key of its current link.
        etag: The version of the link; of a link that was read, the version that was read.
    """

    row: int
    key: str
    etag: str


class Survey:
    """The keys of a store, and the references of its manifests.

    Args:
        layouts: The layouts whose keys the store may hold; all have one root.

    Attributes:
        pull_days: The days on which a process kept pull times, of those that were looked at.
    """

    def __init__(self, layouts: Sequence[Layout]) -> None:
        self.layouts = layouts
        self.pull_days: set[date] = set()
        # An empty name is a database of its own in a temporary file, which SQLite removes with the connection.
        self.db: sqlite3.Connection = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self.db.executescript(_SCHEMA)
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.db.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make a transaction of a block. The threads of a survey have one transaction at a time."""
        with self._lock:
            self.db.execute("BEGIN")
            try:
                yield
            except BaseException:
                self.db.execute("ROLLBACK")
                raise
            self.db.execute("COMMIT")

    def add(self, page: Iterable[FileInfo]) -> None:
        """Take in one page of a listing.

        Raises:
            ForeignKey: No layout explains a key.
        """
        rows = [row for info in page if (row := self._row(info)) is not None]
        with self.together():
            self.db.executemany("INSERT INTO object VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def _row(self, info: FileInfo) -> tuple[object, ...] | None:
        stored = self._parsed(info.key)
        found = _KINDS.get(type(stored))
        if found is None:
            return None
        kind, fields = found
        time = microseconds(info.modified)
        return (kind, info.key, info.size, time, info.etag, *[field and field(stored) for field in fields])

    def _parsed(self, key: str) -> StoredObject:
        for layout in self.layouts:
            if (found := layout.parse(key)) is not None:
                return found
        raise ForeignKey(key)

    def listed(self) -> None:
        """Note that all keys are there, so that the questions below are answered quickly."""
        self.db.executescript(_INDEXES)
        with self.together():
            self.db.execute(_UNREAD, _KIND_NUMBERS)

    def latest(self) -> datetime:
        """Return the latest time of any key: the store's clock is that far at least."""
        return moment(self.db.execute("SELECT coalesce(max(modified), 0) FROM object").fetchone()[0])

    # ---- what has to be read of the store

    def find_digests_of_tags(self) -> None:
        """Find the revisions of tags in the listing, where the store's ETag is the MD5 of an object's content."""
        found = self.db.execute(_INDEXED, _KIND_NUMBERS)
        with self.together():
            while rows := found.fetchmany(_ROWS):
                known = [(digest, tag) for tag, etag, digest in rows if md5_of_link(digest) == etag]
                self.db.executemany("UPDATE object SET digest = ? WHERE rowid = ?", known)

    def unread_tags(self) -> Iterator[Sequence[TagRow]]:
        """Yield the tags with links that are still to be read, some of them at once."""
        after = 0
        while rows := self.db.execute(
            "SELECT rowid, key, etag FROM object WHERE kind = ? AND digest IS NULL AND rowid > ?"
            " ORDER BY rowid LIMIT ?",
            (Kind.TAG, after, _ROWS),
        ).fetchall():
            yield [TagRow(*row) for row in rows]
            after = rows[-1][0]

    def count_unread(self) -> int:
        """Return the number of manifests that are still to be read."""
        found: int = self.db.execute("SELECT count(*) FROM unread").fetchone()[0]
        return found

    def unread_manifests(self) -> Iterator[Sequence[Digest]]:
        """Yield the digests of manifests that are still to be read, some of them at once.

        Besides those that are linked, these are manifests of deleted tags: a killed run may have deleted the link
        of an index and not yet those of its children.
        """
        after = ""
        query = "SELECT digest FROM unread WHERE digest > ? ORDER BY digest LIMIT ?"
        while rows := self.db.execute(query, (after, _ROWS)).fetchall():
            yield [Digest(digest) for (digest,) in rows]
            after = rows[-1][0]

    def read_tags(self, found: Sequence[tuple[TagRow, Digest | None]]) -> None:
        """Note the digests in the links of tags. A digest is None if the link is damaged or gone.

        A delete marker is no tag. It counts as a link of the tag's index, of a revision that is nowhere, and goes
        when it is old.
        """
        rows = [
            (digest, Kind.INDEX if digest and is_delete_marker(digest) else Kind.TAG, tag.row)
            for tag, digest in found
        ]
        facts = [
            (NEW, version_of_link(tag.key, tag.etag), digest)
            for tag, digest in found
            if digest and not is_delete_marker(digest)
        ]
        with self.together():
            self.db.executemany("UPDATE object SET digest = ?, kind = ? WHERE rowid = ?", rows)
            self.db.executemany("INSERT OR IGNORE INTO fact VALUES (?, ?, NULL, ?)", facts)

    def read_manifest(self, digest: Digest, references: References | None) -> None:
        """Note the references of a manifest. They are None if it can't be read."""
        self.read_manifests([(digest, references)])

    def read_manifests(self, found: Iterable[tuple[Digest, References | None]]) -> None:
        """Note the references of manifests, as `read_manifest` does."""
        with self.together():
            for digest, references in found:
                if references is None:
                    self.db.execute("INSERT OR IGNORE INTO unreadable VALUES (?)", (digest,))
                else:
                    self.add_references(digest, references, pack=NEW)

    def add_references(self, digest: Digest, references: References, *, pack: int) -> None:
        """Add the references of a manifest, inside of a transaction.

        Args:
            digest: The manifest.
            references: Its references.
            pack: The number of the pack that has them.
        """
        rows = [(digest, digest, 0)]
        rows += [(digest, child, child == references.subject) for child in references.digests]
        self.db.executemany("INSERT OR IGNORE INTO reference VALUES (?, ?, ?)", rows)
        if digest.tarsum is None:  # another content may have the same tarsum
            values = (pack, digest, references.size)
            self.db.execute("INSERT OR IGNORE INTO fact VALUES (?, ?, ?, NULL)", values)

    def add_pulls(self, pulls: Iterable[tuple[RepositoryName, str, datetime]]) -> None:
        """Note the tags and digests of repositories that were pulled, each with the time; `*` is all of one."""
        with self.together():
            self.db.executemany(_ADD_PULL, [(name, each, microseconds(time)) for name, each, time in pulls])


_ADD_PULL: Final = """
INSERT INTO pull VALUES (?, ?, ?)
ON CONFLICT (repository, reference) DO UPDATE SET modified = max(modified, excluded.modified)
"""


def microseconds(time: datetime) -> int:
    """Return a time as the database keeps it: microseconds since 1970."""
    return round(time.timestamp() * 1_000_000)


def moment(number: int) -> datetime:
    """Return the time that the database keeps as a number."""
    return datetime.fromtimestamp(number / 1_000_000, UTC)
