"""Everything that is refused, each thing with its own error, though all else about the document is right."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from revstore_async import errors
from revstore_async.signatures import (
    INDENT_LIMIT,
    SIGNATURE_LIMIT,
    Signature,
    serialise,
    sign,
    verify_document,
)
from tests.parts.forging import (
    CUT,
    PAYLOAD,
    Entry,
    b64url,
    certificates,
    document,
    entry,
    protected,
    signature_value,
)
from tests.parts.vectors import chained_key, key, signers

KEY = key("ec256")
GOOD = entry(KEY)
HEAD = PAYLOAD[:CUT]
ARRAY = json.dumps([GOOD]).encode()
SPACED = b'{"a":1 }'


def header(**changes: object) -> bytes:
    """The good document with members of its one header changed; None takes one away."""
    changed = {name: value for name, value in {**GOOD["header"], **changes}.items() if value is not None}
    return document([{**GOOD, "header": changed}])


def jwk(base: Entry = GOOD, **changes: object) -> bytes:
    changed = {**base["header"]["jwk"], **changes}
    changed = {name: value for name, value in changed.items() if value is not None}
    return document([{**base, "header": {**base["header"], "jwk": changed}}])


def signed_header(text: str | bytes) -> bytes:
    """A document whose protected header is this text, truly signed."""
    return document([entry(KEY, text)])


def rsa_entry(bits: int, exponent: int) -> bytes:
    """A document truly signed by an RSA key that is not safe."""
    private = rsa.generate_private_key(public_exponent=exponent, key_size=bits)
    numbers = private.public_key().public_numbers()
    text = b64url(protected().encode())
    value = signature_value(private, f"{text}.{b64url(PAYLOAD)}".encode())
    return document([{**rsa_header(numbers.n, exponent), "signature": b64url(value), "protected": text}])


def rsa_header(modulus: int, exponent: int) -> Entry:
    parts = {"n": modulus, "e": exponent}
    texts = {name: b64url(each.to_bytes((each.bit_length() + 7) // 8, "big")) for name, each in parts.items()}
    return {"header": {"jwk": {"kty": "RSA", "kid": "A", **texts}, "alg": "RS256"}}


def rsa_numbers(modulus: int, exponent: int) -> bytes:
    return document([{**GOOD, **rsa_header(modulus, exponent)}])


def chain_only() -> Entry:
    """An entry with x5c and no jwk, as libtrust's SignWithChain makes it."""
    made = entry(chained_key("ec256"), x5c=True)
    del made["header"]["jwk"]
    return made


def many(count: int) -> bytes:
    return document([GOOD] * count)


OTHER = entry(signers()[0])
RSA = entry(key("rsa2048"))
FOREIGN = entry(signers()[1], payload=b"{}")
INDENTED = b"{\n" + b" " * (INDENT_LIMIT + 1) + b'"a":1}'
HALF = b64url(ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32, "big"))
# The last character of 64 bytes in base64url has four bits to spare, so its successor means the same bytes.
SPARE = GOOD["signature"][:-1] + chr(ord(GOOD["signature"][-1]) + 1)

