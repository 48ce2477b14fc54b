"""Finds the keys that go, by the marks of a survey. No requests."""

import sqlite3
from typing import Final

from .survey import Kind


def find_going(db: sqlite3.Connection, *, young: int, remembered: int, trims: bool) -> None:
    """Find the keys that go, below the tags that go already.

    Args:
        db: The survey's database, with marks.
        young: The time after which things are young.
        remembered: The time after which a tag's history counts.
        trims: Whether records of histories before that time go.
    """
    values = {
        "young": young,
        "remembered": remembered,
        **{kind.name.lower(): kind for kind in Kind},
    }
    for query in _GOING[not trims :]:
        db.execute(query, values)


_UNMARKED: Final = (
    "NOT EXISTS (SELECT 1 FROM mark m WHERE m.repository = o.repository AND m.digest = {digest})"
)
_UNLINKED: Final = (
    "NOT EXISTS (SELECT 1 FROM object r WHERE r.repository = o.repository AND r.kind = :revision"
    " AND r.digest = {digest})"
)

_OWNER: Final = "coalesce(o.owner, o.digest)"
"""The revision that a key lies beside: a kept media type names no other digest."""


def _going(kind: str, why: str, *conditions: str, young: str = "young") -> str:
    return (
        f"INSERT OR IGNORE INTO going SELECT o.rowid, '{why}' FROM object o"  # noqa: S608
        f" WHERE o.kind = :{kind} AND o.modified < :{young} AND {' AND '.join(conditions)}"
    )


# a tag's history before the time that counts, but for the latest change of then
_TRIM: Final = """
INSERT OR IGNORE INTO going SELECT o.rowid, 'the history of the tag is trimmed' FROM (
    SELECT repository, tag, max(number) AS number FROM object WHERE kind = :record AND modified < :remembered
    GROUP BY repository, tag
) latest CROSS JOIN object o ON o.repository = latest.repository AND o.tag = latest.tag AND o.kind = :record
WHERE o.number < latest.number AND o.modified < :remembered
"""
_GOING: Final = (
    _TRIM,
    _going("index", "its revision goes", _UNMARKED.format(digest="o.digest"), young="remembered"),
    _going("revision", "no tag, pin or rule keeps it", _UNMARKED.format(digest="o.digest")),
    _going(
        "beside",
        "its revision goes",
        f"({_UNMARKED.format(digest=_OWNER)} OR {_UNLINKED.format(digest=_OWNER)})",
    ),
    _going(
        "referrer",
        "the referrer goes",
        f"({_UNMARKED.format(digest='o.digest')} OR {_UNLINKED.format(digest='o.digest')})",
    ),
    _going("layer", "no manifest of the repository refers to it", _UNMARKED.format(digest="o.digest")),
    _going(
        "blob",
        "no link leads to it",
        "o.digest NOT IN (SELECT digest FROM mark)",
        "o.digest NOT IN (SELECT l.digest FROM object l WHERE l.digest IS NOT NULL"
        " AND l.kind IN (:tag, :revision, :beside, :referrer, :layer)"
        " AND l.rowid NOT IN (SELECT object FROM going))",
    ),
)
