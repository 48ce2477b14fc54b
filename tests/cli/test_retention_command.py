"""revstore retention explain: an operator sees the decision of the rules about one tag or manifest."""

from pathlib import Path

import pytest

from revstore_async import Digest
from tests.cli.conftest import Run, on_each_store
from tests.parts.documents import schema1


@on_each_store
def test_the_rule_and_all_that_goes_are_told(run: Run, filled: Path) -> None:
    told = run("retention", "explain", "hello:old", "--retention", "keep.toml", "--json")
    assert told.code == 0
    value = told.value
    takes = value.pop("takes")
    assert value == {
        "repository": "hello",
        "tag": "old",
        "digest": Digest.of(schema1(Digest.of(b"a layer"), tag="old", name="hello")),
        "stays": False,
        "why": "rule 1",
        "rule": 1,
        "conditions": [],
        "young": True,
    }
    assert (takes["tags"], takes["revisions"], takes["blobs"]) == (1, 1, 2)


def test_people_read_lines(run: Run, filled: Path) -> None:
    (filled / "keep.toml").write_text("[[rule]]\ntags = '*'\nkeep = { newest = 1 }\n")
    lines = run("retention", "explain", "hello:old", "--retention", "keep.toml").text.splitlines()
    assert lines[:2] == ["hello:old expires: rule 1", "  newest = 1: it is number 2 of 2"]
    assert lines[2].startswith("takes along: ")
    assert lines[2].endswith("(1 tags, 1 manifests, 2 blobs)")
    assert lines[3] == "it is young: the collector leaves it alone for now"
    lines = run("retention", "explain", "hello:new").text.splitlines()
    assert lines[0] == "hello:new stays: there are no rules"
    assert lines[1].startswith("would take along: ")


@pytest.mark.parametrize(
    ("reference", "code", "message"),
    [
        ("hello:gone", 1, "tag 'gone' is not known in 'hello'"),
        ("other:old", 1, "tag 'old' is not known in 'other'"),
        (f"hello@{Digest.of(b'')}", 1, "is not known in 'hello'"),
        ("hello", 2, "names no tag or digest"),
        ("Hello:old", 2, "REF"),
    ],
)
def test_what_is_not_there_and_what_is_no_reference(
    run: Run, filled: Path, reference: str, code: int, message: str
) -> None:
    told = run("retention", "explain", reference)
    assert told.code == code
    assert message in told.err


def test_a_file_that_is_wrong_is_refused(run: Run, filled: Path) -> None:
    (filled / "keep.toml").write_text("")
    assert run("retention", "explain", "hello:old", "--retention", "keep.toml").code == 2
