"""Errors of keys: those in signatures, and those that the caller gave.

InvalidSignature
    InvalidSignatureKey     the key or the certificates in a signature
UnusableKey                 a key, or certificates, given by the caller
"""

from dataclasses import dataclass
from typing import ClassVar

from .base import InvalidInput
from .signatures import InvalidSignature


@dataclass(eq=False)
class InvalidSignatureKey(InvalidSignature):
    """The key or the certificates in a signature can't be relied on."""

    member: str


@dataclass(eq=False)
class PrivateMember(InvalidSignatureKey):
    """A jwk gives away a part of the private key. The error does not carry its value."""

    says: ClassVar[str] = "{member} is a part of a private key; consider that key compromised"


@dataclass(eq=False)
class KeyIDAbsent(InvalidSignatureKey):
    """A jwk has no `kid`."""

    says: ClassVar[str] = "{member} is absent"


@dataclass(eq=False)
class KeyIDMismatch(InvalidSignatureKey):
    """A jwk's `kid` is not that of its key."""

    kid: str
    expected: str
    says: ClassVar[str] = "{member} is {kid!r}, but the key's is {expected!r}"


@dataclass(eq=False)
class CurvePointInvalid(InvalidSignatureKey):
    """The coordinates of an EC key are not a point of its curve."""

    curve: str
    says: ClassVar[str] = "{member} is not a point on {curve}"


@dataclass(eq=False)
class RSAModulusRefused(InvalidSignatureKey):
    """An RSA modulus is shorter than is safe, or longer than is bearable."""

    bits: int
    says: ClassVar[str] = "{member} has {bits} bits, outside 2048 to 8192"


@dataclass(eq=False)
class RSAExponentRefused(InvalidSignatureKey):
    """An RSA exponent is even, under 65537 or over 2**31 - 1."""

    exponent: int
    says: ClassVar[str] = "{member} is {exponent}, not an odd number from 65537 to 2**31 - 1"


@dataclass(eq=False)
class ChainInvalid(InvalidSignatureKey):
    """`x5c` holds something other than certificates with keys of this format."""

    reason: str
    says: ClassVar[str] = "{member} is not a certificate for signing: {reason}"


@dataclass(eq=False)
class ChainKeyMismatch(InvalidSignatureKey):
    """The first certificate of `x5c` is for another key than the `jwk` beside it."""

    kid: str
    expected: str
    says: ClassVar[str] = "{member} is for key {kid}, the jwk beside it is {expected}"


@dataclass(eq=False)
class UnusableKey(InvalidInput):
    """A key, or a certificate, that the caller gave can't be used. No message repeats any part of it."""


@dataclass(eq=False)
class KeyUnreadable(UnusableKey):
    """Bytes that are not a key, or certificates, in a form that the engine reads."""

    reason: str
    says: ClassVar[str] = "can't be read as a key: {reason}"


@dataclass(eq=False)
class PassphraseNeeded(UnusableKey):
    """The key is encrypted, and no passphrase was given."""

    says: ClassVar[str] = "the key is encrypted: it needs a passphrase"


@dataclass(eq=False)
class PassphraseWrong(UnusableKey):
    """The passphrase does not open the key."""

    says: ClassVar[str] = "the passphrase does not open the key"


@dataclass(eq=False)
class KeyUnsupported(UnusableKey):
    """A key of a type, curve or size that this format has no algorithm for, or that is not safe."""

    reason: str
    says: ClassVar[str] = "the key can't be used: {reason}"


@dataclass(eq=False)
class CertificateMismatch(UnusableKey):
    """A chain's first certificate is for another key than the signing key."""

    kid: str
    expected: str
    says: ClassVar[str] = "the first certificate is for key {kid}, not for {expected}"
