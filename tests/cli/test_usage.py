"""revstore du: an operator sees the bytes of repositories, and those that a run could free."""

from pathlib import Path

import pytest

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
