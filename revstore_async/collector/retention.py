r"""The retention language: a file of ordered rules that say which tags and untagged revisions stay.

    history = "7d"                              # what a tag had within this time can be restored
    pinned = ["sha256:..."]                     # these revisions stay, in every repository

    [[rule]]                                    # the first rule that names a tag decides about it
    repositories = "library/**"                 # a glob, a /regular expression/, or a list of them
    tags = '/^v\d/'
    keep = { newest = 5, per = '/^v(\d+\.\d+)\./', younger = "90d" }

    [[rule]]
    repositories = "ci/**"
    tags = "*"
    expire = true

    [[rule]]
    untagged = true
    keep = { younger = "14d" }

A rule with `keep` keeps each tag that fulfils one of its conditions, and lets its other tags expire. A rule with
`expire` does the opposite. Tags and revisions that no rule names stay.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from os import PathLike
from pathlib import Path
from typing import Final, NoReturn

from ..arguments import check_type
from ..errors import InvalidDigest, InvalidRetention
from ..formats.digest import Digest
from ..formats.durations import read_duration
from ..pulls.pull_times import KEPT_FOR
from .patterns import Pattern, is_any

HISTORY: Final = timedelta(days=7)
"""The time within which a tag's earlier revisions stay, unless the file says another."""

FILE_LIMIT: Final = 1 << 20
"""The most bytes of a retention file."""

