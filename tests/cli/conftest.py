"""The command, as a test runs it."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from revstore_async import Digest
from revstore_async.cli import main
from tests.parts.documents import schema1, signed


@dataclass
class Ran:
    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def value(self) -> Any:
        assert self.out.count(b"\n") == 1, "JSON is one value on one line"
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def store(request: pytest.FixtureRequest) -> str:
    """Name the store: a folder, unless a test is there for each."""
    return "file:store" if getattr(request, "param", "file") == "file" else request.getfixturevalue("s3_url")


on_each_store = pytest.mark.parametrize("store", ["file", "s3"], indirect=True)


@pytest.fixture
def run(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Run:
    """Run the command in a folder of its own, with a store of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REVSTORE_STORE", store)

    def runs(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["revstore", *arguments])
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfdbinary.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        assert b"Traceback" not in err
        return Ran(code, out, err.decode())

    return runs


EXPIRE = 'history = "0s"\n[[rule]]\ntags = "old"\nexpire = true\n'


@pytest.fixture
def filled(run: Run, tmp_path: Path) -> Path:
    """A store with the tags old and new of one repository, and a file of rules, keep.toml, by which old expires."""
    for tag in ("old", "new"):
        (tmp_path / tag).write_bytes(signed(schema1(Digest.of(b"a layer"), tag=tag, name="hello"), 1))
        assert run("put", "--no-check-layers", f"hello:{tag}", tag).code == 0
    (tmp_path / "keep.toml").write_text(EXPIRE)
    return tmp_path
