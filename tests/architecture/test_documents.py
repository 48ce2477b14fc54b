"""The programs in the documents run, and their links lead somewhere."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from revstore_drivers.s3 import S3Options

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("drivers/*.md"), *ROOT.glob("bench/*.md")]
)
PROGRAMS = [
    pytest.param(program, id=f"{document.name}-{number}")
    for document in DOCUMENTS
    for number, program in enumerate(
        re.findall(r"^```python\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)
    )
    if "asyncio.run(" in program
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_in_the_documents_run(program: str, tmp_path: Path):
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr


def test_there_are_programs():
    assert len(PROGRAMS) > 5


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_the_demo_runs():
    demo = ROOT / "docs" / "examples" / "signed_by_three_hosts.py"
    ran = subprocess.run([sys.executable, "-W", "error", demo], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("verified") == 3


def test_the_table_of_the_s3_drivers_options_is_whole():
    documented = (ROOT / "docs" / "drivers.md").read_text()
    for option in dataclasses.fields(S3Options):
        if option.metadata:
            assert f"| `{option.name}` |" in documented
            assert f"| {option.metadata['says']} |" in documented
