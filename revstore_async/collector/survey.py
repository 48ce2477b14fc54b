"""The survey of a store: its keys and their references, in a temporary database on the disk.

The memory that a run takes is therefore bounded, however large the store is.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from types import TracebackType
from typing import Final, Self

from ..driver import FileInfo
from ..errors import ForeignKey
from ..formats.digest import Digest
from ..formats.names import Tag
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
"""
_INDEXES: Final = """
CREATE INDEX of_repository ON object (repository, kind, digest);
CREATE INDEX of_kind ON object (kind, digest);
CREATE INDEX of_child ON reference (child) WHERE is_subject;
"""

_KINDS: Final[Mapping[type[StoredObject], Kind]] = {
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
}
"""The keys that a run may delete; keys of uploads, and marks of changes under way, it passes over."""


_KIND_NUMBERS: Final = {kind.name.lower(): kind.value for kind in Kind}
_UNREAD: Final = """
SELECT digest FROM (
    SELECT digest FROM object WHERE kind = :revision
    UNION
    SELECT digest FROM object o WHERE kind = :record AND key LIKE '%/deleted'
    AND EXISTS (SELECT 1 FROM object b WHERE b.kind = :blob AND b.digest = o.digest)
)
WHERE digest NOT IN (SELECT parent FROM reference) AND digest NOT IN (SELECT digest FROM unreadable)
"""


@dataclass(frozen=True, slots=True)
class TagRow:
    """A tag, as a survey has it.

    Attributes:
        tag: Its name.
        key: The key of its current link.
        digest: The revision that it points at; None before the link was read.
        etag: The version of the link.
        modified: When it was set, by the store's clock.
    """

    tag: Tag
    key: str
    digest: Digest | None
    etag: str
    modified: datetime


class Survey:
    """The keys of a store, and the references of its manifests.

    Args:
        layouts: The layouts whose keys the store may hold; all have one root.
    """

    def __init__(self, layouts: Sequence[Layout]) -> None:
        self._layouts = layouts
        # An empty name is a database of its own in a temporary file, which SQLite removes with the connection.
        self.db: sqlite3.Connection = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self.db.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.db.close()

    @contextmanager
    def _together(self) -> Iterator[None]:
        self.db.execute("BEGIN")
        yield
        self.db.execute("COMMIT")

    def add(self, page: Iterable[FileInfo]) -> None:
        """Take in one page of a listing.

        Raises:
            ForeignKey: No layout explains a key.
        """
        with self._together():
            for info in page:
                stored = self._parsed(info.key)
                kind = _KINDS.get(type(stored))
                if kind is not None:
                    self._insert(info, kind, stored)

    def _parsed(self, key: str) -> StoredObject:
        for layout in self._layouts:
            if (found := layout.parse(key)) is not None:
                return found
        raise ForeignKey(key)

    def _insert(self, info: FileInfo, kind: Kind, stored: StoredObject) -> None:
        def named(*fields: str) -> object:
            return next((getattr(stored, field) for field in fields if hasattr(stored, field)), None)

        self.db.execute(
            "INSERT INTO object VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                kind,
                info.key,
                info.size,
                microseconds(info.modified),
                info.etag,
                named("name"),
                named("digest", "blob"),
                named("revision", "subject"),
                named("tag"),
                named("sequence"),
            ),
        )

    def listed(self) -> None:
        """Note that all keys are there, so that the questions below are answered quickly."""
        self.db.executescript(_INDEXES)

    def latest(self) -> datetime:
        """Return the latest time of any key: the store's clock is that far at least."""
        return moment(self.db.execute("SELECT coalesce(max(modified), 0) FROM object").fetchone()[0])

    # ---- what has to be read of the store

    def unread_tags(self) -> Iterator[TagRow]:
        """Yield the tags with links that are still to be read."""
        rows = self.db.execute(
            "SELECT tag, key, digest, etag, modified FROM object WHERE kind = ? AND digest IS NULL",
            (Kind.TAG,),
        )
        for tag, key, digest, etag, modified in rows.fetchall():
            yield TagRow(Tag(tag), key, digest, etag, moment(modified))

    def unread_manifests(self) -> Iterator[Digest]:
        """Yield the digests of manifests that are still to be read.

        Besides those that are linked, these are manifests of deleted tags: a killed run may have deleted the link
        of an index and not yet those of its children.
        """
        for (digest,) in self.db.execute(_UNREAD, _KIND_NUMBERS).fetchall():
            yield Digest(digest)

    def read_tag(self, key: str, digest: Digest | None) -> None:
        """Note the revision of a tag. It is None if the link is damaged or gone."""
        self.db.execute("UPDATE object SET digest = ? WHERE kind = ? AND key = ?", (digest, Kind.TAG, key))

    def read_manifest(self, digest: Digest, references: References | None) -> None:
        """Note the references of a manifest. They are None if it can't be read."""
        if references is None:
            self.db.execute("INSERT OR IGNORE INTO unreadable VALUES (?)", (digest,))
            return
        with self._together():
            self.db.execute("INSERT OR IGNORE INTO reference VALUES (?, ?, 0)", (digest, digest))
            self.db.executemany(
                "INSERT OR IGNORE INTO reference VALUES (?, ?, ?)",
                [(digest, child, child == references.subject) for child in references.digests],
            )


def microseconds(time: datetime) -> int:
    """Return a time as the database keeps it: microseconds since 1970."""
    return round(time.timestamp() * 1_000_000)


def moment(number: int) -> datetime:
    """Return the time that the database keeps as a number."""
    return datetime.fromtimestamp(number / 1_000_000, UTC)
