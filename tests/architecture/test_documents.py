"""The links of the documents lead somewhere, and their tables are whole. `tests/documents` runs their programs."""

import dataclasses
import re
from importlib import import_module
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


PUBLIC_MODULES = re.findall(
    r"`(revstore_\w+(?:\.\w+)*)`",
    "".join(re.findall(r"^\| (`revstore.*?) \|", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)),
)


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_each_public_module_has_public_names(name: str):
    module = import_module(name)
    names = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
    assert names
    assert all(hasattr(module, each) for each in names)


def test_programs_in_the_documents_and_examples_import_public_modules_only():
    texts = [document.read_text() for document in [*DOCUMENTS, *ROOT.glob("docs/examples/*.py")]]
    imported = {
        name for text in texts for name in re.findall(r"^from (revstore_[\w.]+) import", text, re.MULTILINE)
    }
    assert len(imported) > 5
    assert imported <= set(PUBLIC_MODULES)


def test_each_module_of_the_packages_that_an_init_offers_is_public():
    offering = {
        ".".join(path.relative_to(ROOT / root).parent.parts)
        for root, package in ((".", "revstore_async"), ("drivers", "revstore_drivers"))
        for path in (ROOT / root / package).rglob("__init__.py")
        if "__all__ = [" in path.read_text()
    }
    inner = {"revstore_async.cli", "revstore_async.testing.conformance"}
    assert offering - inner <= set(PUBLIC_MODULES)
