"""Lists of signatures, apart from what they sign: written and read, strictly."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revstore_async import Signature, parse_signatures, serialise_signatures, sign
from revstore_async.errors import (
    DuplicateMember,
    EntryMemberUnknown,
    EntryMemberWrong,
    InvalidJSON,
    InvalidSignature,
    NotUTF8,
    SignatureRepeated,
    SignaturesAbsent,
    SignaturesNotArray,
    SignaturesNull,
    SignaturesTooLarge,
    SignaturesTwice,
    TooManySignatures,
)
from revstore_async.signatures import LIST_BYTES, SIGNATURE_LIMIT
from tests.parts.documents import image, key, without_key_id
from tests.parts.vectors import chained_key

IMAGE = image(b"{}")
SIGNATURES = [sign(IMAGE, key(host)) for host in range(4)]
ONE = SIGNATURES[0].blob


@given(st.permutations(SIGNATURES).flatmap(lambda order: st.integers(0, 4).map(lambda n: order[:n])))
def test_one_set_gives_one_text_and_comes_back(signatures: list[Signature]) -> None:
    text = serialise_signatures(signatures)
    assert text == serialise_signatures([*reversed(signatures), *signatures])
    assert parse_signatures(text) == tuple(sorted(signatures, key=lambda signature: signature.sort_key))
    assert json.loads(text) == {"signatures": [json.loads(each.blob) for each in parse_signatures(text)]}


def test_entries_may_be_written_in_any_way() -> None:
    loose = json.dumps({"signatures": [json.loads(ONE)]}, indent=3, sort_keys=True).encode()
    assert parse_signatures(loose) == (SIGNATURES[0],)


def test_one_that_no_document_holds_beside_others_can_be_listed() -> None:
    alone = without_key_id(sign(IMAGE, chained_key("ec256")))
    both = serialise_signatures([alone, SIGNATURES[0]])
    assert set(parse_signatures(both)) == {alone, SIGNATURES[0]}


REFUSED: dict[str, tuple[bytes, type[Exception]]] = {
    "nothing": (b"", InvalidJSON),
    "an array": (b"[]", InvalidJSON),
    "no array": (b"{}", SignaturesAbsent),
    "null": (b'{"signatures": null}', SignaturesNull),
    "an object": (b'{"signatures": {}}', SignaturesNotArray),
    "text": (b'{"signatures": "x"}', SignaturesNotArray),
    "two arrays": (b'{"signatures": [], "signatur\\u0065s": []}', SignaturesTwice),
    "another member": (b'{"signatures": [], "payload": ""}', EntryMemberUnknown),
    "a signed document": (b'{"schemaVersion": 1, "signatures": [' + ONE + b"]}", EntryMemberUnknown),
    "an entry that is none": (b'{"signatures": [1]}', EntryMemberWrong),
    "an entry with more": (b'{"signatures": [' + ONE[:-1] + b',"more":1}]}', EntryMemberUnknown),
    "an entry with a member twice": (
        b'{"signatures": [' + ONE[:-1] + b',"protected":""}]}',
        DuplicateMember,
    ),
    "one signature twice": (b'{"signatures": [' + ONE + b"," + ONE + b"]}", SignatureRepeated),
    "bytes that are no text": (b'{"signatures": ["\xff"]}', NotUTF8),
    "depth": (b'{"signatures": ' + b"[" * 5000 + b"]" * 5000 + b"}", InvalidJSON),
    "too many": (b'{"signatures": [' + b",".join([b"1"] * (SIGNATURE_LIMIT + 1)) + b"]}", TooManySignatures),
    "too much": (b'{"signatures": []' + b" " * LIST_BYTES + b"}", SignaturesTooLarge),
}


@pytest.mark.parametrize(("document", "error"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(document: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_signatures(document)


def test_the_limit_is_the_callers() -> None:
    text = serialise_signatures(SIGNATURES)
    assert len(parse_signatures(text, limit=len(text))) == 4
    with pytest.raises(SignaturesTooLarge) as refused:
        parse_signatures(text, limit=len(text) - 1)
    assert (refused.value.size, refused.value.limit) == (len(text), len(text) - 1)


@given(
    st.binary(max_size=200)
    | st.text(max_size=50).map(lambda text: b'{"signatures":[' + text.encode() + b"]}")
)
def test_any_bytes_are_read_or_refused_by_name(document: bytes) -> None:
    with suppress(InvalidJSON, InvalidSignature):
        assert parse_signatures(document) == ()
