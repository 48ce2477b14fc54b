"""Documents that libtrust made verify here, and come back byte for byte."""

import random
import subprocess
from pathlib import Path

import pytest

from revstore_async.formats.digest import Digest
from revstore_async.signatures import Signature, merge, serialise, verify, verify_document
from tests.parts.libtrust import Libtrust
from tests.parts.vectors import DOCUMENTS, KEYS, Expectation, Expectations

COMMITTED = Expectations.read(DOCUMENTS)


def same(document: bytes, expected: Expectation) -> None:
    """Compare what we read and write with what libtrust said."""
    signed = verify_document(document)
    assert signed.payload == expected.payload
    assert Digest.of(signed.payload) == expected.digest
    assert [each.kid for each in signed.signatures] == expected.kids
    assert {each.format_length for each in signed.signatures} == {expected.format_length}
    assert [each.blob for each in signed.signatures] == expected.blobs
    assert serialise(signed.payload, reversed(signed.signatures)) == document


def same_merges(made: Expectations) -> None:
    chance = random.Random(1)
    for file, orders in made.merges.items():
        merged = made.document(file)
        parts = [made.document(part) for part in orders[0]]
        assert merge(parts) == merged, file
        chance.shuffle(parts)
        assert merge([*parts, merged, parts[0]]) == merged, file


@pytest.mark.parametrize("expected", COMMITTED.documents, ids=lambda expected: expected.file)
def test_each_document_verifies_and_comes_back_as_it_was(expected: Expectation) -> None:
    same(COMMITTED.document(expected.file), expected)


@pytest.mark.parametrize("expected", COMMITTED.documents, ids=lambda expected: expected.file)
def test_each_document_is_put_together_from_its_stored_blobs(expected: Expectation) -> None:
    signatures = [Signature.from_blob(blob) for blob in expected.blobs]
    verify(expected.payload, signatures)
    assert serialise(expected.payload, signatures) == COMMITTED.document(expected.file)


def test_merges_of_one_to_twenty_signers_are_those_of_libtrust() -> None:
    assert len(COMMITTED.merges) >= 20
    same_merges(COMMITTED)


def test_committed_documents_still_verify_in_libtrust(reference: Libtrust) -> None:
    for expected in COMMITTED.documents:
        document = COMMITTED.document(expected.file)
        answer = reference.verify(document)
        assert answer.ok, (expected.file, answer.error)
        assert (answer.payload, answer.document) == (expected.payload, document)
        assert answer.kids == expected.kids


def test_documents_that_libtrust_makes_now_behave_as_the_committed_ones(
    libtrust_binary: Path, tmp_path: Path
) -> None:
    subprocess.run([libtrust_binary, "make", KEYS, tmp_path], check=True)
    made = Expectations.read(tmp_path)
    facts = [
        [
            (each.file, each.payload, each.digest, each.format_length, sorted(each.kids))
            for each in of.documents
        ]
        for of in (made, COMMITTED)
    ]
    assert facts[0] == facts[1]
    for expected in made.documents:
        same(made.document(expected.file), expected)
    same_merges(made)