REFUSED: dict[str, tuple[bytes, type[errors.RevstoreError]]] = {
    "no signatures": (PAYLOAD, errors.SignaturesAbsent),
    "signatures null": (document(None), errors.SignaturesNull),
    "signatures empty": (document([]), errors.SignaturesEmpty),
    "signatures an object": (document({}), errors.SignaturesNotArray),
    "signatures a string": (document("x"), errors.SignaturesNotArray),
    "signatures true": (document(True), errors.SignaturesNotArray),
    "signatures a number": (document(1), errors.SignaturesNotArray),
    "length negative": (signed_header(protected(-1)), errors.FormatLengthNegative),
    "length fractional": (signed_header(protected(CUT + 0.5)), errors.FormatLengthFractional),
    "length with a point": (signed_header(protected(float(CUT))), errors.FormatLengthFractional),
    "length beyond": (signed_header(protected(100_000)), errors.FormatLengthBeyond),
    "length zero": (signed_header(protected(0)), errors.FormatNotCut),
    "length short of the cut": (signed_header(protected(CUT - 1)), errors.FormatNotCut),
    "length past the cut": (signed_header(protected(CUT + 1)), errors.FormatNotCut),
    "length past white space": (
        document([entry(KEY, protected(7, b64url(b"}")), payload=SPACED)], payload=SPACED, cut=7),
        errors.FormatNotCut,
    ),
    "tail without brace": (signed_header(protected(tail="Cg")), errors.FormatNotCut),
    "tail with a member": (signed_header(protected(tail=b64url(b',"a":1}'))), errors.FormatNotCut),
    "tail empty": (signed_header(protected(tail="")), errors.FormatNotCut),
    "tail with no-break space": (signed_header(protected(tail=b64url(b"\xc2\xa0}"))), errors.FormatNotCut),
    "length a string": (signed_header(protected(str(CUT))), errors.EntryMemberWrong),
    "length true": (signed_header(protected(True)), errors.EntryMemberWrong),
    "formats differ": (document([GOOD, entry(signers()[0], protected(tail="fQ"))]), errors.FormatsDiffer),
    "signature base64 with spare bits": (document([{**GOOD, "signature": SPARE}]), errors.Base64NotCanonical),
    "signature base64 padded": (
        document([{**GOOD, "signature": GOOD["signature"] + "=="}]),
        errors.Base64NotCanonical,
    ),
    "signature base64 not ASCII": (
        document([{**GOOD, "signature": "é" + GOOD["signature"][1:]}]),
        errors.Base64NotCanonical,
    ),
    "signature base64 cut": (
        document([{**GOOD, "signature": GOOD["signature"][:-1]}]),
        errors.Base64NotCanonical,
    ),
    "protected base64 with line feed": (
        document([{**GOOD, "protected": GOOD["protected"] + "\n"}]),
        errors.Base64NotCanonical,
    ),
    "tail base64 padded": (signed_header(protected(tail="Cn0=")), errors.Base64NotCanonical),
    "jwk base64 padded": (jwk(x=GOOD["header"]["jwk"]["x"] + "="), errors.Base64NotCanonical),
    "x5c in base64url": (
        header(x5c=[certificates(chained_key("ec256"))[0].rstrip("=") + "-_"]),
        errors.Base64NotCanonical,
    ),
    "payload empty": (document([GOOD]).replace(HEAD + b",", b"{"), errors.PayloadEmpty),
    "payload indented too wide": (
        document([entry(KEY, protected(len(INDENTED) - 1, "fQ"), payload=INDENTED)], payload=INDENTED),
        errors.IndentTooWide,
    ),
    "duplicate in payload": (document([GOOD], payload=b'{"a":{"b":1,"b":2}}'), errors.DuplicateMember),
    "duplicate in payload, escaped": (
        document([GOOD], payload=b'{"a":1,"\\u0061":2}'),
        errors.DuplicateMember,
    ),
    "duplicate in an entry": (
        document([GOOD]).replace(b'"protected"', b'"signature":"x","protected"'),
        errors.DuplicateMember,
    ),
    "duplicate in protected": (
        signed_header(protected().replace('"time"', '"formatLength":1,"time"')),
        errors.ProtectedNotJSON,
    ),
    "second signatures": (HEAD + b',"signatures":[],"signatures":' + ARRAY + b"}", errors.SignaturesTwice),
    "second signatures, escaped": (
        HEAD + b',"signature\\u0073":[],"signatures":' + ARRAY + b"}",
        errors.SignaturesTwice,
    ),
    "payload with its own signatures": (
        document([GOOD], payload=b'{"signatures":[],"a":1}'),
        errors.SignaturesTwice,
    ),
    "member before signatures": (HEAD + b',"evil":1,"signatures":' + ARRAY + b"}", errors.UnsignedMember),
    "member after signatures": (HEAD + b',"signatures":' + ARRAY + b',"evil":1}', errors.UnsignedMember),
    "signatures first": (b'{"signatures":' + ARRAY + b',"evil":1}', errors.UnsignedMember),
    "member in entry": (document([{**GOOD, "payload": ""}]), errors.EntryMemberUnknown),
    "member in header": (header(kid="A"), errors.EntryMemberUnknown),
    "member in jwk": (jwk(use="sig"), errors.EntryMemberUnknown),
    "payload not UTF-8": (document([GOOD], payload=b'{"a":"\xff"}'), errors.NotUTF8),
    "protected not UTF-8": (signed_header(b'{"a":"\xff"}'), errors.ProtectedNotJSON),
    "protected not JSON": (signed_header("x"), errors.ProtectedNotJSON),
    "protected an array": (signed_header("[]"), errors.ProtectedNotJSON),
    "protected crit": (signed_header(protected(crit=["b64"])), errors.ProtectedMember),
    "protected b64": (signed_header(protected(b64=False)), errors.ProtectedMember),
    "protected alg": (signed_header(protected(alg="ES256")), errors.ProtectedMember),
    "protected anything": (signed_header(protected(nonce="1")), errors.ProtectedMember),
    "protected without time": (
        signed_header('{"formatLength":1,"formatTail":"fQ"}'),
        errors.EntryMemberAbsent,
    ),
    "time not RFC 3339": (signed_header(protected(time="2024-02-03 04:05:06")), errors.TimeInvalid),
    "time of no day": (signed_header(protected(time="2024-02-30T04:05:06Z")), errors.TimeInvalid),
    "time a number": (signed_header(protected(time=1)), errors.EntryMemberWrong),
    "alg none": (header(alg="none"), errors.AlgorithmRefused),
    "alg HMAC": (header(alg="HS256"), errors.AlgorithmRefused),
    "alg PSS": (document([{**RSA, "header": {**RSA["header"], "alg": "PS256"}}]), errors.AlgorithmRefused),
    "alg EdDSA": (header(alg="EdDSA"), errors.AlgorithmRefused),
    "alg in lower case": (header(alg="es256"), errors.AlgorithmRefused),
    "alg empty": (header(alg=""), errors.AlgorithmRefused),
    "alg of another curve": (header(alg="ES384"), errors.AlgorithmKeyMismatch),
    "alg of RSA": (header(alg="RS256"), errors.AlgorithmKeyMismatch),
    "alg of EC": (document([entry(key("rsa2048"), alg="ES256")]), errors.AlgorithmKeyMismatch),
    "signature of another width": (
        document([{**GOOD, "signature": b64url(bytes(63))}]),
        errors.SignatureWidth,
    ),
    "signature in DER": (document([{**GOOD, "signature": b64url(bytes(70))}]), errors.SignatureWidth),
    "RSA signature of another width": (
        document([{**RSA, "signature": b64url(bytes(255))}]),
        errors.SignatureWidth,
    ),
    "jwk with d": (jwk(d=HALF), errors.PrivateMember),
    "RSA jwk with p": (jwk(RSA, p="AQAB"), errors.PrivateMember),
    "jwk with k": (jwk(k="AQAB"), errors.PrivateMember),
    "kid absent": (jwk(kid=None), errors.KeyIDAbsent),
    "kid of another key": (jwk(kid=signers()[0].kid), errors.KeyIDMismatch),
    "kid a thumbprint": (jwk(kid="NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"), errors.KeyIDMismatch),
    "point off the curve": (jwk(x=b64url(bytes(32))), errors.CurvePointInvalid),
    "coordinate too short": (jwk(x=b64url(bytes(31))), errors.EntryMemberWrong),
    "curve unknown": (jwk(crv="secp256k1"), errors.EntryMemberWrong),
    "key type unknown": (jwk(kty="oct"), errors.EntryMemberWrong),
    "RSA of 1024 bits": (rsa_entry(1024, 65537), errors.RSAModulusRefused),
    "RSA of 2047 bits": (rsa_numbers((1 << 2047) - 1, 65537), errors.RSAModulusRefused),
    "RSA of 16384 bits": (rsa_numbers((1 << 16384) - 1, 65537), errors.RSAModulusRefused),
    "RSA exponent 3": (rsa_entry(2048, 3), errors.RSAExponentRefused),
    "RSA exponent 1": (rsa_numbers((1 << 2048) - 1, 1), errors.RSAExponentRefused),
    "RSA exponent even": (rsa_numbers((1 << 2048) - 1, 65538), errors.RSAExponentRefused),
    "RSA exponent huge": (rsa_numbers((1 << 2048) - 1, 2**32 + 1), errors.RSAExponentRefused),
    "RSA modulus with a leading zero": (
        jwk(RSA, n=b64url(b"\0" + bytes([0xFF]) * 256)),
        errors.EntryMemberWrong,
    ),
    "same signature twice": (document([GOOD, OTHER, GOOD]), errors.SignatureRepeated),
    "same signature twice, written differently": (
        document([GOOD, dict(reversed(GOOD.items()))]),
        errors.SignatureRepeated,
    ),
    "x5c of another key": (header(x5c=certificates(chained_key("rsa2048"))), errors.ChainKeyMismatch),
    "x5c without certificates": (header(x5c=[]), errors.ChainInvalid),
    "x5c not a certificate": (header(x5c=["AAAA"]), errors.ChainInvalid),
    "x5c of a number": (header(x5c=[1]), errors.ChainInvalid),
    "x5c too long": (header(x5c=certificates(chained_key("ec256")) * 6), errors.ChainInvalid),
    "neither jwk nor x5c": (header(jwk=None), errors.EntryMemberAbsent),
    "x5c without kid among others": (document([OTHER, chain_only()]), errors.ChainWithoutKeyID),
    "over another payload": (
        document([FOREIGN | {"protected": GOOD["protected"]}]),
        errors.SignatureMismatch,
    ),
    "one bad among good": (
        document([GOOD, {**OTHER, "signature": GOOD["signature"]}]),
        errors.SignatureMismatch,
    ),
    "signature of zeros": (document([{**GOOD, "signature": b64url(bytes(64))}]), errors.SignatureMismatch),
    "too many signatures": (many(SIGNATURE_LIMIT + 1), errors.TooManySignatures),
    "entry a string": (document(["x"]), errors.EntryMemberWrong),
    "jwk null": (document([{**GOOD, "header": {**GOOD["header"], "jwk": None}}]), errors.EntryMemberWrong),
    "header absent": (document([{"signature": "", "protected": ""}]), errors.EntryMemberAbsent),
    "not JSON": (b"x" + document([GOOD]), errors.InvalidJSON),
    "not an object": (b"[1]", errors.InvalidJSON),
    "cut off": (document([GOOD])[:-1], errors.InvalidJSON),
}


