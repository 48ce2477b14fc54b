"""What we sign, libtrust accepts and writes the same; what it signs, we do."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from revstore_async import errors
from revstore_async.signatures import SigningKey, merge, serialise, sign, verify_document
from tests.parts.libtrust import Libtrust
from tests.parts.payloads import payloads
from tests.parts.vectors import chained_key, key, made_by_libtrust, signers

# None with certificates: Go parses more of them than a signature needs. What is in them is trust's business.
STEMS = ("merged-kinds-indent-3", "merged-kinds-compact", "payload-unicode", "payload-escapes")
INSERTED = (b"", b" ", b"\n", b"\t\r ", b",", b"0", b'"', b"{}", b"\\u0073", b"A", b"=")
KEYS = (*signers()[:8], key("ec384"), key("ec521"), key("rsa2048"))
# One process serves all examples; it keeps nothing from one question to the next.
SETTINGS = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SETTINGS
@given(
    payloads(), st.lists(st.sampled_from((*KEYS, chained_key("ec256"))), min_size=1, max_size=4, unique=True)
)
def test_what_we_sign_libtrust_accepts(reference: Libtrust, payload: bytes, keys: list[SigningKey]) -> None:
    document = serialise(payload, [sign(payload, each) for each in keys])
    answer = reference.verify(document)
    assert answer.ok, answer.error
    assert answer.payload == payload
    assert answer.document == document
    assert answer.kids == [each.kid for each in verify_document(document).signatures]


@SETTINGS
@given(payloads(), st.lists(st.sampled_from(KEYS), min_size=1, max_size=5))
def test_what_libtrust_signs_and_merges_we_do_alike(
    reference: Libtrust, payload: bytes, keys: list[SigningKey]
) -> None:
    parts = []
    for each in keys:
        answer = reference.sign(payload, each)
        assert answer.ok, answer.error
        signed = verify_document(answer.document)
        assert signed.payload == payload
        assert [one.blob for one in signed.signatures] == answer.blobs
        parts.append(answer.document)
    merged = reference.merge(parts)
    assert merged.ok, merged.error
    # Two signatures by RSA in one second are identical, and libtrust leaves it to its caller to keep one.
    if len(set(parts)) == len(parts):
        assert merge(reversed(parts)) == merged.document


@SETTINGS
@given(st.sampled_from(STEMS), st.integers(0, 10_000), st.integers(0, 3), st.sampled_from(INSERTED))
def test_what_we_accept_of_a_mutant_libtrust_reads_alike(
    reference: Libtrust, stem: str, where: int, removed: int, inserted: bytes
) -> None:
    document = made_by_libtrust(f"{stem}.json")
    start = where % len(document)
    mutant = document[:start] + inserted + document[start + removed :]
    try:
        signed = verify_document(mutant)
    except errors.InvalidInput:
        return
    answer = reference.verify(mutant)
    assert answer.ok, answer.error
    assert (answer.payload, answer.document) == (signed.payload, serialise(signed.payload, signed.signatures))


def test_libtrust_crashes_where_we_refuse(reference: Libtrust) -> None:
    parts = [made_by_libtrust(f"{stem}-indent-3.json") for stem in ("chain-ec256", "kind-ec256")]
    assert reference.merge(parts).error.startswith("crashed")
    with pytest.raises(errors.ChainWithoutKeyID):
        merge(parts)