_EVERYTHING: Final = (Pattern.read("**"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The conditions of a rule; a tag fulfils them if it fulfils one of them.

    Attributes:
        always: Whether every tag fulfils them.
        newest: So many of the newest tags fulfil them; 0 for no such condition.
        semver: So many of the highest tags, by semantic version, fulfil them; 0 for no such condition.
        per: The groups of this expression part the tags, and `newest` and `semver` count in each part. Tags that it
            does not match are one part more.
        younger: Tags that are younger fulfil them.
        pulled: Tags that were pulled within this time fulfil them, by their name or by their digest.
    """

    always: bool = False
    newest: int = 0
    semver: int = 0
    per: re.Pattern[str] | None = None
    younger: timedelta | None = None
    pulled: timedelta | None = None

    def part(self, tag: str) -> tuple[str | None, ...] | None:
        """Return the part that a tag counts in. All tags that `per` does not match count in the part None."""
        found = self.per.search(tag) if self.per is not None else None
        if found is None:
            return None
        return found.groups() or (found[0],)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.

    Attributes:
        number: Its number in the file, from 1.
        repositories: The repositories that it names.
        tags: The tags that it names; empty for a rule about untagged revisions.
        keeps: Whether what fulfils the conditions stays and the rest expires; False for the opposite.
        conditions: The conditions.
    """

    number: int
    repositories: Sequence[Pattern] = _EVERYTHING
    tags: Sequence[Pattern] = ()
    keeps: bool
    conditions: Conditions

    @property
    def untagged(self) -> bool:
        """Whether it is about revisions without a tag."""
        return not self.tags

    def __str__(self) -> str:
        return f"rule {self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Retention rules, read.

    Attributes:
        rules: The rules, in the file's order.
        history: A revision that a tag had within this time stays, unless a client deleted it.
        pinned: Revisions that stay in every repository that has them.
        digest: The digest of the text that the rules were read from, if any.
    """

    rules: Sequence[Rule] = ()
    history: timedelta = HISTORY
    pinned: frozenset[Digest] = field(default_factory=frozenset)
    digest: Digest | None = field(default=None, compare=False)

    @classmethod
    def read(cls, path: str | Path) -> "Retention":
        """Read a retention file.

        Raises:
            InvalidRetention: It can't be read, it is empty, or a part of it is wrong.
            WrongType: The path is neither text nor a path.
        """
        check_type("path", path, str, PathLike)
        source = str(path)
        try:
            with Path(path).open("rb") as file:
                content = file.read(FILE_LIMIT + 1)
        except OSError as error:
            raise InvalidRetention(source, "", f"it can't be read: {error.strerror}") from error
        if len(content) > FILE_LIMIT:
            raise InvalidRetention(source, "", f"it has more than {FILE_LIMIT} bytes")
        try:
            return cls.parse(content.decode(), source=source)
        except UnicodeDecodeError as error:
            raise InvalidRetention(source, "", f"it is not UTF-8: {error.reason}") from error

    @classmethod
    def parse(cls, text: str, *, source: str = "retention rules") -> "Retention":
        """Read retention rules from the text of a file.

        Args:
            text: The text, in TOML.
            source: Its name, for errors.

        Raises:
            InvalidRetention: The text says nothing, or a part of it is wrong.
            WrongType: It is not text.
        """
        check_type("text", text, str)
        try:
            members = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise InvalidRetention(source, "", f"it is no TOML: {error}") from error
        return replace(cls.from_members(members, source=source), digest=Digest.of(text.encode()))

    @classmethod
    def from_members(cls, members: Mapping[str, object], *, source: str) -> "Retention":
        """Read retention rules from a table, such as one of a larger configuration file.

        Raises:
            InvalidRetention: The table is empty, or a part of it is wrong.
            WrongType: It is no mapping.
        """
        check_type("members", members, Mapping)
        table = _Table(members, source, "")
        if not members:
            table.refuse("", "it says nothing; delete nothing by rule by naming no file")
        table.only("history", "pinned", "rule")
        rules = [_rule(each, number) for number, each in enumerate(table.tables("rule"), 1)]
        history = table.duration("history")
        return cls(
            rules=tuple(rules),
            history=HISTORY if history is None else history,
            pinned=frozenset(table.digests("pinned")),
        )

    def rule_of(self, repository: str, tag: str | None) -> Rule | None:
        """Return the first rule that names a tag, or untagged revisions for None; None if no rule does."""
        for rule in self.rules:
            named = rule.untagged if tag is None else is_any(rule.tags, tag)
            if named and is_any(rule.repositories, repository):
                return rule
        return None


def _rule(table: "_Table", number: int) -> Rule:
    table.only("repositories", "tags", "untagged", "keep", "expire")
    untagged = table.flag("untagged")
    tags = table.patterns("tags")
    if untagged == (tags is not None):
        table.refuse("", 'it names either tags (`tags = "*"`) or `untagged = true`')
    if ("keep" in table.members) == ("expire" in table.members):
        table.refuse("", "it says either `keep` or `expire`")
    keeps = "keep" in table.members
    return Rule(
        number=number,
        repositories=table.patterns("repositories") or _EVERYTHING,
        tags=tags or (),
        keeps=keeps,
        conditions=_conditions(table, "keep" if keeps else "expire", untagged=untagged),
    )


def _conditions(table: "_Table", name: str, *, untagged: bool) -> Conditions:
    value = table.members[name]
    if value is True:
        return Conditions(always=True)
    if not isinstance(value, dict) or not value:
        table.refuse(name, "it is `true`, or a table such as `{ newest = 5 }`")
    inner = _Table(value, table.source, f"{table.where}{name}.")
    names = ("newest", "pulled", "younger") if untagged else ("newest", "per", "pulled", "semver", "younger")
    inner.only(*names)
    if "per" in value and not {"newest", "semver"} & value.keys():
        inner.refuse("per", "it parts what `newest` or `semver` count, and neither is there")
    pulled = inner.duration("pulled")
    if pulled is not None and pulled > KEPT_FOR:
        inner.refuse("pulled", f"pull times are kept for {KEPT_FOR.days} days")
    return Conditions(
        newest=inner.count("newest"),
        semver=inner.count("semver"),
        per=inner.expression("per"),
        younger=inner.duration("younger"),
        pulled=pulled,
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of the file; each method reads one member, and refuses one that is wrong by its name."""

    members: Mapping[str, object]
    source: str
    where: str

    def refuse(self, name: str, reason: str) -> NoReturn:
        raise InvalidRetention(self.source, f"{self.where}{name}".rstrip("."), reason)

    def only(self, *names: str) -> None:
        for name in self.members:
            if name not in names:
                self.refuse(name, f"there is no such member; there are {', '.join(names)}")

    def tables(self, name: str) -> "Sequence[_Table]":
        value = self.members.get(name, [])
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            self.refuse(name, f"rules are written as `[[{name}]]`")
        return [
            _Table(each, self.source, f"{self.where}{name}[{number}].")
            for number, each in enumerate(value, 1)
        ]

    def flag(self, name: str) -> bool:
        value = self.members.get(name, False)
        if not isinstance(value, bool):
            self.refuse(name, "it is true or false")
        return value

    def count(self, name: str) -> int:
        if name not in self.members:
            return 0
        value = self.members[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            self.refuse(name, "it is a number, 1 at least")
        return value

    def duration(self, name: str) -> timedelta | None:
        if name not in self.members:
            return None
        try:
            return read_duration(str(self.members[name]))
        except ValueError:
            self.refuse(name, 'it is a length of time, such as "12h" or "7d"')

    def texts(self, name: str) -> Sequence[str] | None:
        if name not in self.members:
            return None
        value = self.members[name]
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not texts or not all(isinstance(each, str) for each in texts):
            self.refuse(name, "it is a text, or a list of texts")
        return texts

    def patterns(self, name: str) -> Sequence[Pattern] | None:
        texts = self.texts(name)
        if texts is None:
            return None
        found = []
        for text in texts:
            try:
                found.append(Pattern.read(text))
            except ValueError as error:
                self.refuse(name, f"{text!r}: {error}")
        return tuple(found)

    def expression(self, name: str) -> re.Pattern[str] | None:
        if name not in self.members:
            return None
        value = self.members[name]
        if not isinstance(value, str) or not value:
            self.refuse(name, "it is a regular expression")
        text = value[1:-1] if len(value) > 1 and value[0] == value[-1] == "/" else value
        try:
            return re.compile(text)
        except re.error as error:
            self.refuse(name, f"{value!r} is no regular expression: {error}")

    def digests(self, name: str) -> Sequence[Digest]:
        found = []
        for text in self.texts(name) or ():
            try:
                found.append(Digest(text))
            except InvalidDigest as error:
                self.refuse(name, str(error))
        return found
