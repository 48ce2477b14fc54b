"""Signed documents written by hand, so that one thing in them can be wrong and all else right.

Nothing of the engine's own writing is used: entries are dicts, and signatures are made with `cryptography`.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from revstore_async.signatures import PublicKey, SigningKey

TIME = "2024-02-03T04:05:06Z"
PAYLOAD = b'{\n   "name": "library/hello",\n   "tag": "latest"\n}'
CUT = len(PAYLOAD) - 2

Entry = dict[str, Any]


def b64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def protected(length: object = CUT, tail: object = "Cn0", time: object = TIME, **more: object) -> str:
    """The JSON text of a protected header; the defaults are those of `PAYLOAD`."""
    return json.dumps({"formatLength": length, "formatTail": tail, "time": time, **more})


def signature_value(key: object, signed: bytes) -> bytes:
    """Sign as JWS says: r and s at full width, or PKCS 1 v1.5 with SHA-256."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    algorithm = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[key.curve.key_size]
    width = (key.curve.key_size + 7) // 8
    numbers = decode_dss_signature(key.sign(signed, ec.ECDSA(algorithm)))
    return b"".join(number.to_bytes(width, "big") for number in numbers)


def entry(
    key: SigningKey,
    header: str | bytes | None = None,
    *,
    payload: bytes = PAYLOAD,
    alg: str | None = None,
    jwk: Mapping[str, object] | None = None,
    x5c: bool = False,
) -> Entry:
    """One entry of `signatures` that verifies, over any text of a protected header."""
    text = protected() if header is None else header
    encoded = b64url(text if isinstance(text, bytes) else text.encode())
    unprotected: dict[str, object] = {"jwk": dict(jwk or members(key.public))}
    unprotected["alg"] = alg or key.algorithm
    if x5c:
        unprotected["x5c"] = certificates(key)
    value = signature_value(key.crypto, f"{encoded}.{b64url(payload)}".encode())
    return {"header": unprotected, "signature": b64url(value), "protected": encoded}


def members(key: PublicKey) -> dict[str, object]:
    return json.loads(key.to_jwk())  # type: ignore[no-any-return]


def certificates(key: SigningKey) -> list[str]:
    return [base64.b64encode(each.public_bytes(Encoding.DER)).decode() for each in key.certificates]


def document(entries: object, *, payload: bytes = PAYLOAD, cut: int | None = None) -> bytes:
    """Set any value in as `signatures` where the payload is cut."""
    length = len(payload.rstrip()[:-1].rstrip()) if cut is None else cut
    return payload[:length] + b',\n   "signatures": ' + json.dumps(entries).encode() + b"\n}"
