"""revstore gc: an operator frees the space of a store."""

import asyncio
import io
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from revstore_async import Registry
from tests.cli.conftest import Run, on_each_store


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


@pytest.mark.parametrize("beside", ["--offline", "--yes"])
def test_a_repository_that_stays_for_a_manifest_that_cannot_be_read_is_named_in_json(
    run: Run, filled: Path, beside: str
) -> None:
    v2 = filled / "store/docker/registry/v2"
    digest = (v2 / "repositories/hello/_manifests/tags/new/current/link").read_text()
    value = digest.partition(":")[2]
    (v2 / "blobs/sha256" / value[:2] / value / "data").write_bytes(b"{")
    run("gc", "bounds", "--offline", "--lease", "0")
    run("gc", "enable")
    applied = run("gc", "apply", "--retention", "keep.toml", "--yes", "--json", "--verbose", beside)
    assert (applied.code, applied.value["going"]) == (0, [])
    assert applied.value["unreadable"] == {"hello": digest}
    assert applied.value["tags"] == 0
    assert run("get", "hello:old").code == 0


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


def test_other_writers_must_know_the_collector_or_be_ruled_out(run: Run, filled: Path) -> None:
    refused = run("gc", "apply", "--yes")
    assert refused.code == 1
    assert "gc enable" in refused.err
    assert "--offline" in refused.err


@on_each_store
def test_a_run_beside_other_programs(run: Run, filled: Path) -> None:
    assert run("gc", "bounds", "--offline", "--keep", "1", "--link-within", "1s", "--lease", "1").code == 0
    short_operations()
    assert run("gc", "enable").code == 0
    time.sleep(3)
    applied = run("gc", "apply", "--retention", "keep.toml", "--yes", "--json")
    assert (applied.code, applied.value["tags"], applied.value["blobs"]) == (0, 1, 2)
    assert (applied.value["spared"], applied.value["left"]) == ({}, 0)
    assert run("get", "hello:old").code == 1
    assert run("verify", "hello:new").code == 0
    assert run("gc", "apply", "--yes", "--json").value["run"] is None
    told = run("gc", "status", "--json").value
    assert (told["phase"], told["bounds"]["keep"], told["last"] is None) == ("idle", 1, False)


def short_operations() -> None:
    """Say that an operation on metadata takes a second at most, as no test can wait for longer ones."""

    async def work() -> None:
        async with Registry.open(os.environ["REVSTORE_STORE"]) as registry:
            await registry.collector.bounds(metadata=timedelta(seconds=1), offline=True)

    asyncio.run(work())


def test_the_state_of_the_collector_is_shown_and_changed(run: Run) -> None:
    shown = run("gc", "status")
    assert (shown.code, shown.text.splitlines()[0]) == (0, "no run is open")
    assert "lease: 1d" in shown.text
    assert run("gc", "cancel", "--json").value["phase"] == "idle"
    enabled = run("gc", "enable", "--json").value
    assert enabled["enabled"] < enabled["begins"]
    later = run("gc", "bounds", "--lease", "12h", "--json").value
    assert (later["lease"], later["later"]["lease"], later["hold"]) == (86_400, 43_200, 900)
    assert "lease 12h" in run("gc", "bounds").text
    at_once = run("gc", "bounds", "--lease", "90m", "--hold", "100", "--offline", "--json").value
    assert (at_once["lease"], at_once["hold"], at_once["later"]) == (5400, 100, None)
    assert "lease: 90m" in run("gc", "bounds").text


@pytest.mark.parametrize("given", ["soon", "-1", "1.5", "0"])
def test_bounds_that_are_wrong_change_nothing(run: Run, given: str) -> None:
    refused = run("gc", "bounds", "--link-within", given)
    assert refused.code == 2
    assert run("gc", "bounds", "--json").value["link_within"] == 600
