"""One payload and one set of signatures give one document, whatever the order they came in."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revstore_async import errors
from revstore_async.signatures import (
    SIGNATURE_LIMIT,
    Signature,
    SigningKey,
    check,
    is_signed,
    merge,
    parse,
    serialise,
    sign,
    verify,
    verify_document,
)
from tests.parts.payloads import payloads
from tests.parts.vectors import chained_key, key, signers

KEYS = (*signers()[:6], key("ec384"), key("ec521"), key("rsa2048"), chained_key("ec256"))
PAYLOAD = b'{\n  "a": 1\n}'


@st.composite
def some_keys(draw: st.DrawFn) -> list[SigningKey]:
    return draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True))


@settings(deadline=None, max_examples=100)
@given(payloads(), some_keys(), st.randoms())
def test_any_payload_by_any_signers_in_any_order(
    payload: bytes, keys: list[SigningKey], chance: random.Random
) -> None:
    signatures = [sign(payload, each) for each in keys]
    document = serialise(payload, signatures)
    signed = verify_document(document)
    assert signed.payload == payload
    assert set(signed.signatures) == set(signatures)

    parts = [serialise(payload, [each]) for each in signatures]
    chance.shuffle(parts)
    chance.shuffle(signatures)
    assert merge(parts) == merge([document, *parts]) == document
    assert serialise(payload, signatures + signatures[:1]) == document
    assert [Signature.from_blob(each.blob) for each in signed.signatures] == list(signed.signatures)


@settings(deadline=None, max_examples=150)
@given(payloads(), some_keys(), st.data())
def test_any_flipped_byte_in_a_signed_part_fails(
    payload: bytes, keys: list[SigningKey], data: st.DataObject
) -> None:
    document = bytearray(serialise(payload, [sign(payload, each) for each in keys]))
    signed = parse(bytes(document))
    cut = signed.signatures[0].format_length
    parts = [range(cut)]
    for signature in signed.signatures:
        for text in (signature.protected, signature.text):
            start = document.index(text.encode())
            parts.append(range(start, start + len(text)))
    position = data.draw(st.sampled_from(data.draw(st.sampled_from(parts))))
    document[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(errors.InvalidInput):
        verify_document(bytes(document))


@settings(deadline=None, max_examples=100)
@given(payloads(), st.data())
def test_nothing_but_the_blob_itself_is_read_as_one(payload: bytes, data: st.DataObject) -> None:
    blob = bytearray(sign(payload, key("ec256")).blob)
    position = data.draw(st.integers(0, len(blob) - 1))
    blob[position] ^= data.draw(st.integers(1, 255))
    try:
        changed = Signature.from_blob(bytes(blob))
    except errors.InvalidInput:
        return
    assert check(payload, [changed])  # well formed still, in another signature or time


def test_no_signatures_give_the_payload_itself() -> None:
    assert serialise(b" any bytes ", []) == b" any bytes "
    verify(b"any bytes", [])
    assert check(b"any bytes", []) == []


def test_a_document_says_whether_it_is_signed() -> None:
    assert is_signed(serialise(PAYLOAD, [sign(PAYLOAD, key("ec256"))]))
    assert not is_signed(PAYLOAD)
    with pytest.raises(errors.InvalidJSON):
        is_signed(b"[]")


def test_signatures_of_another_cut_are_refused_before_anything_is_written() -> None:
    mine, other = sign(PAYLOAD, key("ec256")), sign(b'{"a":1}', key("ec256"))
    with pytest.raises(errors.FormatNotCut):
        serialise(PAYLOAD, [mine, other])
    with pytest.raises(errors.FormatNotCut):
        verify(PAYLOAD, [other])


def test_check_names_every_bad_signature() -> None:
    cousin = PAYLOAD.replace(b"1", b"2")
    signatures = [sign(PAYLOAD if index % 2 else cousin, each) for index, each in enumerate(signers())]
    found = check(PAYLOAD, signatures)
    assert [type(each) for each in found] == [errors.SignatureMismatch] * 10
    mismatches = [each for each in found if isinstance(each, errors.SignatureMismatch)]
    assert [each.member for each in mismatches] == [f"signatures[{index}]" for index in range(0, 20, 2)]
    with pytest.raises(errors.SignatureMismatch) as first:
        verify(PAYLOAD, signatures)
    assert first.value.kid == signers()[0].kid


def test_other_payloads_are_not_merged() -> None:
    documents = [
        serialise(each, [sign(each, key("ec256"))]) for each in (PAYLOAD, PAYLOAD.replace(b"1", b"2"))
    ]
    with pytest.raises(errors.PayloadsDiffer) as caught:
        merge(documents)
    assert caught.value.index == 1
    assert caught.value.expected != caught.value.actual


def test_the_same_payload_but_for_white_space_is_another_one() -> None:
    longer = PAYLOAD + b"\n"
    with pytest.raises((errors.PayloadsDiffer, errors.FormatsDiffer)):
        merge(serialise(each, [sign(each, key("ec256"))]) for each in (PAYLOAD, longer))


def test_nothing_is_not_merged() -> None:
    with pytest.raises(errors.InvalidArgument):
        merge([])


def test_an_unsigned_document_is_not_merged() -> None:
    with pytest.raises(errors.SignaturesAbsent):
        merge([PAYLOAD])


def test_one_bad_signature_spoils_a_merge() -> None:
    cousin = sign(PAYLOAD.replace(b"1", b"2"), signers()[1])
    documents = [serialise(PAYLOAD, [sign(PAYLOAD, signers()[0])]), serialise(PAYLOAD, [cousin])]
    with pytest.raises(errors.SignatureMismatch):
        merge(documents)


def test_one_signature_with_two_chains_is_two_and_their_order_is_fixed() -> None:
    mine = sign(PAYLOAD, chained_key("ec256"))
    shorter = Signature.from_members(
        {
            "header": {"jwk": dict(mine.key.members()), "alg": mine.alg},
            "signature": mine.text,
            "protected": mine.protected,
        },
        "",
    )
    assert shorter.sort_key[:2] == mine.sort_key[:2]
    assert serialise(PAYLOAD, [mine, shorter]) == serialise(PAYLOAD, [shorter, mine])
    assert len(verify_document(serialise(PAYLOAD, [mine, shorter])).signatures) == 2


def test_as_many_signatures_as_the_limit_allows() -> None:
    signatures = [sign(PAYLOAD, signers()[index % 20]) for index in range(SIGNATURE_LIMIT + 1)]
    document = serialise(PAYLOAD, signatures[:-1])
    assert len(verify_document(document).signatures) == SIGNATURE_LIMIT
    with pytest.raises(errors.TooManySignatures):
        serialise(PAYLOAD, signatures)


def test_white_space_past_the_closing_brace_is_signed_though_no_document_shows_it() -> None:
    payload = PAYLOAD + b" \r\n\t"
    document = serialise(payload, [sign(payload, key("ec256"))])
    assert document.endswith(b"\n}")
    assert parse(document).payload == payload
