"""revstore gc: an operator frees the space of a store."""

import io
from pathlib import Path

import pytest

from revstore_async import Digest
from tests.cli.conftest import Run, on_each_store
from tests.parts.documents import schema1, signed

EXPIRE = 'history = "0s"\n[[rule]]\ntags = "old"\nexpire = true\n'


@pytest.fixture
def filled(run: Run, tmp_path: Path) -> Path:
    for tag in ("old", "new"):
        (tmp_path / tag).write_bytes(signed(schema1(Digest.of(b"a layer"), tag=tag, name="hello"), 1))
        assert run("put", "--no-check-layers", f"hello:{tag}", tag).code == 0
    (tmp_path / "keep.toml").write_text(EXPIRE)
    return tmp_path


@on_each_store
def test_a_plan_says_what_would_go_and_deletes_nothing(run: Run, filled: Path) -> None:
    planned = run("gc", "plan", "--retention", "keep.toml", "--offline", "--json")
    assert planned.code == 0
    assert {name: planned.value[name] for name in ("tags", "revisions", "blobs")} == {
        "tags": 1,
        "revisions": 1,
        "blobs": 2,  # the manifest and its signature
    }
    assert planned.value["bytes"] > 500
    assert run("get", "hello:old").code == 0


@on_each_store
def test_what_is_applied_is_gone_and_the_rest_is_whole(run: Run, filled: Path) -> None:
    applied = run("gc", "apply", "--retention", "keep.toml", "--offline", "--yes", "--json")
    assert (applied.code, applied.value["tags"], applied.value["blobs"]) == (0, 1, 2)
    assert run("get", "hello:old").code == 1
    assert run("verify", "hello:new").code == 0
    again = run("gc", "apply", "--retention", "keep.toml", "--offline", "--yes", "--json")
    assert (again.code, again.value["tags"], again.value["blobs"]) == (0, 0, 0)


def test_each_key_is_named_with_its_reason(run: Run, filled: Path) -> None:
    told = run("gc", "plan", "--retention", "keep.toml", "--offline", "--verbose").text
    assert "_manifests/tags/old/current/link (71 bytes): rule 1" in told
    assert "tag new: no rule names it" in told


def test_without_rules_tagged_manifests_stay(run: Run, filled: Path) -> None:
    assert run("gc", "plan", "--offline", "--json").value["keys"] == 0


def test_nothing_is_deleted_without_a_yes(run: Run, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    asked = run("gc", "apply", "--retention", "keep.toml", "--offline")
    assert asked.code == 130
    assert "Delete it?" in asked.err
    assert run("get", "hello:old").code == 0


@pytest.mark.parametrize("content", ["", "rule = 1", 'history = "soon"'])
def test_rules_that_are_wrong_delete_nothing(run: Run, filled: Path, content: str) -> None:
    (filled / "keep.toml").write_text(content)
    refused = run("gc", "apply", "--retention", "keep.toml", "--offline", "--yes")
    assert refused.code == 2
    assert "keep.toml" in refused.err
    assert run("get", "hello:old").code == 0


def test_other_writers_must_be_ruled_out(run: Run, filled: Path) -> None:
    refused = run("gc", "apply", "--yes")
    assert refused.code == 2
    assert "--offline" in refused.err
