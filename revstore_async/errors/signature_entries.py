"""Errors of one signature: its members, its encoding, its key, and whether it verifies.

    InvalidSignature
        SignatureTooLarge       it is over the limit
        InvalidEntry            a member, the encoding or the algorithm is wrong
        InvalidSignatureKey     its key or its certificates can't be relied on
        BlobNotCanonical        its blob is not in the compact form
        SignatureMismatch       it does not verify

`member` is the path of the fault, like `signatures[2].header.jwk.kid`; for a signature that was read by itself
the path begins at its own members.
"""

from dataclasses import dataclass
from typing import ClassVar

from .signatures import InvalidSignature


@dataclass(eq=False)
class SignatureTooLarge(InvalidSignature):
    """One signature over the limit.

    Attributes:
        size: Bytes of its blob.
    """

    member: str
    size: int
    limit: int
    says: ClassVar[str] = "{member} has {size} bytes, over the limit of {limit}"


@dataclass(eq=False)
class InvalidEntry(InvalidSignature):
    """One signature is not written as it must be."""

    member: str


@dataclass(eq=False)
class EntryMemberAbsent(InvalidEntry):
    """A member that each signature must have is absent."""

    says: ClassVar[str] = "{member} is absent"


@dataclass(eq=False)
class EntryMemberWrong(InvalidEntry):
    """A member is of the wrong type, or its value can't be right."""

    reason: str
    says: ClassVar[str] = "{member} is not valid: {reason}"


@dataclass(eq=False)
class EntryMemberUnknown(InvalidEntry):
    """A signature has a member, unsigned, that the format does not know."""

    says: ClassVar[str] = "{member} is not a member of this format, and nobody signed it"


@dataclass(eq=False)
class ProtectedNotJSON(InvalidEntry):
    """The protected header is not strict JSON, or not an object; the cause is the `InvalidJSON`."""

    reason: str
    says: ClassVar[str] = "{member} is not valid: {reason}"


@dataclass(eq=False)
class ProtectedMember(InvalidEntry):
    """The protected header has a member that it must not have: `crit`, `b64`, `alg` or any other."""

    says: ClassVar[str] = "{member} must not stand in the protected header"


@dataclass(eq=False)
class Base64NotCanonical(InvalidEntry):
    """A value is not base64 of the required kind, written in the one canonical way."""

    says: ClassVar[str] = "{member} is not canonical base64"


@dataclass(eq=False)
class TimeInvalid(InvalidEntry):
    """The time of a signature is not RFC 3339."""

    time: str
    says: ClassVar[str] = "{member} is not a time of RFC 3339: {time!r}"


@dataclass(eq=False)
class AlgorithmRefused(InvalidEntry):
    """The algorithm is not ES256, ES384, ES512, RS256, RS384 or RS512 (`none`, HMAC, PSS...)."""

    alg: str
    says: ClassVar[str] = "{member} is {alg!r}, which is not an algorithm of this format"


@dataclass(eq=False)
class AlgorithmKeyMismatch(InvalidEntry):
    """The algorithm is not that of the key's type or curve."""

    alg: str
    key: str
    says: ClassVar[str] = "{member} is {alg!r}, which a key of {key} can't have made"


@dataclass(eq=False)
class SignatureWidth(InvalidEntry):
    """The signature value has another width than its algorithm and key demand."""

    width: int
    expected: int
    says: ClassVar[str] = "{member} is {width} bytes wide, not {expected}"


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
class BlobNotCanonical(InvalidSignature):
    """A signature blob is not the compact form, byte for byte, of the signature it holds."""

    blob: bytes
    expected: bytes
    says: ClassVar[str] = "a signature blob is not in its compact form: {blob!r}"


@dataclass(eq=False)
class SignatureMismatch(InvalidSignature):
    """The signature was not made by its key over this payload."""

    member: str
    kid: str
    says: ClassVar[str] = "{member} by {kid} does not verify"