@pytest.mark.parametrize(("mutated", "expected"), REFUSED.values(), ids=REFUSED)
def test_refused_with_its_own_error(mutated: bytes, expected: type[errors.RevstoreError]) -> None:
    with pytest.raises(expected) as caught:
        verify_document(mutated)
    assert type(caught.value) is expected
    assert str(caught.value)
    assert isinstance(caught.value, errors.InvalidInput)


def test_the_same_documents_without_a_fault_are_accepted() -> None:
    spaced = SPACED[:6]
    for good in (
        document([GOOD]),
        document([GOOD, OTHER, RSA, entry(key("ec384")), entry(key("ec521")), entry(key("rsa3072"))]),
        document([chain_only()]),
        document([entry(chained_key("ec256"), x5c=True), OTHER]),
        spaced
        + b',"signatures":'
        + json.dumps([entry(KEY, protected(6, "IH0"), payload=SPACED)]).encode()
        + b"}",
    ):
        assert verify_document(good).signatures


def test_white_space_around_the_array_and_escapes_are_accepted_and_not_kept() -> None:
    expected = serialise(PAYLOAD, [Signature.from_members(GOOD, "")])
    for written in (
        HEAD + b' \n,\t"signatures" : ' + ARRAY + b"\r\n } \n\n",
        HEAD + b',"signature\\u0073":' + ARRAY + b"}",
        b"".join((HEAD, b',"signatures":', ARRAY.replace(b'"alg"', b'"\\u0061lg"'), b"}")),
    ):
        signed = verify_document(written)
        assert signed.payload == PAYLOAD
        assert serialise(signed.payload, signed.signatures) == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"{}", errors.PayloadEmpty),
        (b" { \n } ", errors.PayloadEmpty),
        (b'{"a":1,"signatures":[]}', errors.PayloadHasSignatures),
        (b'{"\\u0073ignatures":null}', errors.PayloadHasSignatures),
        (INDENTED, errors.IndentTooWide),
        (b"[]", errors.InvalidJSON),
        (b'{"a":1,"a":1}', errors.DuplicateMember),
        (b'{"a":"\xff"}', errors.NotUTF8),
    ],
)
def test_a_payload_that_the_format_cannot_carry_is_neither_signed_nor_written(
    payload: bytes, expected: type[errors.RevstoreError]
) -> None:
    with pytest.raises(expected):
        sign(payload, KEY)
    with pytest.raises(expected):
        serialise(payload, [sign(PAYLOAD, KEY)])


