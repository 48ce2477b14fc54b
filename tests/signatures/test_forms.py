"""Keys, signatures and documents go in as programs have them, and a wrong type is refused by name.

The functions come by introspection from `revstore_async.signatures`, `trust` and `policy`; a parameter that the
table does not know fails the test.
"""

import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import NoneType
from typing import Any

import pytest
from cryptography import x509
from jwcrypto.jwk import JWK

from revstore_async import Policy, TrustedCertificates, TrustedKeys, errors, signatures, tags_matching
from revstore_async.formats.manifests import read_manifest
from revstore_async.signatures import (
    PublicKey,
    Signature,
    SigningKey,
    merge,
    serialise,
    sign,
    verify_document,
)
from revstore_async.trust import AnyOf
from tests.parts.documents import image
from tests.parts.forging import PAYLOAD
from tests.parts.vectors import KEYS, key

MINE = key("ec256")
PEM, PUBLIC = MINE.to_pem(), MINE.public.to_pem()
CHAIN = (KEYS / "ec256.chain.pem").read_bytes()
CERTIFICATES = x509.load_pem_x509_certificates(CHAIN)
SIGNATURE = sign(PAYLOAD, MINE)
SIGNED = serialise(PAYLOAD, [SIGNATURE])
LIST = signatures.serialise_signatures([SIGNATURE])

STEMS = pytest.mark.parametrize("stem", ["ec256", "ec384", "ec521", "rsa2048"])


@STEMS
def test_the_exports_of_jwcrypto_are_keys(stem: str):
    mine = key(stem)
    jwk = JWK.from_pyca(mine.crypto)
    forms: list[Any] = [jwk, jwk.export(), jwk.export().encode(), jwk.export(as_dict=True)]
    for form in forms:
        assert SigningKey.from_jwk(form) == mine
    public: list[Any] = [
        jwk.public(),
        jwk.export_public(),
        jwk.export_public(as_dict=True),
        mine.public.members(),
    ]
    for form in public:
        assert PublicKey.from_jwk(form) == mine.public
    assert SigningKey.from_pem(jwk.export_to_pem(private_key=True, password=None)) == mine
    assert SigningKey.from_pem(jwk.export_to_pem(private_key=True, password=b"secret"), "secret") == mine
    assert PublicKey.from_pem(jwk.export_to_pem()) == mine.public


@STEMS
def test_pem_is_text_or_bytes(stem: str):
    mine = key(stem)
    for pem in (mine.to_pem(), mine.to_pem().decode()):
        assert SigningKey.from_pem(pem) == mine
    for secret in ("påss", "påss".encode()):
        for pem in (mine.to_pem(secret), mine.to_pem(secret).decode()):
            assert SigningKey.from_pem(pem, "påss") == mine
    for public in (mine.public.to_pem(), mine.public.to_pem().decode()):
        assert PublicKey.from_pem(public) == mine.public


def test_a_chain_is_text_bytes_or_certificates():
    forms: list[Any] = [CHAIN, CHAIN.decode(), CERTIFICATES, tuple(CERTIFICATES)]
    for form in forms:
        assert MINE.with_chain(form).certificates == tuple(CERTIFICATES)
    signature = sign(PAYLOAD, MINE.with_chain(CHAIN))
    for authority in (CHAIN, CHAIN.decode()):
        assert TrustedCertificates(authority, at_signing=True).trusted(signature)


def test_an_empty_passphrase_is_refused():
    with pytest.raises(errors.InvalidArgument, match="passphrase"):
        MINE.to_pem("")


@pytest.mark.parametrize(
    "jwk", [{}, {"kty": []}, {"kty": "EC", "crv": "P-256", "x": 1, "y": b"", "d": None}, {1: 2}]
)
def test_a_mapping_that_is_no_jwk_is_no_key(jwk: dict[Any, Any]):
    for read in (PublicKey.from_jwk, SigningKey.from_jwk):
        with pytest.raises(errors.UnusableKey):
            read(jwk)


def test_any_buffer_is_a_document():
    for form in (bytearray, memoryview):
        assert verify_document(form(SIGNED)) == verify_document(SIGNED)
        assert merge([form(SIGNED), SIGNED]) == SIGNED
        assert sign(form(PAYLOAD), MINE, time=SIGNATURE.time).format_length == SIGNATURE.format_length
        assert serialise(form(PAYLOAD), iter([SIGNATURE])) == SIGNED
        assert Signature.from_blob(form(SIGNATURE.blob)) == SIGNATURE
        assert read_manifest(form(image(b"{}"))) == read_manifest(image(b"{}"))


