"""The retention language: right files, and the errors of wrong ones."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revstore_async import Digest
from revstore_async.collector import Retention
from revstore_async.collector.deciding import Candidate, decide, version_of
from revstore_async.collector.patterns import Pattern
from revstore_async.errors import InvalidRetention
from revstore_async.formats.names import Tag

NOW = datetime(2026, 1, 31, tzinfo=UTC)
DIGEST = Digest.of(b"a manifest")


def tags(*names: str) -> list[Candidate]:
    """Tags, each a day older than the one before."""
    return [Candidate(Tag(name), DIGEST, NOW - timedelta(days=age)) for age, name in enumerate(names)]


def kept(rules: str, *names: str, repository: str = "library/hello", immutable: str = "") -> list[str]:
    retention = Retention.parse(rules)
    found = decide(repository, tags(*names), retention, NOW, immutable=lambda tag: tag == immutable)
    return sorted(str(verdict.candidate.tag) for verdict in found if verdict.stays)


def rule(*lines: str) -> str:
    return "[[rule]]\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("pattern", "names", "others"),
    [
        ("library/*", ["library/hello"], ["library/a/b", "library", "x/library/hello"]),
        ("team/**", ["team/a", "team/a/b"], ["team", "steam/a"]),
        ("**/cache", ["a/cache", "a/b/cache"], ["cache", "a/caches"]),
        ("v?", ["v1"], ["v", "v12", "v/"]),
        ("v[0-9]", ["v1"], ["va", "v"]),
        ("v[!0-9]", ["va"], ["v1", "v/"]),
        ("v1.0", ["v1.0"], ["v1x0"]),
        ("v[1", ["v[1"], ["v1"]),
        (r"/^v\d+$/", ["v1", "v12"], ["v", "xv1"]),
        ("/rc/", ["1.0-rc1"], ["1.0"]),
    ],
)
def test_a_pattern_matches_what_it_says(pattern: str, names: list[str], others: list[str]) -> None:
    read = Pattern.read(pattern)
    assert [name for name in [*names, *others] if read.matches(name)] == names


@given(st.text(max_size=20))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    with suppress(ValueError):
        Pattern.read(text).matches("library/hello")


def test_the_first_rule_that_names_a_tag_decides() -> None:
    rules = rule('tags = "v*"', "keep = true") + rule('tags = "*"', "expire = true")
    assert kept(rules, "v1", "latest") == ["v1"]


def test_a_rule_names_repositories() -> None:
    rules = rule('repositories = "ci/**"', 'tags = "*"', "expire = true")
    assert kept(rules, "a", repository="ci/a") == []
    assert kept(rules, "a", repository="library/a") == ["a"]


@pytest.mark.parametrize(
    ("condition", "names", "stay"),
    [
        ("keep = { newest = 2 }", ["a", "b", "c"], ["a", "b"]),
        ("expire = { newest = 2 }", ["a", "b", "c"], ["c"]),
        ('keep = { younger = "2d" }', ["a", "b", "c"], ["a", "b"]),
        ('keep = { younger = "36h", newest = 1 }', ["a", "b", "c"], ["a", "b"]),
        ("keep = { semver = 2 }", ["1.9.0", "1.10.0", "v1.2", "latest"], ["1.10.0", "1.9.0"]),
        ("keep = { semver = 1 }", ["1.0.0-rc.1", "1.0.0"], ["1.0.0"]),
        (
            r"keep = { newest = 1, per = '/^v(\d+)\./' }",
            ["v1.1", "v1.0", "v2.1", "v2.0", "x", "y"],
            ["v1.1", "v2.1", "x"],
        ),
        (r"keep = { semver = 1, per = '^v(\d+)' }", ["v1.1.0", "v1.2.0", "v2.0.0"], ["v1.2.0", "v2.0.0"]),
    ],
)
def test_a_rule_keeps_what_fulfils_one_of_its_conditions(
    condition: str, names: list[str], stay: list[str]
) -> None:
    assert kept(rule('tags = "*"', condition), *names) == sorted(stay)


def test_what_no_rule_names_and_what_the_policy_fixes_stays() -> None:
    rules = rule('tags = ["a", "b"]', "expire = true")
    assert kept(rules, "a", "b", "c", immutable="a") == ["a", "c"]


def test_a_tag_whose_link_can_not_be_read_stays() -> None:
    retention = Retention.parse(rule('tags = "*"', "expire = true"))
    unread = Candidate(Tag("a"), None, NOW)
    assert decide("x", [unread], retention, NOW, immutable=lambda _: False)[0].stays


@pytest.mark.parametrize(
    ("tag", "version"), [("v1.2", "1.2.0"), ("1", "1.0.0"), ("1.2.3-rc.1", "1.2.3-rc.1"), ("latest", None)]
)
def test_versions_of_tags(tag: str, version: str | None) -> None:
    found = version_of(tag)
    assert (None if found is None else str(found)) == version


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        ("", "", "says nothing"),
        ("rule = ", "", "no TOML"),
        ("rules = []", "rules", "there is no such member"),
        ("rule = 3", "rule", "written as `[[rule]]`"),
        ("history = 7", "history", "a length of time"),
        ('history = "week"', "history", "a length of time"),
        ('pinned = ["latest"]', "pinned", "no ':'"),
        ("pinned = []", "pinned", "a list of texts"),
        (rule("keep = true"), "rule[1]", "either tags"),
        (rule('tags = "*"', "untagged = true", "keep = true"), "rule[1]", "either tags"),
        (rule('tags = "*"'), "rule[1]", "either `keep` or `expire`"),
        (rule('tags = "*"', "keep = true", "expire = true"), "rule[1]", "either `keep` or `expire`"),
        (rule('tags = "*"', "keep = false"), "rule[1].keep", "it is `true`, or a table"),
        (rule('tags = "*"', "keep = {}"), "rule[1].keep", "it is `true`, or a table"),
        (rule('tags = "*"', "keep = { newest = 0 }"), "rule[1].keep.newest", "1 at least"),
        (rule('tags = "*"', "keep = { newest = true }"), "rule[1].keep.newest", "1 at least"),
        (rule('tags = "*"', "keep = { oldest = 1 }"), "rule[1].keep.oldest", "no such member"),
        (rule('tags = "*"', "keep = { per = 'x', younger = '1d' }"), "rule[1].keep.per", "neither is there"),
        (rule('tags = "*"', "keep = { newest = 1, per = '(' }"), "rule[1].keep.per", "no regular expression"),
        (rule("tags = '/(/'", "keep = true"), "rule[1].tags", "no regular expression"),
        (rule("tags = ''", "keep = true"), "rule[1].tags", "empty"),
        (rule("untagged = 1", "keep = true"), "rule[1].untagged", "true or false"),
        (rule("untagged = true", "keep = { semver = 1 }"), "rule[1].keep.semver", "no such member"),
        (rule('tags = "*"', "keep = true") + rule("x = 1"), "rule[2].x", "no such member"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, where: str, reason: str) -> None:
    with pytest.raises(InvalidRetention) as raised:
        Retention.parse(text, source="keep.toml")
    assert raised.value.where == where
    assert reason in raised.value.reason
    assert str(raised.value).startswith(f"keep.toml: {where}")


@pytest.mark.parametrize("content", [b"", b"\xff", b"#" * ((1 << 20) + 1)])
def test_a_file_that_says_nothing_or_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "keep.toml"
    file.write_bytes(content)
    with pytest.raises(InvalidRetention, match=r"keep\.toml"):
        Retention.read(file)


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRetention, match="can't be read: No such file"):
        Retention.read(tmp_path / "gone.toml")


TABLES = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.text(max_size=5), st.just("7d"), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["rule", "tags", "untagged", "keep", "expire", "newest", "per", "history", "pinned"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(TABLES)
def test_any_table_is_read_or_refused(members: object) -> None:
    if isinstance(members, dict):
        with suppress(InvalidRetention):
            Retention.from_members(members, source="a table")
