"""Marks the manifests and content of a survey that stay, and finds the keys that go. No requests."""

import re
import sqlite3
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Final

from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag
from ..policy import TagRule
from .deciding import Candidate, Verdict, decide, pulls_unknown
from .going import find_going
from .retention import Retention
from .survey import Kind, Survey, microseconds, moment

_SCHEMA: Final = """
DROP TABLE IF EXISTS note;
DROP TABLE IF EXISTS root;
DROP TABLE IF EXISTS mark;
DROP TABLE IF EXISTS leaving;
DROP TABLE IF EXISTS going;
-- Remarks on the whole run.
CREATE TABLE note (text TEXT NOT NULL);
-- Each reason to keep a digest that is no reference of another.
CREATE TABLE root (
    repository TEXT NOT NULL, digest TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY (repository, digest, why)
) WITHOUT ROWID;
-- Whatever a repository needs: roots have no `via`, all others are reached from the digest in `via`.
CREATE TABLE mark (
    repository TEXT NOT NULL, digest TEXT NOT NULL, via TEXT, why TEXT NOT NULL, step INTEGER NOT NULL,
    PRIMARY KEY (repository, digest)
) WITHOUT ROWID;
CREATE INDEX mark_of_step ON mark (repository, step);
-- What hangs on tags that expire, in the same form.
CREATE TABLE leaving (
    repository TEXT NOT NULL, digest TEXT NOT NULL, via TEXT, why TEXT NOT NULL, step INTEGER NOT NULL,
    PRIMARY KEY (repository, digest)
) WITHOUT ROWID;
CREATE INDEX leaving_of_step ON leaving (repository, step);
CREATE TABLE going (object INTEGER PRIMARY KEY, why TEXT NOT NULL);
"""

_REFERRERS_INDEX: Final = re.compile(r"(sha256|sha512)-([0-9a-f]{64,128})(\.[a-z]+)?")
"""The tag under which clients keep the referrers of a manifest, or cosign its signatures."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules and times of a run.

    Attributes:
        retention: The retention rules; None lets nothing expire by rule, and trims no history.
        immutable: The tags that the policy makes immutable.
        now: The time, by the store's clock.
        lease: Nothing younger goes.
        left_out: Tells whether a tag or untagged revision goes in any case: for the question what would go with it.
        shared: Whether all that a link of a layer leads to stays.
    """

    retention: Retention | None
    immutable: TagRule
    now: datetime
    lease: timedelta
    left_out: Callable[[RepositoryName, Candidate], bool] = lambda _name, _candidate: False
    shared: bool = False

    @property
    def rules(self) -> Retention:
        """The retention rules; without a file, those that keep everything."""
        return self.retention or Retention()

    @property
    def young(self) -> int:
        """The time after which things are young, as the survey keeps times."""
        return microseconds(self.now - self.lease) if self.lease else 1 << 62

    @property
    def remembered(self) -> int:
        """The time after which a tag's history counts, as the survey keeps times."""
        return microseconds(self.now - self.rules.history)


def mark(survey: Survey, rules: Rules, *, of: RepositoryName | None = None) -> Sequence[Verdict]:
    """Find out which keys of a survey go, and why, in place of any marks before.

    It may take seconds: coroutines call it in a thread.

    Returns:
        The decisions by rule about the tags and untagged revisions of the repository `of`.
    """
    survey.db.executescript(_SCHEMA)
    names = survey.db.execute(
        "SELECT DISTINCT repository FROM object WHERE repository IS NOT NULL"
    ).fetchall()
    verdicts: Sequence[Verdict] = ()
    survey.db.execute("BEGIN")
    for (name,) in names:
        judged = _Repository(survey.db, RepositoryName(name), rules, survey.pull_days).judge()
        if name == of:
            verdicts = judged
    trims = rules.retention is not None
    find_going(survey.db, young=rules.young, remembered=rules.remembered, trims=trims)
    _note_unknown_pulls(survey, rules)
    survey.db.execute("COMMIT")
    return verdicts


def _note_unknown_pulls(survey: Survey, rules: Rules) -> None:
    for rule in rules.rules.rules:
        if (unknown := pulls_unknown(rule, survey.pull_days, rules.now)) is not None:
            survey.db.execute("INSERT INTO note VALUES (?)", (f"all that {rule} names stays: {unknown}",))


