"""Each program in the documents runs as it stands, and prints no warning."""

import contextlib
import io
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents.table import Kind, blocks_to_test
from tests.parts.document_blocks import ROOT, Block


@pytest.mark.parametrize("program", blocks_to_test(Kind.PROGRAM), ids=lambda block: block.name)
def test_each_program_runs_in_an_empty_folder(
    program: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert program.language == "python"
    monkeypatch.chdir(tmp_path)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(program.text, program.name, "exec"), {"__name__": "__main__"})
    assert ("print(" in program.text) == bool(output.getvalue())


def test_the_demo_runs():
    demo = ROOT / "docs" / "examples" / "signed_by_three_hosts.py"
    ran = subprocess.run([sys.executable, "-W", "error", demo], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("verified") == 3
