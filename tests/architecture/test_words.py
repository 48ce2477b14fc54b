"""The documents use the terms of docs/concepts.md, and not the words that it replaces."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONCEPTS = (ROOT / "docs" / "concepts.md").read_text()
TERMS = re.findall(
    r"^\*\*([A-Z][\w ]*)\*\*: ", CONCEPTS[: CONCEPTS.index("\n## How the parts fit")], re.MULTILINE
)
REPLACED = [
    word
    for row in re.findall(
        r"^\| (.*?) \| .* \|$",
        CONCEPTS.partition("| not | but |\n| --- | --- |\n")[2].partition("\n\n")[0],
        re.MULTILINE,
    )
    for word in row.split(", ")
]
WRITTEN_BY_PROGRAMS = {"bench/README.md"}
DOCUMENTS = [
    path
    for path in sorted(
        [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("drivers/*.md")]
    )
    if path.relative_to(ROOT).as_posix() not in WRITTEN_BY_PROGRAMS
]


def prose_of(document: Path) -> str:
    """Return a document's text without code, and without the table of replaced words."""
    text = document.read_text().replace(CONCEPTS.partition("| not | but |")[2].partition("\n\n")[0], "")
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^    .*", "", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`\n]*`", "", text)
    return re.sub(r"(take[sn]?|took) place|in place\b", "", " ".join(text.split()))


@cache
def source() -> str:
    return "\n".join(path.read_text() for path in (ROOT / "revstore_async").rglob("*.py")).lower()


def forms_of(word: str) -> str:
    """Return the pattern of a word and its plural, or of a verb and its forms."""
    stem = word.removesuffix("e")
    return rf"\b{re.escape(word)}(s|es)?\b" if stem == word else rf"\b{re.escape(stem)}(e|es|ed|ing)\b"


def test_there_are_terms_and_replaced_words():
    assert {"Digest", "Manifest", "Revision", "Upload", "Referrer", "Store", "Round trip"} <= set(TERMS)
    assert {"place", "guess", "judge", "nobody"} <= set(REPLACED)
    assert not set(REPLACED) & {term.lower() for term in TERMS}


@pytest.mark.parametrize("term", TERMS)
def test_each_term_is_used_in_the_code_and_in_other_documents(term: str):
    pattern = re.compile(rf"\b{term.lower().removesuffix('y')}", re.IGNORECASE)
    assert pattern.search(source())
    others = [path for path in DOCUMENTS if path.name != "concepts.md"]
    assert any(pattern.search(path.read_text()) for path in others)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.relative_to(ROOT).as_posix())
def test_no_document_uses_a_word_that_the_terms_replace(document: Path):
    prose = prose_of(document)
    found = {match[0] for word in REPLACED for match in re.finditer(forms_of(word), prose, re.IGNORECASE)}
    assert not found, "docs/concepts.md says what to write instead"
