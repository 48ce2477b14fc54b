"""Finds the condemned keys that stay, by a second listing and by the rescues of writers. No requests.

The rules do not count any more: each key that stays needs all of its references.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ..driver import FileInfo
from ..formats.digest import Digest
from ..tags.current import is_delete_marker
from .survey import Kind, Survey, microseconds

_SCHEMA: Final = """
DROP TABLE IF EXISTS again;
DROP TABLE IF EXISTS needed;
DROP TABLE IF EXISTS kept;
-- The links of the second listing; changed: they are new, or were written since the first.
CREATE TABLE again (object INTEGER PRIMARY KEY, changed INTEGER NOT NULL);
-- What a repository needs. manifest: a revision, which is to be read; step: each row is followed once.
CREATE TABLE needed (
    repository TEXT NOT NULL, digest TEXT NOT NULL, manifest INTEGER NOT NULL, why TEXT NOT NULL,
    step INTEGER NOT NULL, PRIMARY KEY (repository, digest)
) WITHOUT ROWID;
CREATE INDEX needed_of_step ON needed (step);
-- Keys that stay with all that they refer to.
CREATE TABLE kept (object INTEGER PRIMARY KEY, why TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS of_key ON object (key);
CREATE INDEX IF NOT EXISTS of_owner ON object (repository, owner) WHERE owner IS NOT NULL;
"""

_NUMBERS: Final[Mapping[str, int]] = {kind.name.lower(): kind.value for kind in Kind}
_REVISION_OF: Final = "CASE o.kind WHEN :beside THEN coalesce(o.owner, o.digest) ELSE o.digest END"
"""The revision that a key of a revision belongs to."""

_NEED: Final = "INSERT INTO needed SELECT DISTINCT {columns} WHERE {where} {conflict}"
_CONFLICT: Final = (
    "ON CONFLICT (repository, digest) DO UPDATE SET manifest = 1, step = excluded.step"
    " WHERE excluded.manifest AND NOT needed.manifest"
)
_FOUND_AGAIN: Final = "FROM again a JOIN object o ON o.rowid = a.object"
_STAYS: Final = "(a.changed OR a.object NOT IN (SELECT object FROM condemned))"
_IS_LINKED: Final = (
    "EXISTS (SELECT 1 FROM object r JOIN again ra ON ra.object = r.rowid"
    " WHERE r.repository = o.repository AND r.kind = :revision AND r.digest = o.digest)"
)


def _need(columns: str, where: str) -> str:
    return _NEED.format(columns=columns, where=where, conflict=_CONFLICT)


_ROOTS: Final = (
    # whatever stays of the second listing; a link of a tag's index leads to content only by the tag
    _need(
        f"o.repository, o.digest, o.kind = :revision, 'a link of now needs it', :step {_FOUND_AGAIN}",
        f"o.digest IS NOT NULL AND o.kind IN (:tag, :revision, :beside, :referrer, :layer) AND {_STAYS}",
    ),
    # a client signed it
    _need(
        f"o.repository, coalesce(o.owner, o.digest), 1, 'it was written since', :step {_FOUND_AGAIN}",
        "a.changed AND o.kind = :beside",
    ),
    # a tag had it since
    _need(
        f"o.repository, o.digest, 1, 'a tag had it since', :step {_FOUND_AGAIN}",
        f"a.changed AND o.kind IN (:index, :record) AND o.digest IS NOT NULL AND {_IS_LINKED}",
    ),
)
_KEPT: Final = _need(
    f"o.repository, {_REVISION_OF}, o.kind IN (:revision, :beside, :referrer), k.why, :step"
    " FROM kept k JOIN object o ON o.rowid = k.object",
    f"o.kind IN (:tag, :revision, :beside, :referrer, :layer) AND {_REVISION_OF} IS NOT NULL",
)
_FOLLOW: Final = (
    _need(
        "n.repository, r.child, 0, n.why, :step + 1 FROM needed n JOIN reference r ON r.parent = n.digest",
        "n.step = :step",
    ),
    _need(
        "n.repository, r.parent, 0, n.why, :step + 1"
        " FROM needed n CROSS JOIN reference r INDEXED BY of_child ON r.child = n.digest AND r.is_subject"
        " CROSS JOIN object o ON o.repository = n.repository AND o.kind = :revision AND o.digest = r.parent",
        "n.step = :step",
    ),
    _need(
        "n.repository, o.digest, 0, n.why, :step + 1 FROM needed n"
        " JOIN object o ON o.repository = n.repository AND o.owner = n.digest AND o.kind = :beside",
        "n.step = :step",
    ),
    # whatever hangs on a manifest that can't be read
    _need(
        "o.repository, o.digest, 0, 'manifest ' || n.digest || ' can''t be read', :step + 1"
        " FROM needed n JOIN object o ON o.repository = n.repository AND o.kind IN (:revision, :layer)",
        "n.step = :step AND n.digest IN (SELECT digest FROM unreadable)",
    ),
)


def _spare(why: str, joined: str) -> str:
    return (
        f"INSERT OR IGNORE INTO spared SELECT c.hash, {why} FROM condemned c {joined} AND c.hash IS NOT NULL"  # noqa: S608
    )


_SPARED: Final = (
    _spare(
        "n.why",
        f"JOIN object o ON o.rowid = c.object JOIN needed n ON n.repository = o.repository"
        f" AND n.digest = {_REVISION_OF} WHERE o.kind IN (:revision, :beside, :referrer, :layer)",
    ),
    _spare(
        "'a link of now needs it'",
        "JOIN object o ON o.rowid = c.object WHERE o.kind = :blob AND o.digest IN (SELECT digest FROM needed)",
    ),
    _spare("'it was written since'", "JOIN again a ON a.object = c.object WHERE a.changed"),
    _spare("k.why", "JOIN kept k ON k.object = c.object WHERE true"),
    # by its index, a tag is found that is to go with its revision
    _spare(
        "'its tag stays'",
        "JOIN object o ON o.rowid = c.object"
        " JOIN object t ON t.repository = o.repository AND t.kind = :tag AND t.digest = o.digest AND t.tag = o.tag"
        " LEFT JOIN condemned tc ON tc.object = t.rowid"
        " WHERE o.kind = :index AND (tc.object IS NULL OR tc.hash IN (SELECT hash FROM spared))",
    ),
)


class Sparing:
    """The condemned keys of a survey that stay. Its methods may take seconds: coroutines call them in a thread.

    Args:
        survey: The survey of the plan, with its condemned keys.
    """

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._db = survey.db
        self._step = 0
        self._db.executescript(_SCHEMA)

    def add(self, page: Sequence[FileInfo]) -> None:
        """Take in one page of the second listing, of links and records.

        Raises:
            ForeignKey: No layout explains a key.
        """
        new: list[FileInfo] = []
        with self._survey.together():
            for info in page:
                row = self._db.execute(
                    "SELECT rowid, modified, etag FROM object WHERE key = ?", (info.key,)
                ).fetchone()
                if row is None:
                    new.append(info)
                else:
                    self._add_known(info, *row)
        last = self._db.execute("SELECT coalesce(max(rowid), 0) FROM object").fetchone()
        self._survey.add(new)
        self._db.execute("INSERT INTO again SELECT rowid, 1 FROM object WHERE rowid > ?", last)

    def _add_known(self, info: FileInfo, row: int, modified: int, etag: str) -> None:
        changed = (modified, etag) != (microseconds(info.modified), info.etag)
        self._db.execute("INSERT OR REPLACE INTO again VALUES (?, ?)", (row, changed))
        if not changed:
            return
        self._db.execute(
            "UPDATE object SET modified = ?, etag = ? WHERE rowid = ?",
            (microseconds(info.modified), info.etag, row),
        )
        self._read_again(row)

    def _read_again(self, row: int) -> None:
        """Note that a tag is still to be read. A delete marker in its place may have become a tag again."""
        query = "SELECT kind, digest FROM object WHERE rowid = ?"
        kind, digest = self._db.execute(query, (row,)).fetchone()
        if kind == Kind.TAG or is_delete_marker(digest or ""):
            query = "UPDATE object SET kind = ?, digest = NULL WHERE rowid = ?"
            self._db.execute(query, (Kind.TAG.value, row))

    def find_roots(self) -> None:
        """Note the needs of the links of the second listing. The changed tags among them were read again."""
        self._run(_ROOTS)

    def keep(self, objects: Iterable[int], why: str) -> None:
        """Keep some condemned keys, by their rows, with all that they refer to; tags are to be read again.

        A tag keeps its former revision, too.
        """
        rows = [(row, why) for row in objects]
        self._db.executemany("INSERT OR IGNORE INTO kept VALUES (?, ?)", rows)
        self._run([_KEPT])
        for row, _ in rows:
            # without its ETag: the listing would tell the revision of before
            self._db.execute("UPDATE object SET etag = '' WHERE rowid = ?", (row,))
            self._read_again(row)

    def rescue(self, hashes: Iterable[bytes]) -> int:
        """Keep the condemned keys of hashes that writers rescued, as `keep` does. Return the number of keys."""
        rows = [
            row
            for hashed in hashes
            for (row,) in self._db.execute("SELECT object FROM condemned WHERE hash = ?", (hashed,))
        ]
        self.keep(rows, "a writer rescued it")
        return len(rows)

    def unread_manifests(self) -> Sequence[Digest]:
        """Return the manifests that stay and are still to be read."""
        rows = self._db.execute(
            "SELECT DISTINCT digest FROM needed WHERE manifest AND digest NOT IN (SELECT parent FROM reference)"
            " AND digest NOT IN (SELECT digest FROM unreadable)"
        )
        return [Digest(digest) for (digest,) in rows]

    def close(self) -> None:
        """Follow all that is needed to its references, and note the condemned keys that stay."""
        self._run([_KEPT])  # the tags were read again
        while self._run(_FOLLOW):
            self._step += 1
        self._step += 1
        self._run(_SPARED)

    def spared(self) -> Sequence[bytes]:
        """Return the hashes of the condemned keys that stay."""
        return [hashed for (hashed,) in self._db.execute("SELECT hash FROM spared ORDER BY hash")]

    def reasons(self) -> Mapping[str, int]:
        """Return the reasons for which condemned keys stay, and the number of keys of each."""
        rows = self._db.execute(
            "SELECT s.why, count(*) FROM spared s JOIN condemned c ON c.hash = s.hash GROUP BY s.why ORDER BY s.why"
        )
        return dict(rows.fetchall())

    def _run(self, queries: Iterable[str]) -> int:
        self._db.execute("BEGIN")
        values = {**_NUMBERS, "step": self._step}
        added = sum(self._db.execute(query, values).rowcount for query in queries)
        self._db.execute("COMMIT")
        return added
