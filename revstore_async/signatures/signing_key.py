"""Keys that sign: generated, read from PEM and JWK, with or without a chain of certificates."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwcrypto.jwk import JWK

from ..arguments import as_encoded, check_series, check_type
from ..errors import (
    CertificateMismatch,
    CurveUnsupported,
    InvalidArgument,
    KeyTypeUnsupported,
    KeyUnreadable,
    PassphraseNeeded,
    PassphraseWrong,
)
from .keys import CURVES, JWKForm, PublicKey, check_bits, load_certificates, read_jwk

KeyKind: TypeAlias = Literal["P-256", "P-384", "P-521", "RSA"]
"""The kinds of keys that `SigningKey.generate` makes: a curve's name, or `RSA`."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, with or without a chain of certificates. No part of it is ever in its `repr`.

    Make one with `generate`, `from_pem` or `from_jwk`.

    Attributes:
        public: The public half, with `kid` and algorithms.
        certificates: The chain written into each signature as `x5c`, this key's certificate first.
        crypto: The private key as an object of `cryptography`.
    """

    public: PublicKey
    certificates: tuple[x509.Certificate, ...] = field(default=(), repr=False, compare=False)
    crypto: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = field(kw_only=True, repr=False, compare=False)

    @classmethod
    def of(cls, key: object) -> Self:
        """Take a private key of `cryptography`.

        Raises:
            KeyUnsupported: It is of another type, curve or size.
        """
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise KeyTypeUnsupported(type(key).__name__)
        return cls(PublicKey.of(key.public_key()), crypto=key)

    @classmethod
    def generate(cls, kind: KeyKind = "P-256", *, bits: int = 3072) -> Self:
        """Make a new key; `bits` is for RSA only. An RSA key takes seconds: a coroutine uses a thread.

        Raises:
            KeyUnsupported: Keys of this kind or size do not sign here.
            WrongType: The kind is no text, or the size no number.
        """
        check_type("kind", kind, str)
        check_type("bits", bits, int)
        if kind == "RSA":
            check_bits(bits)
            return cls.of(rsa.generate_private_key(public_exponent=65537, key_size=bits))
        if kind not in CURVES:
            raise CurveUnsupported(kind, (*CURVES, "RSA"))
        return cls.of(ec.generate_private_key(CURVES[kind].group))

    @classmethod
    def from_pem(cls, pem: str | bytes, passphrase: str | bytes | None = None) -> Self:
        """Read a private key in PEM, as text or bytes: PKCS 8, PKCS 1 (RSA) or SEC 1 (EC), encrypted or not.

        A passphrase for a key that is not encrypted is an error: its owner would believe that it is encrypted.

        Raises:
            PassphraseNeeded: It is encrypted, and no passphrase was given.
            PassphraseWrong: The passphrase does not open it, or it is not encrypted.
            KeyUnreadable: It is not a private key.
            KeyUnsupported: The key is of another type, curve or size.
            WrongType: The key or the passphrase is neither text nor bytes.
        """
        pem = as_encoded("pem", pem)
        secret = None if passphrase is None else as_encoded("passphrase", passphrase)
        try:
            key = serialization.load_pem_private_key(pem, secret)
        except (
            TypeError
        ) as error:  # cryptography's answer to encryption without a passphrase, and the reverse
            raise (PassphraseNeeded() if passphrase is None else PassphraseWrong()) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            if passphrase is not None and b"ENCRYPTED" in pem:
                raise PassphraseWrong from error
            raise KeyUnreadable("it is not a private key in PEM") from error
        return cls.of(key)

    @classmethod
    def from_jwk(cls, content: JWKForm) -> Self:
        """Read a private JWK. Its `kid`, if any, is not used: the key's own ID is computed.

        Args:
            content: Its JSON, as bytes or text; or its members as a mapping, such as an object of `jwcrypto`.

        Raises:
            WrongType: It has another form.
            KeyUnreadable: It is not a JWK, or holds no private key.
            KeyUnsupported: The key is of another type, curve or size.
        """
        private, pem = read_jwk(content)
        if not private:
            raise KeyUnreadable("it is a public JWK where a private one is expected")
        return cls.from_pem(pem)

    @property
    def kid(self) -> str:
        """The libtrust key ID."""
        return self.public.kid

    @property
    def algorithm(self) -> str:
        """The algorithm of its signatures: ES256, ES384, ES512 or RS256."""
        return self.public.algorithms[0]

    def with_chain(self, certificates: str | bytes | Sequence[x509.Certificate]) -> Self:
        """Return the key with a chain, in PEM or parsed, this key's certificate first.

        Raises:
            KeyUnreadable: The PEM holds something else than certificates, or there are none.
            WrongType: The chain is neither PEM nor certificates of `cryptography`.
            KeyUnsupported: The first certificate's key is of another type, curve or size.
            CertificateMismatch: The first certificate is for another key.
        """
        if isinstance(certificates, str | bytes | bytearray):
            chain = load_certificates(certificates)
        else:
            check_series("certificates", certificates, "certificates")
            chain = tuple(certificates)
        for each in chain:
            check_type("certificates", each, x509.Certificate)
        if not chain:
            raise KeyUnreadable("the chain has no certificate")
        leaf = PublicKey.from_certificate(chain[0])
        if leaf != self.public:
            raise CertificateMismatch(leaf.kid, self.kid)
        return replace(self, certificates=chain)

    def to_pem(self, passphrase: str | bytes | None = None) -> bytes:
        """Write the private key in PEM, the way libtrust reads it; with a passphrase, as encrypted PKCS 8.

        Raises:
            WrongType: The passphrase is neither text nor bytes.
            InvalidArgument: The passphrase is empty.
        """
        if passphrase is not None:
            secret = as_encoded("passphrase", passphrase)
            if not secret:
                raise InvalidArgument("passphrase", "", "an empty one protects nothing")
            return self.crypto.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(secret),
            )
        return self.crypto.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )

    def to_jwk(self) -> bytes:
        """Write the private JWK, compact, members sorted, the libtrust `kid` among them."""
        members = {**JWK.from_pyca(self.crypto).export(as_dict=True), **self.public.members()}
        return json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
