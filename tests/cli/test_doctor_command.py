"""What the command says of a report, and how it ends."""

import json

import pytest

from revstore_async.cli import doctor
from revstore_async.cli.commands import run
from revstore_async.doctor import Finding, Report, Verdict
from revstore_async.driver import Capabilities, Driver

FINE = Finding("write if absent", Verdict.HONOURED, "one winner of 50", "conditional_put")
BROKEN = Finding("completion if absent", Verdict.BROKEN, "it was written over", "conditional_commit")
UNDECIDED = Finding("write if unchanged", Verdict.UNDECIDED, "the storage did not answer", "conditional_put")


def ended(monkeypatch: pytest.MonkeyPatch, *findings: Finding, arguments: tuple[str, ...] = ()) -> int:
    async def examine(driver: Driver, **_: object) -> Report:
        return Report(findings, Capabilities())

    monkeypatch.setattr(doctor, "examine", examine)
    return run(["doctor", "--store", "memory:", *arguments])


def test_the_command_names_the_options(monkeypatch, capsys):
    assert ended(monkeypatch, FINE, BROKEN) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("the options conditional_commit=false")
    assert ended(monkeypatch, FINE, BROKEN, arguments=("--json",)) == 1
    assert json.loads(capsys.readouterr().out)["options"] == {"conditional_commit": False}
    assert ended(monkeypatch, FINE) == 0
    assert "options" not in capsys.readouterr().out


def test_what_could_not_be_tried_is_no_yes_and_no_no(monkeypatch, capsys):
    assert ended(monkeypatch, FINE, UNDECIDED) == 2
    said = capsys.readouterr()
    assert "write if unchanged  undecided    the storage did not answer" in said.out.splitlines()
    assert "run this again" in said.out
    assert "options" not in said.out
    assert "could not be tried" in said.err


def test_what_is_undecided_is_told_in_json(monkeypatch, capsys):
    assert ended(monkeypatch, FINE, UNDECIDED, arguments=("--json",)) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["healthy"], told["decided"], told["options"]) == (False, False, {})
    assert [finding["verdict"] for finding in told["findings"]] == ["honoured", "undecided"]
    assert ended(monkeypatch, FINE, arguments=("--json",)) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["healthy"], told["decided"]) == (True, True)


def test_what_is_broken_is_a_no_whatever_else_is_undecided(monkeypatch, capsys):
    assert ended(monkeypatch, UNDECIDED, BROKEN) == 1
    said = capsys.readouterr().out
    assert "run this again" in said
    assert said.splitlines()[-1].endswith("the options conditional_commit=false")
