"""Keys that verify, and the parts that all keys share: EC on P-256, P-384 and P-521, and RSA.

A key is named by its libtrust `kid`, not by the thumbprint of RFC 7638. Sources: libtrust's `util.go`
(keyIDEncode); RFC 7517 and 7518 for JWK; FIPS 186-5, section 5.1, for the RSA exponent.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Self, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwcrypto.common import JWException
from jwcrypto.jwk import JWK

from ..arguments import as_encoded, check_type
from ..errors import (
    CurveUnsupported,
    InvalidJSON,
    KeyExponentRefused,
    KeyNumbersInvalid,
    KeySizeRefused,
    KeyTypeUnsupported,
    KeyUnreadable,
)
from ..formats.strictjson import loads_object
from .encoding import to_base64url

RSA_BITS: Final = (2048, 8192)
"""The smallest and the largest RSA modulus in bits: smaller ones can be factored, larger ones take too long."""

RSA_EXPONENTS: Final = (65537, 2**31 - 1)
"""The lower bound is from FIPS 186-5, the upper one from Go and so libtrust. The exponent must be odd."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve: its name in a JWK, its algorithm in the header, the bytes of a coordinate."""

    name: str
    algorithm: str
    width: int
    group: ec.EllipticCurve


CURVES: Final = {
    curve.name: curve
    for curve in (
        Curve("P-256", "ES256", 32, ec.SECP256R1()),
        Curve("P-384", "ES384", 48, ec.SECP384R1()),
        Curve("P-521", "ES512", 66, ec.SECP521R1()),
    )
}
"""The curves by their names in a JWK."""

_CURVES_BY_GROUP = {curve.group.name: curve for curve in CURVES.values()}
RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512")
"""The algorithms of RSA signatures; the engine itself signs with the first, as libtrust does."""

_REMEMBERED: Final = 1024
"""Keys of each kind kept in memory: hosts sign often, and a key is a third of the work on a signature."""

JWKForm: TypeAlias = str | bytes | Mapping[str, object]
"""A JWK: its JSON, or its members as a mapping. An object of `jwcrypto.jwk.JWK` is such a mapping."""

_CryptoPublicKey: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


def key_id(spki: bytes) -> str:
    """Return the libtrust key ID of a DER SubjectPublicKeyInfo: twelve groups of four characters."""
    text = base64.b32encode(hashlib.sha256(spki).digest()[:30]).decode()
    return ":".join(text[start : start + 4] for start in range(0, len(text), 4))


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key; two are equal when their `kid`s are.

    Make one with `from_pem`, `from_jwk`, `from_certificate`, or take `SigningKey.public`.

    Attributes:
        kid: The libtrust key ID.
        algorithms: The accepted algorithms of its signatures; its owner signs with the first.
        crypto: The key as an object of `cryptography`.
    """

    kid: str
    algorithms: tuple[str, ...] = field(compare=False)
    crypto: _CryptoPublicKey = field(compare=False, repr=False)

    @classmethod
    def of(cls, key: object) -> Self:
        """Take a public key of `cryptography`.

        Raises:
            KeyUnsupported: It is of another type, curve or size.
        """
        match key:
            case ec.EllipticCurvePublicKey():
                curve = _CURVES_BY_GROUP.get(key.curve.name)
                if curve is None:
                    raise CurveUnsupported(key.curve.name, tuple(CURVES))
                algorithms: tuple[str, ...] = (curve.algorithm,)
            case rsa.RSAPublicKey():
                _check_rsa(key)
                algorithms = RSA_ALGORITHMS
            case _:
                raise KeyTypeUnsupported(type(key).__name__)
        spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return cls(key_id(spki), algorithms, key)

    @classmethod
    def from_pem(cls, pem: str | bytes) -> Self:
        """Read a `PUBLIC KEY` in PEM, as text or bytes.

        Raises:
            WrongType: It is neither text nor bytes.
            KeyUnreadable: The bytes are not a public key.
            KeyUnsupported: The key is of another type, curve or size.
        """
        content = as_encoded("pem", pem)
        try:
            key = serialization.load_pem_public_key(content)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeyUnreadable("it is not a public key in PEM") from error
        return cls.of(key)

    @classmethod
    def from_jwk(cls, content: JWKForm) -> Self:
        """Read a public JWK. Its `kid`, if any, is not used: the key's own ID is computed.

        Args:
            content: Its JSON, as bytes or text; or its members as a mapping, such as an object of `jwcrypto`.

        Raises:
            WrongType: It has another form.
            KeyUnreadable: It is not a JWK, or holds a private key.
            KeyUnsupported: The key is of another type, curve or size.
        """
        private, pem = read_jwk(content)
        if private:
            raise KeyUnreadable("it is a private JWK where a public one is expected")
        return cls.from_pem(pem)

    @classmethod
    def from_certificate(cls, certificate: x509.Certificate) -> Self:
        """Take the key of a certificate.

        Raises:
            KeyUnsupported: The key is of another type, curve or size.
            WrongType: It is not a certificate of `cryptography`.
        """
        check_type("certificate", certificate, x509.Certificate)
        try:
            key = certificate.public_key()
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeyNumbersInvalid("the certificate's key can't be read") from error
        return cls.of(key)

    @property
    def kind(self) -> str:
        """The curve's name, or `RSA`."""
        if isinstance(self.crypto, rsa.RSAPublicKey):
            return "RSA"
        return _CURVES_BY_GROUP[self.crypto.curve.name].name

    @property
    def signature_width(self) -> int:
        """Bytes of a signature by this key."""
        if isinstance(self.crypto, rsa.RSAPublicKey):
            return (self.crypto.key_size + 7) // 8
        return 2 * CURVES[self.kind].width

    def members(self) -> dict[str, str]:
        """Return the members of the JWK, sorted, as libtrust writes them: `kid` is among them."""
        if isinstance(self.crypto, rsa.RSAPublicKey):
            rsa_numbers = self.crypto.public_numbers()
            return {
                "e": _unsigned(rsa_numbers.e),
                "kid": self.kid,
                "kty": "RSA",
                "n": _unsigned(rsa_numbers.n),
            }
        numbers, curve = self.crypto.public_numbers(), CURVES[self.kind]
        return {
            "crv": curve.name,
            "kid": self.kid,
            "kty": "EC",
            "x": _unsigned(numbers.x, curve.width),
            "y": _unsigned(numbers.y, curve.width),
        }

    def to_jwk(self) -> bytes:
        """Write the public JWK, compact, members sorted."""
        return json.dumps(self.members(), separators=(",", ":")).encode()

    def to_pem(self) -> bytes:
        """Write the key as `PUBLIC KEY` in PEM."""
        return self.crypto.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def load_certificates(pem: str | bytes) -> tuple[x509.Certificate, ...]:
    """Read certificates in PEM, one or more, in their order; from text or bytes.

    Raises:
        KeyUnreadable: They are not certificates.
        WrongType: They are neither text nor bytes.
    """
    content = as_encoded("certificates", pem)
    try:
        return tuple(x509.load_pem_x509_certificates(content))
    except ValueError as error:
        raise KeyUnreadable("it is not a certificate in PEM") from error


