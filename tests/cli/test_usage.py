"""revstore du and why: an operator sees the bytes of repositories, and the reasons for which content stays."""

from pathlib import Path

import pytest

from revstore_async import Digest
from revstore_async.cli.usage import size
from tests.cli.conftest import Run, on_each_store
from tests.parts.documents import image

LAYER = b"not in the store"


@pytest.fixture
def documents(run: Run, tmp_path: Path) -> dict[str, bytes]:
    found = {name: image(b"{}", LAYER, annotations={"name": name}) for name in ("a", "b")}
    for name, document in found.items():
        (tmp_path / name).write_bytes(document)
        assert run("put", "--no-check-layers", f"team/{name}:latest", name).code == 0
    return found


@on_each_store
def test_the_bytes_of_repositories_and_of_the_store(run: Run, documents: dict[str, bytes]) -> None:
    told = run("du", "--json")
    a, b = map(len, documents.values())
    assert told.value == {
        "repositories": [
            {"name": "team/a", "logical": a, "unique": a},
            {"name": "team/b", "logical": b, "unique": b},
        ],
        "total": {"stored": a + b, "reclaimable": 0, "young": 0},
    }
    assert run("rm", "team/a:latest").code == 0
    assert run("du", "--json").value["total"]["reclaimable"] == 0  # an untagged manifest stays


def test_people_read_a_table(run: Run, documents: dict[str, bytes]) -> None:
    told = run("du", "team/b")
    length = len(documents["b"])
    assert told.text.splitlines() == [
        "repository  logical  unique  shared",
        f"team/b        {length} B   {length} B     0 B",
        f"stored: {size(2 * length)}, reclaimable: 0 B (young: 0 B)",
    ]


def test_a_repository_that_is_not_there(run: Run, documents: dict[str, bytes]) -> None:
    told = run("du", "team/a", "team/c")
    assert (told.code, told.text) == (1, "")
    assert "repository 'team/c' is not known" in told.err
    assert run("du", "Not a name").code == 2


@on_each_store
def test_the_chains_by_which_a_digest_is_kept(run: Run, documents: dict[str, bytes]) -> None:
    digest = Digest.of(documents["a"])
    told = run("why", digest, "--json")
    assert told.code == 0
    assert told.value == {
        "digest": digest,
        "size": len(documents["a"]),
        "kept": True,
        "chains": [{"repository": "team/a", "root": "tag latest: no rule names it", "digests": [digest]}],
        "more": 0,
        "since": None,
        "young": False,
    }
    assert run("why", digest).text == f"team/a: tag latest: no rule names it -> {digest}\n"
    assert run("rm", f"team/a@{digest}").code == 0
    told = run("why", digest, "--json")
    assert (told.code, told.value["kept"], told.value["young"]) == (1, False, True)
    since = told.value["since"]
    plain = run("why", digest)
    assert (plain.code, plain.err) == (1, "")
    assert plain.text == (
        f"nothing has kept it since {since}\nit is young: the collector leaves it alone for now\n"
    )


def test_rules_decide_whether_a_digest_is_kept(run: Run, documents: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "keep.toml").write_text('history = "0s"\n[[rule]]\ntags = "*"\nexpire = true\n')
    assert run("why", Digest.of(documents["a"]), "--retention", "keep.toml").code == 1
    (tmp_path / "keep.toml").write_text("")
    assert run("why", Digest.of(documents["a"]), "--retention", "keep.toml").code == 2


def test_further_chains_are_counted(run: Run, documents: dict[str, bytes]) -> None:
    assert run("tag", "team/a", "latest", "v1").code == 0
    lines = run("why", Digest.of(documents["a"]), "--limit", "1").text.splitlines()
    assert lines[1:] == ["and 1 more"]


def test_a_digest_that_the_store_does_not_have(run: Run, documents: dict[str, bytes]) -> None:
    told = run("why", Digest.of(LAYER))
    assert (told.code, told.text) == (1, "")
    assert f"blob {Digest.of(LAYER)} is not known in the store" in told.err
    assert run("why", "latest").code == 2


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (3 << 19, "1.5 MiB"),
        ((1 << 40) - 1, "1024.0 GiB"),
        (5 << 50, "5120.0 TiB"),
    ],
)
def test_sizes_have_a_unit(number: int, text: str) -> None:
    assert size(number) == text