@dataclass(slots=True)
class _Repository:
    """The marks of one repository."""

    db: sqlite3.Connection
    name: RepositoryName
    rules: Rules
    pull_days: AbstractSet[date]
    # For each table: grows with each generation of its rows, so that each row is followed once.
    steps: dict[str, int] = field(default_factory=lambda: {"mark": 0, "leaving": 0})

    def judge(self) -> Sequence[Verdict]:
        unread = self.db.execute(
            "SELECT digest FROM object WHERE repository = ? AND kind = ? AND digest IN (SELECT * FROM unreadable)"
            " ORDER BY digest LIMIT 1",
            (self.name, Kind.REVISION),
        ).fetchone()
        if unread is not None:  # whatever hangs on that manifest is not known
            self.keep_all(f"manifest {unread[0]} can't be read")
            return ()
        tags = self.tags()
        verdicts = self.decide(tags)
        late = []
        for verdict in verdicts:
            if not verdict.stays:
                self.lets_go(verdict)
            elif self.subject_of(verdict.candidate.tag) is not None:
                late.append(verdict)
            else:
                self.root(verdict.candidate.digest, f"tag {verdict.candidate.tag}: {verdict.why}")
        self.let_go_before()
        self.close("leaving")
        self.other_roots()
        self.close("mark")
        untagged = self.decide(self.untagged())
        self.keep_untagged(untagged)
        self.close("mark")
        self.keep_late(late)
        return [*verdicts, *untagged]

    # ---- candidates

    def tags(self) -> Sequence[Candidate]:
        """Return the tags; a tag is as young as the younger of its link and its revision's link."""
        rows = self.db.execute(
            "SELECT tag.tag, tag.digest, max(tag.modified, coalesce(revision.modified, 0)),"
            " (SELECT max(modified) FROM pull WHERE repository = tag.repository"
            " AND reference IN (tag.tag, tag.digest, '*')) FROM object tag"
            " LEFT JOIN object revision ON revision.repository = tag.repository AND revision.kind = ?"
            " AND revision.digest = tag.digest WHERE tag.repository = ? AND tag.kind = ?",
            (Kind.REVISION, self.name, Kind.TAG),
        )
        return [
            Candidate(
                Tag(tag),
                digest and Digest(digest),
                moment(modified),
                None if pulled is None else moment(pulled),
            )
            for tag, digest, modified, pulled in rows
        ]

    def untagged(self) -> Sequence[Candidate]:
        """Return the revisions that nothing keeps yet, and that do not hang on a tag that goes.

        Those that hang on one are judged only where a rule names untagged revisions.
        """
        rows = self.db.execute(
            _UNTAGGED,
            {
                "name": self.name,
                "kind": Kind.REVISION,
                "tag": Kind.TAG,
                "any": self.rules.rules.rule_of(self.name, None) is not None,
            },
        )
        return [
            Candidate(None, Digest(digest), moment(modified), None if pulled is None else moment(pulled))
            for digest, modified, pulled in rows
        ]

    def decide(self, candidates: Sequence[Candidate]) -> Sequence[Verdict]:
        def immutable(tag: Tag) -> bool:
            return self.rules.immutable(self.name, tag)

        rules, now, days = self.rules.rules, self.rules.now, self.pull_days
        verdicts = decide(self.name, candidates, rules, now, immutable=immutable, pull_days=days)
        left_out = self.rules.left_out
        return [
            replace(each, stays=each.stays and not left_out(self.name, each.candidate)) for each in verdicts
        ]

    def subject_of(self, tag: Tag | None) -> Digest | None:
        """Return the subject of a tag of referrers. For any other tag the result is None."""
        found = _REFERRERS_INDEX.fullmatch(tag or "")
        if found is None or self.rules.retention is None:
            return None
        subject = f"{found[1]}:{found[2]}"
        has = "SELECT 1 FROM object WHERE repository = ? AND kind = ? AND digest = ?"
        there = self.db.execute(has, (self.name, Kind.REVISION, subject)).fetchone()
        # Of a manifest that is elsewhere, other rules decide: signatures may have a repository of their own.
        return Digest(subject) if there else None

    # ---- marks

    def root(self, digest: Digest | None, why: str) -> None:
        if digest is not None:
            self.roots("SELECT ? AS digest, ? AS why", digest, why)

    def roots(self, query: str, *values: object) -> None:
        """Add the roots that a query finds: digests, each with a reason."""
        into_root = f"INSERT OR IGNORE INTO root SELECT ?, digest, why FROM ({query})"  # noqa: S608
        into_mark = f"INSERT OR IGNORE INTO mark SELECT ?, digest, NULL, why, ? FROM ({query})"  # noqa: S608
        self.db.execute(into_root, (self.name, *values))
        self.db.execute(into_mark, (self.name, self.steps["mark"], *values))

    def keep_all(self, why: str) -> None:
        self.roots(
            "SELECT DISTINCT digest, ? AS why FROM object WHERE repository = ? AND kind IN (?, ?)",
            *(why, self.name, Kind.REVISION, Kind.LAYER),
        )
        self.close("mark")

    def lets_go(self, verdict: Verdict) -> None:
        tag, digest = verdict.candidate.tag, verdict.candidate.digest
        if microseconds(verdict.candidate.modified) >= self.rules.young:
            self.root(digest, f"tag {tag}: it is young")
            return
        self.db.execute(
            "INSERT INTO going SELECT rowid, ? FROM object WHERE kind = ? AND repository = ? AND tag = ?",
            (verdict.why, Kind.TAG, self.name, tag),
        )
        self.leave(digest, f"tag {tag}: {verdict.why}")

    def let_go_before(self) -> None:
        """Note the revisions of tags that are gone and that a rule let go, or would have let go.

        A run before this one deleted the tag. It left the revision for the time of the tag's history, or it was
        killed.
        """
        for tag, digest in self.db.execute(
            _DELETED, {"name": self.name, "record": Kind.RECORD, "tag": Kind.TAG}
        ):
            rule = self.rules.rules.rule_of(self.name, tag)
            if rule is not None and not (rule.keeps and rule.conditions.always):
                self.leave(digest, f"{rule} let its tag {tag} go")

    def leave(self, digest: str | None, why: str) -> None:
        if digest is not None:
            values = (self.name, digest, why, self.steps["leaving"])
            self.db.execute("INSERT OR IGNORE INTO leaving VALUES (?, ?, NULL, ?, ?)", values)

    def other_roots(self) -> None:
        """Mark pinned and young manifests, shared layers, and the lately tagged manifests."""
        for digest in self.rules.rules.pinned:
            self.root(digest, "it is pinned")
        lately = "SELECT digest, ? AS why FROM object WHERE repository = ? AND kind = ? AND modified >= ?"
        self.roots(lately, "it is young", self.name, Kind.REVISION, self.rules.young)
        if self.rules.shared:
            links = "SELECT digest, ? AS why FROM object WHERE repository = ? AND kind = ?"
            self.roots(links, "another program may have linked it", self.name, Kind.LAYER)
        if self.rules.retention is None or not self.rules.retention.history:
            return
        # A tag that this run deletes has its revision until now, so the revision stays for the time of the history.
        self.roots(_LEAVING_TAGS, self.name, Kind.TAG)
        # A revision that a client deleted has no link any more, and is not kept.
        there = " AND digest IN (SELECT digest FROM object WHERE repository = ? AND kind = ?)"
        for kind in (Kind.RECORD, Kind.INDEX):
            values = (self.name, kind, self.rules.remembered, self.name, Kind.REVISION)
            self.roots(lately + there, "a tag had it lately", *values)

    def keep_untagged(self, verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            if verdict.stays:
                self.root(verdict.candidate.digest, f"untagged: {verdict.why}")

    def keep_late(self, verdicts: Sequence[Verdict]) -> None:
        """Keep each tag of referrers if its subject stays. One such tag may keep the subject of another."""
        waiting = list(verdicts)
        while True:
            found = [each for each in waiting if self.is_marked(self.subject_of(each.candidate.tag))]
            if not found:
                break
            for verdict in found:
                self.root(verdict.candidate.digest, f"tag {verdict.candidate.tag}: {verdict.why}")
            self.close("mark")
            waiting = [each for each in waiting if each not in found]
        for verdict in waiting:
            self.lets_go(Verdict(verdict.candidate, stays=False, why="its subject goes"))

    def is_marked(self, digest: Digest | None) -> bool:
        query = "SELECT 1 FROM mark WHERE repository = ? AND digest = ?"
        return self.db.execute(query, (self.name, digest)).fetchone() is not None

    def close(self, table: str) -> None:
        """Follow the rows of a table to their references and referrers, at any depth, and add those."""
        added = 1
        while added:
            values = {"name": self.name, "step": self.steps[table], "kind": Kind.REVISION}
            added = sum(
                self.db.execute(query.format(table=table), values).rowcount
                for query in (_REFERENCES, _REFERRERS)
            )
            self.steps[table] += 1


_REFERENCES: Final = """
INSERT OR IGNORE INTO {table} SELECT m.repository, r.child, m.digest, m.why, :step + 1
FROM {table} m JOIN reference r ON r.parent = m.digest WHERE m.repository = :name AND m.step = :step
"""
# CROSS JOIN keeps the order: few references are of subjects, and any repository has many revisions.
_REFERRERS: Final = """
INSERT OR IGNORE INTO {table} SELECT m.repository, r.parent, m.digest, m.why, :step + 1
FROM {table} m CROSS JOIN reference r INDEXED BY of_child ON r.child = m.digest AND r.is_subject
CROSS JOIN object o ON o.repository = m.repository AND o.kind = :kind AND o.digest = r.parent
WHERE m.repository = :name AND m.step = :step
"""


_LEAVING_TAGS: Final = """
SELECT o.digest, 'tag ' || o.tag || ' had it lately' AS why FROM object o JOIN going ON going.object = o.rowid
WHERE o.repository = ? AND o.kind = ? AND o.digest IS NOT NULL
"""
_DELETED: Final = """
SELECT tag, digest FROM object o WHERE repository = :name AND kind = :record AND key LIKE '%/deleted'
AND NOT EXISTS (SELECT 1 FROM object t WHERE t.repository = :name AND t.kind = :tag AND t.tag = o.tag)
"""
_UNTAGGED: Final = """
SELECT digest, modified, (
    SELECT max(modified) FROM pull WHERE repository = :name AND reference IN (object.digest, '*')
)
FROM object WHERE repository = :name AND kind = :kind
AND digest NOT IN (SELECT digest FROM mark WHERE repository = :name)
AND digest NOT IN (SELECT digest FROM object WHERE repository = :name AND kind = :tag AND digest IS NOT NULL)
AND (:any OR digest NOT IN (SELECT digest FROM leaving WHERE repository = :name))
"""
