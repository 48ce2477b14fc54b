"""Each code block of the documents stands in the table that says how it is tested."""

from pathlib import Path

import pytest

from tests.documents.table import ELSEWHERE, TABLE, Kind
from tests.parts.document_blocks import DOCUMENTS, ROOT, blocks_of


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.relative_to(ROOT).as_posix())
def test_each_code_block_is_in_the_table_of_tests(document: Path):
    blocks = blocks_of(document)
    rows = TABLE[document.relative_to(ROOT).as_posix()]
    for block, (_, first) in zip(blocks, rows, strict=False):
        assert block.text.startswith(first), f"{block.name} is not the block that the table expects here"
    assert len(blocks) == len(rows), "the document has other blocks than the table"


def test_each_document_of_the_table_exists():
    assert set(TABLE) == {document.relative_to(ROOT).as_posix() for document in DOCUMENTS}


@pytest.mark.parametrize(
    "document", [name for name, rows in TABLE.items() for kind, _ in rows if kind is Kind.TESTS]
)
def test_modules_of_tests_in_a_document_are_run_by_a_test(document: str):
    assert Path(document).name in (ROOT / ELSEWHERE[document]).read_text()
