"""Errors of keys and certificates that the caller gave: one class for each reason of a refusal.

    UnusableKey
        KeyUnreadable           it is not a key in the form that was named
        PassphraseNeeded        it is encrypted
        PassphraseWrong         the passphrase does not open it
        KeyUnsupported          this format has no algorithm for it, or it is not safe
        CertificateMismatch     the certificate is for another key

No message repeats any part of a key. The errors of keys in signatures are in `signature_entries`.
"""

from dataclasses import dataclass
from typing import ClassVar

from .base import InvalidInput


@dataclass(eq=False)
class UnusableKey(InvalidInput):
    """A key, or a certificate, that the caller gave can't be used."""


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


@dataclass(eq=False)
class KeyTypeUnsupported(KeyUnsupported):
    """A key that is neither EC nor RSA.

    Attributes:
        kind: Its type.
    """

    kind: str
    says: ClassVar[str] = "the key can't be used: {kind} is neither EC nor RSA"


@dataclass(eq=False)
class CurveUnsupported(KeyUnsupported):
    """An EC key on a curve that this format has no algorithm for.

    Attributes:
        curves: The curves that it may be on.
    """

    curve: str
    curves: tuple[str, ...]
    says: ClassVar[str] = "the key can't be used: its curve {curve} is not one of {curves}"


@dataclass(eq=False)
class KeySizeRefused(KeyUnsupported):
    """An RSA key that is shorter than is safe, or longer than is bearable."""

    bits: int
    least: int
    most: int
    says: ClassVar[str] = "the key can't be used: an RSA key of {bits} bits is outside {least} to {most}"


@dataclass(eq=False)
class KeyExponentRefused(KeyUnsupported):
    """An RSA key whose exponent is even, under 65537 or over 2**31 - 1."""

    exponent: int
    says: ClassVar[str] = (
        "the key can't be used: its exponent {exponent} is not an odd number from 65537 to 2**31 - 1"
    )


@dataclass(eq=False)
class KeyNumbersInvalid(KeyUnsupported):
    """Numbers that are no key: a point outside the curve, or a modulus that can't be one."""

    reason: str
    says: ClassVar[str] = "the key can't be used: {reason}"


@dataclass(eq=False)
class CertificateMismatch(UnusableKey):
    """A chain's first certificate is for another key than the signing key."""

    kid: str
    expected: str
    says: ClassVar[str] = "the first certificate is for key {kid}, not for {expected}"
