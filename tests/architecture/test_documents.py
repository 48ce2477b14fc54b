"""The links of the documents lead somewhere, and their tables are whole. `tests/documents` runs their programs."""

import dataclasses
import re
from pathlib import Path

import pytest

from revstore_drivers.s3 import S3Options

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("drivers/*.md"), *ROOT.glob("bench/*.md")]
)


def anchors_of(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if "://" not in link:
            name, _, anchor = link.partition("#")
            target = document.parent / name if name else document
            assert target.exists(), link
            assert not anchor or anchor in anchors_of(target), link


def test_the_table_of_the_s3_drivers_options_is_whole():
    documented = (ROOT / "docs" / "drivers.md").read_text()
    for option in dataclasses.fields(S3Options):
        if option.metadata:
            assert f"| `{option.name}` |" in documented
            assert f"| {option.metadata['says']} |" in documented
