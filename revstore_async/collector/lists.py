"""The lists of a run: its condemned keys in the order of deletion, and the hashes by which writers find them.

A run condemns so many of the first keys of a plan in that order. The rest stays, with all that it refers to.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ..layout import ReferrerLink, RevisionLink, RevisionMediaType, SignatureLink
from ..runs.lists import RUN_KEYS, SHARD_KEYS, join_hashes, key_hash
from .survey import Kind, Survey

_SCHEMA: Final = """
DROP TABLE IF EXISTS level;
DROP TABLE IF EXISTS condemned;
DROP TABLE IF EXISTS spared;
-- Of each revision that goes, the number of manifests above it that go, on the longest way.
CREATE TABLE level (digest TEXT PRIMARY KEY, level INTEGER NOT NULL) WITHOUT ROWID;
-- place: the order of deletion; step: keys of different steps are not deleted together; hash: that of the key by
-- which writers know it, NULL for a record, which no writer relies on.
CREATE TABLE condemned (
    object INTEGER PRIMARY KEY, shard INTEGER NOT NULL, step INTEGER NOT NULL, place INTEGER NOT NULL, hash BLOB
);
CREATE INDEX of_hash ON condemned (hash);
CREATE INDEX of_shard ON condemned (shard, place);
-- The hashes of condemned keys that stay.
CREATE TABLE spared (hash BLOB PRIMARY KEY, why TEXT NOT NULL) WITHOUT ROWID;
"""
_LEVELS: Final = """
INSERT INTO level SELECT DISTINCT o.digest, 0 FROM object o JOIN going g ON g.object = o.rowid WHERE o.kind = ?
"""
_NEXT_LEVEL: Final = """
UPDATE level SET level = :level + 1 WHERE digest IN (
    SELECT r.child FROM level p JOIN reference r ON r.parent = p.digest
    WHERE p.level = :level AND r.child != r.parent
)
"""
_GOING: Final = """
SELECT o.rowid, o.kind, o.key, coalesce(l.level, 0) FROM going g JOIN object o ON o.rowid = g.object
LEFT JOIN level l ON l.digest = o.digest WHERE o.kind IN ({kinds}) ORDER BY {level} o.key
"""
_LINKED: Final = "SELECT 1 FROM object WHERE kind = ? AND key = ? AND repository = ?"

_RANKS: Final = ((Kind.TAG,), (Kind.INDEX, Kind.RECORD), (Kind.REVISION,), (Kind.LAYER,), (Kind.BLOB,))
"""The ranks, in the order of deletion. A shard belongs to one rank."""
_BESIDE: Final = (Kind.BESIDE, Kind.REFERRER)
"""What lies beside revisions, and goes after the links of the revisions of its shard."""
_AFTER_ALL: Final = 1 << 30
"""The step of these keys."""


@dataclass(frozen=True, slots=True)
class ShardLists:
    """The two lists of a shard, as they are stored.

    Attributes:
        number: The number of the shard, from 0, in the order of deletion.
        hashes: The sorted hashes of the keys by which writers know the shard's keys.
        keys: The keys to delete, in the order of deletion, a line each; without the root.
    """

    number: int
    hashes: bytes
    keys: bytes


class Condemning:
    """Condemns the keys of a plan.

    Args:
        survey: The survey of the plan, with its marks.
        root: The root of the store.
        shard_keys: The most keys of a shard, without those beside revisions.
        run_keys: The most keys of the run.

    Attributes:
        keys: The number of keys that the run condemned.
    """

    def __init__(
        self, survey: Survey, root: str, *, shard_keys: int = SHARD_KEYS, run_keys: int = RUN_KEYS
    ) -> None:
        self._db = survey.db
        self._layouts = survey.layouts
        self._root = root
        self._shard_keys = shard_keys
        self._left = run_keys
        self._shard = -1
        self._held = 0  # keys of that shard
        self.keys: int = 0

    def condemn(self) -> int:
        """Note the condemned keys in the survey, and return the number of their shards.

        It may take seconds: coroutines call it in a thread.
        """
        self._db.executescript(_SCHEMA)
        self._db.execute("BEGIN")
        count = self._db.execute(_LEVELS, (Kind.REVISION,)).rowcount
        for level in range(count):  # a circle would have no end
            if not self._db.execute(_NEXT_LEVEL, {"level": level}).rowcount:
                break
        for kinds in _RANKS:
            self._held = self._shard_keys  # the first key begins a shard
            self._add_each(kinds)
            if kinds == (Kind.REVISION,):
                self._add_beside()
        self._db.execute("COMMIT")
        return self._shard + 1

    def _add_each(self, kinds: Sequence[Kind]) -> None:
        for row, kind, key, level in self._going(kinds, "coalesce(l.level, 0),"):
            hashed = None if kind == Kind.RECORD else key_hash(self._root, key)
            if not self._add(row, self._next_shard(), level if kind == Kind.REVISION else 0, hashed):
                return

    def _add_beside(self) -> None:
        """Add the keys beside revisions to the shards of these revisions, then those of unlinked revisions."""
        for row, _, key, _ in self._going(_BESIDE, ""):
            owner, name = self._owner(key)
            hashed = key_hash(self._root, owner)
            found = self._db.execute("SELECT shard FROM condemned WHERE hash = ?", (hashed,)).fetchone()
            if found is None:
                if self._db.execute(_LINKED, (Kind.REVISION, owner, name)).fetchone() is not None:
                    continue  # its revision is beyond the end of the list
                found = (self._next_shard(),)
            if not self._add(row, found[0], _AFTER_ALL, hashed):
                return

    def _going(self, kinds: Sequence[Kind], level: str) -> Iterator[tuple[int, int, str, int]]:
        listed = ", ".join(str(kind.value) for kind in kinds)
        yield from self._db.execute(_GOING.format(kinds=listed, level=level))

    def _next_shard(self) -> int:
        if self._held >= self._shard_keys:
            self._shard += 1
            self._held = 0
        self._held += 1
        return self._shard

    def _add(self, row: int, shard: int, step: int, hashed: bytes | None) -> bool:
        if self._left == 0:
            return False
        self._left -= 1
        self.keys += 1
        values = (row, shard, step, self.keys, hashed)
        self._db.execute("INSERT INTO condemned VALUES (?, ?, ?, ?, ?)", values)
        return True

    def _owner(self, key: str) -> tuple[str, str]:
        """Return the key of the link of the revision that a key belongs to, and its repository."""
        for layout in self._layouts:
            match layout.parse(key):
                case (
                    RevisionMediaType(name, digest)
                    | SignatureLink(name, digest, _)
                    | ReferrerLink(name, _, digest)
                ):
                    return layout.key(RevisionLink(name, digest)), name
        raise ValueError(key)


def shard_lists(survey: Survey, root: str, number: int) -> ShardLists:
    """Return the lists of one shard. It may take a second: coroutines call it in a thread."""
    rows = survey.db.execute(
        "SELECT c.hash, o.key FROM condemned c JOIN object o ON o.rowid = c.object WHERE c.shard = ?"
        " ORDER BY c.place",
        (number,),
    ).fetchall()
    keys = "".join(f"{key.removeprefix(f'{root}/')}\n" for _, key in rows)
    return ShardLists(number, join_hashes(hashed for hashed, _ in rows if hashed is not None), keys.encode())
