"""revstore rm -r: an operator deletes a repository."""

import io
from pathlib import Path

import pytest

from tests.cli.conftest import Run, on_each_store
from tests.parts.documents import image


@pytest.fixture
def filled(run: Run, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(image(b"{}"))
    for name in ("team", "team/app"):
        for tag in ("latest", "old"):
            assert run("put", "--no-check-layers", f"{name}:{tag}", "image").code == 0


@on_each_store
def test_a_repository_goes_and_the_one_below_stays(run: Run, filled: None) -> None:
    told = run("rm", "-r", "--yes", "team", "--json")
    assert (told.code, told.value) == (0, {"deleted": "team"})
    assert run("ls", "--json").value == ["team/app"]
    assert run("tags", "team").code == 1
    again = run("rm", "--recursive", "--yes", "team")
    assert again.code == 1
    assert "repository 'team' is not known" in again.err
    assert (
        run("gc", "plan", "--offline", "--json").value["blobs"] == 0
    )  # the other repository has the manifest
    assert run("rm", "-r", "--yes", "team/app").code == 0
    assert run("gc", "plan", "--offline", "--json").value["blobs"] == 1


def test_it_asks_first(run: Run, filled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    asked = run("rm", "-r", "team")
    assert asked.code == 130
    assert "Delete all of team?" in asked.err
    assert run("tags", "team").text == "latest\nold\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run("rm", "-r", "team").code == 0
    assert run("tags", "team").code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["team"], "name a tag or a digest, or give -r"),
        (["-r", "team:latest"], "-r takes a repository's name alone"),
        (["-r", "--yes", "Team"], "REF"),
    ],
)
def test_a_tag_and_a_repository_are_not_mixed_up(
    run: Run, filled: None, arguments: list[str], message: str
) -> None:
    refused = run("rm", *arguments)
    assert refused.code == 2
    assert message in refused.err
    assert run("tags", "team").text == "latest\nold\n"