@lru_cache(maxsize=_REMEMBERED)
def build_ec(curve: Curve, x: int, y: int) -> PublicKey:
    """Return the EC key of these coordinates; keys are kept in memory.

    Raises:
        KeyUnsupported: They are not a point of the curve.
    """
    try:
        return PublicKey.of(ec.EllipticCurvePublicNumbers(x, y, curve.group).public_key())
    except ValueError as error:
        raise KeyNumbersInvalid(f"it is not a point of {curve.name}") from error


@lru_cache(maxsize=_REMEMBERED)
def build_rsa(modulus: int, exponent: int) -> PublicKey:
    """Return the RSA key of these numbers; keys are kept in memory.

    Raises:
        KeyUnsupported: They are outside the bounds, or can't be a key.
    """
    try:
        return PublicKey.of(rsa.RSAPublicNumbers(exponent, modulus).public_key())
    except ValueError as error:
        raise KeyNumbersInvalid("the numbers are not an RSA key") from error


def check_bits(bits: int) -> None:
    """Check the size of an RSA key.

    Raises:
        KeyUnsupported: It is outside `RSA_BITS`.
    """
    if not RSA_BITS[0] <= bits <= RSA_BITS[1]:
        raise KeySizeRefused(bits, *RSA_BITS)


def read_jwk(content: JWKForm) -> tuple[bool, bytes]:
    """Read a JWK in any form of `JWKForm`; return whether it is private, and its key in PEM.

    Raises:
        WrongType: It has another form.
        KeyUnreadable: It is not a JWK.
        KeyUnsupported: Its type is neither EC nor RSA.
    """
    check_type("jwk", content, str, bytes, bytearray, memoryview, Mapping)
    try:
        members = content if isinstance(content, Mapping) else loads_object(as_encoded("jwk", content))
    except InvalidJSON as error:
        raise KeyUnreadable("it is not a JWK") from error
    if members.get("kty") not in ("EC", "RSA"):
        raise KeyTypeUnsupported(f"a JWK of type {members.get('kty')!r}")
    try:
        # Only the parts of the key are read: a JWK's members on its own use are for its owner.
        jwk = JWK(**{name: members[name] for name in _JWK_PARTS if name in members})
        private = bool(jwk.has_private)
        return private, jwk.export_to_pem(private_key=private, password=None)
    except (JWException, ValueError, TypeError, AttributeError):  # a member of a mapping may be anything
        raise KeyUnreadable("its members don't make a key") from None  # the cause may quote a private part


def _check_rsa(key: rsa.RSAPublicKey) -> None:
    check_bits(key.key_size)
    exponent = key.public_numbers().e
    if not RSA_EXPONENTS[0] <= exponent <= RSA_EXPONENTS[1] or exponent % 2 == 0:
        raise KeyExponentRefused(exponent)


_JWK_PARTS = ("kty", "crv", "x", "y", "d", "n", "e", "p", "q", "dp", "dq", "qi")


def _unsigned(number: int, width: int | None = None) -> str:
    return to_base64url(number.to_bytes(width or (number.bit_length() + 7) // 8, "big"))
