"""Which tags and untagged revisions of one repository stay, by the retention rules. No I/O."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime

from semver import Version

from ..formats.digest import Digest
from ..formats.names import Tag
from .pull_days import unkept_day
from .retention import Conditions, Retention, Rule


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tag, or a revision without tags, that rules may name.

    Attributes:
        tag: The tag; None for a revision without tags.
        digest: The revision; None for a tag whose link can't be read.
        modified: When it was set: of a tag, the younger of its link and its revision's link counts.
        pulled: When it was pulled last, by its name or digest; None if that is not known.
    """

    tag: Tag | None
    digest: Digest | None
    modified: datetime
    pulled: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision about a candidate.

    Attributes:
        candidate: The tag or revision.
        stays: Whether it stays.
        why: The reason, in words that follow "it stays: " or "it goes: ".
        rule: The rule that decided, if one did.
    """

    candidate: Candidate
    stays: bool
    why: str
    rule: Rule | None = None


def decide(
    repository: str,
    candidates: Iterable[Candidate],
    retention: Retention,
    now: datetime,
    *,
    immutable: Callable[[Tag], bool],
    pull_days: AbstractSet[date] = frozenset(),
) -> Sequence[Verdict]:
    """Decide about the tags and untagged revisions of a repository.

    Args:
        repository: Its name.
        candidates: All of its tags, and those of its revisions that no tag leads to.
        retention: The rules.
        now: The time, by the store's clock.
        immutable: Tells whether the policy forbids to delete a tag.
        pull_days: The days on which pull times were kept. If one is missing within the time of a rule with
            `pulled`, all that the rule names stays.
    """
    verdicts: list[Verdict] = []
    by_rule: dict[int, list[Candidate]] = defaultdict(list)
    rules: dict[int, Rule] = {}
    for each in candidates:
        if each.tag is not None and each.digest is None:
            verdicts.append(Verdict(each, stays=True, why="its link can't be read"))
        elif each.tag is not None and immutable(each.tag):
            verdicts.append(Verdict(each, stays=True, why="the policy makes it immutable"))
        elif (rule := retention.rule_of(repository, each.tag)) is None:
            verdicts.append(Verdict(each, stays=True, why="no rule names it"))
        else:
            rules[rule.number] = rule
            by_rule[rule.number].append(each)
    for number, named in by_rule.items():
        rule = rules[number]
        if (unknown := pulls_unknown(rule, pull_days, now)) is not None:
            verdicts += [Verdict(each, stays=True, why=f"{rule} ({unknown})", rule=rule) for each in named]
            continue
        fulfilling = _fulfilling(named, rule.conditions, now)
        for each in named:
            met = fulfilling.get(each)
            stays = (met is not None) == rule.keeps
            verdicts.append(Verdict(each, stays, f"{rule}{f' ({met})' if met else ''}", rule))
    return verdicts


def pulls_unknown(rule: Rule, pull_days: AbstractSet[date], now: datetime) -> str | None:
    """Return the reason for which pulls are not known to a rule; None if they are, or if it does not ask."""
    if rule.conditions.pulled is None:
        return None
    day = unkept_day(pull_days, now, rule.conditions.pulled)
    return None if day is None else f"no server kept pull times on {day}"


def _fulfilling(
    candidates: Sequence[Candidate], conditions: Conditions, now: datetime
) -> Mapping[Candidate, str]:
    """Return the candidates that fulfil one of the conditions, each with the condition."""
    if conditions.always:
        return dict.fromkeys(candidates, "")
    found: dict[Candidate, str] = {}
    parts: dict[object, list[Candidate]] = defaultdict(list)
    for each in candidates:
        parts[conditions.part(each.tag or "")].append(each)
        if conditions.younger is not None and each.modified > now - conditions.younger:
            found[each] = "younger"
        if conditions.pulled is not None and each.pulled and each.pulled > now - conditions.pulled:
            found[each] = "pulled"
    for part in parts.values():
        if conditions.newest:
            found.update(dict.fromkeys(by_age(part)[: conditions.newest], "newest"))
        if conditions.semver:
            found.update(dict.fromkeys(by_version(part)[: conditions.semver], "semver"))
    return found


def by_age(candidates: Iterable[Candidate]) -> Sequence[Candidate]:
    """Return candidates in the order of `newest`: the newest first."""
    return sorted(
        candidates, key=lambda each: (each.modified, each.tag or "", each.digest or ""), reverse=True
    )


def by_version(candidates: Iterable[Candidate]) -> Sequence[Candidate]:
    """Return the candidates with a semantic version in the order of `semver`: the highest first."""
    versions = [(version, each) for each in candidates if (version := version_of(each.tag or ""))]
    return [each for _, each in sorted(versions, key=lambda pair: (pair[0], pair[1].tag or ""), reverse=True)]


def version_of(tag: str) -> Version | None:
    """Return the semantic version that a tag names, with or without a `v` before it; None if it names none.

    Minor and patch may be left out: `v1.2` counts as `1.2.0`.
    """
    try:
        return Version.parse(tag.removeprefix("v"), optional_minor_and_patch=True)
    except ValueError:
        return None
