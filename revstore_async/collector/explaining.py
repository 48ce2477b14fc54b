"""The decision of the retention rules about one tag or revision, with the reasons, by a survey. No requests."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from ..formats.digest import Digest
from ..formats.durations import UNITS
from ..formats.names import RepositoryName, Tag
from .deciding import Candidate, Verdict, by_age, by_version, pulls_unknown, version_of
from .marking import Rules, mark
from .planning import Numbers
from .retention import Rule
from .survey import Kind, Survey


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision about a tag, or about a revision.

    Attributes:
        repository: Its repository.
        tag: The tag; None for a revision.
        digest: The revision; None for a tag whose link can't be read.
        stays: Whether it stays, whatever its age.
        why: The reason, in words that follow "it stays: " or "it expires: ".
        rule: The number of the rule that decided, if one did.
        conditions: The conditions of that rule, each with the rank or the age that it compares.
        takes: The keys that go with it when it goes, after the time of its history. Keys stay that others need.
        young: Whether a lease still protects it.
    """

    repository: RepositoryName
    tag: Tag | None
    digest: Digest | None
    stays: bool
    why: str
    rule: int | None
    conditions: Sequence[str]
    takes: Numbers
    young: bool


def explain(survey: Survey, rules: Rules, name: RepositoryName, target: Tag | Digest) -> Explanation | None:
    """Explain the decision about a tag or revision; None if there is no such tag or revision.

    It may take seconds: coroutines call it in a thread.

    Args:
        survey: The survey of the store. Its marks are replaced.
        rules: The rules, with the lease of the store.
        name: The repository.
        target: The tag or revision.
    """
    asked = _Asked(survey, rules, name, target)
    found = asked.find()
    if found is None:
        return None
    digest, modified = found
    verdicts = mark(survey, replace(rules, lease=timedelta(0)), of=name)
    verdict = next((each for each in verdicts if asked.is_about(each.candidate)), None)
    stays, why = asked.outcome(verdict, digest)
    rule = verdict.rule if verdict else None
    return Explanation(
        repository=name,
        tag=asked.tag,
        digest=digest,
        stays=stays,
        why=why if rules.retention is not None or verdict is None or rule else "there are no rules",
        rule=rule.number if rule else None,
        conditions=[] if verdict is None else list(_conditions(verdict, verdicts, rules, survey.pull_days)),
        takes=asked.takes(digest),
        young=modified >= rules.young and bool(rules.lease),
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question about one tag or revision."""

    survey: Survey
    rules: Rules
    name: RepositoryName
    target: Tag | Digest

    @property
    def tag(self) -> Tag | None:
        return self.target if isinstance(self.target, Tag) else None

    def is_about(self, candidate: Candidate) -> bool:
        """Say whether a decision is about the target itself."""
        return (candidate.tag or candidate.digest) == self.target

    def find(self) -> tuple[Digest | None, int] | None:
        """Return the revision, and the time of the tag or of the revision's link."""
        found = self._look("SELECT digest, modified FROM object WHERE {of_target}")
        return None if found is None else (found[0] and Digest(found[0]), found[1])

    def _look(self, query: str) -> Any:  # noqa: ANN401 (a row of the database)
        """Return the first row of a query about the target's key; `{of_target}` chooses its object."""
        kind, column = (Kind.TAG, "tag") if self.tag else (Kind.REVISION, "digest")
        text = query.format(of_target=f"repository = ? AND kind = ? AND {column} = ?")
        return self.survey.db.execute(text, (self.name, kind, self.target)).fetchone()

    def outcome(self, verdict: Verdict | None, digest: Digest | None) -> tuple[bool, str]:
        """Return whether the target stays by the marks, and the reason."""
        query = "SELECT why FROM going WHERE object IN (SELECT rowid FROM object WHERE {of_target})"
        going = self._look(query)
        if going is not None:
            return False, verdict.why if verdict and not verdict.stays else going[0]
        if self.tag is not None and verdict is not None:
            return True, verdict.why
        return True, self._reasons(digest)

    def _reasons(self, digest: Digest | None) -> str:
        """Return the reasons to keep a revision, or all of its repository."""
        values = (self.name, digest)
        roots = "SELECT why FROM root WHERE repository = ? AND digest = ? ORDER BY why"
        found = [why for (why,) in self.survey.db.execute(roots, values)]
        if found:
            return "; ".join(found)
        marked = "SELECT why, via FROM mark WHERE repository = ? AND digest = ?"
        why, via = self.survey.db.execute(marked, values).fetchone() or ("all of its repository stays", None)
        return why if via is None else f"{why}, by way of {via}"

    def takes(self, digest: Digest | None) -> Numbers:
        """Return how much would go with the target, if it went and its history had passed."""

        def left_out(name: RepositoryName, candidate: Candidate) -> bool:
            of_revision = self.tag is None and candidate.digest == self.target
            return name == self.name and (of_revision or self.is_about(candidate))

        retention = self.rules.retention and replace(self.rules.retention, history=timedelta(0))
        lease = timedelta(0)
        mark(self.survey, replace(self.rules, retention=retention, lease=lease, left_out=left_out))
        values: dict[str, object] = {kind.name.lower(): kind for kind in Kind}
        values |= {"name": self.name, "digest": digest, "target_tag": self.tag}
        rows = self.survey.db.execute(_TAKES, values).fetchall()
        return Numbers.of({Kind(kind): (keys, size) for kind, keys, size in rows})


def _conditions(
    verdict: Verdict, verdicts: Sequence[Verdict], rules: Rules, pull_days: AbstractSet[date]
) -> Iterator[str]:
    """Yield the conditions of the rule that decided, each with the rank or the age that it compares."""
    if verdict.rule is None:
        return
    candidate, conditions = verdict.candidate, verdict.rule.conditions
    part = conditions.part(candidate.tag or "")
    peers = [
        each.candidate
        for each in verdicts
        if each.rule == verdict.rule and conditions.part(each.candidate.tag or "") == part
    ]
    of = "" if conditions.per is None else f" of {', '.join(map(str, part))}" if part else " of the others"
    if conditions.newest:
        rank = by_age(peers).index(candidate) + 1
        yield f"newest = {conditions.newest}: it is number {rank} of {len(peers)}{of}"
    if conditions.semver:
        versions = by_version(peers)
        if candidate in versions:
            rank = versions.index(candidate) + 1
            version = version_of(candidate.tag or "")
            yield f"semver = {conditions.semver}: {version} is number {rank} of {len(versions)}{of}"
        else:
            yield f"semver = {conditions.semver}: it is no semantic version"
    if conditions.younger is not None:
        yield f"younger = {_length(conditions.younger)}: it is {_length(rules.now - candidate.modified)} old"
    if conditions.pulled is not None:
        yield f"pulled = {_length(conditions.pulled)}: {_pulled(candidate, verdict.rule, pull_days, rules.now)}"


def _pulled(candidate: Candidate, rule: Rule, pull_days: AbstractSet[date], now: datetime) -> str:
    if (unknown := pulls_unknown(rule, pull_days, now)) is not None:
        return unknown
    if candidate.pulled is None:
        return "it was not pulled within that time"
    return f"it was pulled {_length(now - candidate.pulled)} ago"


def _length(time: timedelta) -> str:
    """Return a length of time in its largest unit but one of days, hours, minutes and seconds: `3d 4h`."""
    seconds = max(0, int(time.total_seconds()))
    parts = []
    for unit, length in UNITS.items():
        count, seconds = divmod(seconds, length)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"


# The keys that hang on a revision and go: its references and referrers at any depth, with their signatures.
_TAKES: Final = """
WITH RECURSIVE hanging (digest) AS (
    SELECT :digest
    UNION SELECT r.child FROM hanging JOIN reference r ON r.parent = hanging.digest
    UNION SELECT r.parent FROM hanging JOIN reference r ON r.child = hanging.digest AND r.is_subject
    JOIN object o ON o.repository = :name AND o.kind = :revision AND o.digest = r.parent
),
signature (digest) AS (
    SELECT o.digest FROM hanging JOIN object o ON o.repository = :name AND o.kind = :beside
    WHERE o.owner = hanging.digest
)
SELECT o.kind, count(*), sum(o.size) FROM object o JOIN going ON going.object = o.rowid
WHERE (o.repository = :name AND (
    (o.kind IN (:tag, :index) AND o.tag = :target_tag)
    OR (o.kind IN (:revision, :referrer, :layer) AND o.digest IN (SELECT digest FROM hanging))
    OR (o.kind = :beside AND coalesce(o.owner, o.digest) IN (SELECT digest FROM hanging))
)) OR (o.kind = :blob AND (
    o.digest IN (SELECT digest FROM hanging) OR o.digest IN (SELECT digest FROM signature)
))
GROUP BY o.kind
"""