def test_a_blob_must_be_canonical() -> None:
    blob = sign(PAYLOAD, KEY).blob
    assert Signature.from_blob(blob).blob == blob
    for written in (
        blob + b"\n",
        blob.replace(b",", b", "),
        json.dumps(dict(reversed(GOOD.items()))).encode(),
    ):
        with pytest.raises(errors.BlobNotCanonical):
            Signature.from_blob(written)


def test_the_error_says_where() -> None:
    with pytest.raises(errors.SignatureMismatch) as caught:
        verify_document(REFUSED["one bad among good"][0])
    assert caught.value.member == "signatures[1]"
    assert caught.value.kid == signers()[0].kid
    with pytest.raises(errors.PrivateMember) as private:
        verify_document(document([OTHER, json.loads(jwk(d=HALF).split(b'"signatures": ')[1][:-2])[0]]))
    assert private.value.member == "signatures[1].header.jwk.d"
    assert HALF not in str(private.value)


def test_every_class_of_refusal_is_tried() -> None:
    elsewhere = {
        errors.PayloadsDiffer,
        errors.BlobNotCanonical,
        errors.PayloadHasSignatures,
        errors.SignaturesTooLarge,  # of a list, not of a document: tests/signatures/test_signature_lists.py
        errors.SignatureTooLarge,  # tests/manifests/test_manifest_bounds.py
    }
    assert _leaves(errors.InvalidSignature) - {expected for _, expected in REFUSED.values()} == elsewhere


def _leaves(branch: type) -> set[type]:
    below: list[type] = branch.__subclasses__()
    return {leaf for each in below for leaf in _leaves(each)} if below else {branch}