BYTES = (bytes, bytearray, memoryview)
ARGUMENTS: dict[str, tuple[object, tuple[type, ...]]] = {
    "authorities": (CHAIN, (str, *BYTES)),
    "bits": (3072, (int,)),
    "blob": (SIGNATURE.blob, BYTES),
    "certificate": (CERTIFICATES[0], (x509.Certificate,)),
    "certificates": (CERTIFICATES, (str, *BYTES, list, dict)),  # the values in a list are tested below
    "content": (MINE.to_jwk(), (str, *BYTES, dict)),
    "document": (SIGNED, BYTES),
    "documents": ([SIGNED], (list, dict)),
    "immutable": (tags_matching("v*"), ()),
    "key": (MINE, (SigningKey,)),
    "keys": ([MINE.public], (list, dict)),
    "kind": ("P-256", (str,)),
    "limit": (1 << 20, (int,)),
    "media_type": (None, (str, NoneType)),
    "passphrase": (None, (str, *BYTES, NoneType)),
    "patterns": ("v*", (str,)),
    "payload": (PAYLOAD, BYTES),
    "pem": (PEM, (str, *BYTES)),
    "policies": (TrustedKeys([MINE.kid]), ()),
    "signatures": ([SIGNATURE], (list, dict)),
    "time": (None, (datetime, NoneType)),
    "trust": (None, (NoneType,)),
}
"""For each parameter, a value that is right, and the types that are taken."""

UNJUDGED = {"check_layers", "at_signing", "clock", "verify"}
"""Flags, for which Python takes every object; and functions."""

INSIDE = {"certificates": 5, "documents": "text", "keys": b"bytes", "signatures": "text"}
OTHERS: list[Any] = [None, 5, 1.5, "text", b"bytes", ["list"], {"a": "dict"}, object(), datetime.now(UTC)]

CALLS: dict[str, Callable[..., object]] = {
    "PublicKey.from_pem": PublicKey.from_pem,
    "PublicKey.from_jwk": PublicKey.from_jwk,
    "PublicKey.from_certificate": PublicKey.from_certificate,
    "SigningKey.from_pem": SigningKey.from_pem,
    "SigningKey.from_jwk": SigningKey.from_jwk,
    "SigningKey.generate": SigningKey.generate,
    "SigningKey.with_chain": MINE.with_chain,
    "SigningKey.to_pem": MINE.to_pem,
    "Signature.from_blob": Signature.from_blob,
    "read_manifest": read_manifest,
    "TrustedKeys": TrustedKeys,
    "TrustedCertificates": TrustedCertificates,
    "AnyOf": AnyOf,
    "Policy": Policy,
    "tags_matching": tags_matching,
}
OF_THE_ENGINE = {"entry_overhead"}
"""Exported for the engine's own packages."""


def calls() -> Iterator[tuple[str, Callable[..., object]]]:
    yield from CALLS.items()
    for name in signatures.__all__:
        thing = getattr(signatures, name)
        if inspect.isfunction(thing) and name not in OF_THE_ENGINE:
            yield name, thing


def called(call: Callable[..., object], arguments: dict[str, Any]) -> object:
    kinds = inspect.signature(call).parameters
    places = [
        value for name, value in arguments.items() if kinds[name].kind is inspect.Parameter.VAR_POSITIONAL
    ]
    named = {
        name: value
        for name, value in arguments.items()
        if kinds[name].kind is not inspect.Parameter.VAR_POSITIONAL
    }
    try:
        return call(*places, **named)
    except errors.RevstoreError as error:
        return error


@pytest.mark.parametrize(("name", "call"), list(calls()), ids=[name for name, _ in calls()])
def test_another_type_is_refused_by_name(name: str, call: Callable[..., object]):
    found = inspect.signature(call).parameters
    needed = {
        each: ARGUMENTS[each][0] for each, one in found.items() if one.default is inspect.Parameter.empty
    }
    assert not isinstance(called(call, needed), errors.WrongType)
    for parameter in found.keys() - UNJUDGED:
        kinds = ARGUMENTS[parameter][1]
        wrong = [each for each in OTHERS if not isinstance(each, kinds)]
        if parameter in INSIDE:
            wrong = [[INSIDE[parameter]], *wrong]
        for other in wrong:
            answer = called(call, {**needed, parameter: other})
            assert isinstance(answer, errors.WrongType), (parameter, other, answer)
