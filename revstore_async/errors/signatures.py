"""Errors of signed documents: one class for each reason of a refusal.

    InvalidSignature
        NotSigned               the document has no signatures, and needs some
        InvalidSplit            `formatLength` and `formatTail` don't fit the payload
        InvalidSignedPayload    the payload is not one that this format can carry
        InvalidSignatureSet     the signatures can't stand together

The errors of one signature are in `signature_entries`. `member` is the path of the fault, like `signatures[2]`.
"""

from dataclasses import dataclass
from typing import ClassVar

from .base import InvalidInput


@dataclass(eq=False)
class InvalidSignature(InvalidInput):
    """A signature, or a document that carries signatures, that the engine does not accept."""


@dataclass(eq=False)
class NotSigned(InvalidSignature):
    """The document has no signatures, and needs some."""


@dataclass(eq=False)
class SignaturesAbsent(NotSigned):
    """The document has no member `signatures`."""

    says: ClassVar[str] = "the document is not signed: it has no member 'signatures'"


@dataclass(eq=False)
class SignaturesNull(NotSigned):
    """The member `signatures` is null."""

    says: ClassVar[str] = "the document's 'signatures' is null"


@dataclass(eq=False)
class SignaturesEmpty(NotSigned):
    """The array `signatures` is empty."""

    says: ClassVar[str] = "the document's 'signatures' is empty"


@dataclass(eq=False)
class SignaturesNotArray(NotSigned):
    """The member `signatures` is something other than an array."""

    found: str
    says: ClassVar[str] = "the document's 'signatures' is not an array but {found}"


@dataclass(eq=False)
class InvalidSplit(InvalidSignature):
    """`formatLength` and `formatTail` are not the cut between payload and signatures."""


@dataclass(eq=False)
class FormatLengthNegative(InvalidSplit):
    """`formatLength` is below zero."""

    member: str
    length: int
    says: ClassVar[str] = "{member} is negative: {length}"


@dataclass(eq=False)
class FormatLengthFractional(InvalidSplit):
    """`formatLength` is not written as an integer."""

    member: str
    length: float
    says: ClassVar[str] = "{member} is not an integer: {length}"


@dataclass(eq=False)
class FormatLengthBeyond(InvalidSplit):
    """`formatLength` points beyond the document."""

    length: int
    size: int
    says: ClassVar[str] = "formatLength {length} is beyond the {size} bytes of the document"


@dataclass(eq=False)
class FormatNotCut(InvalidSplit):
    """(`formatLength`, `formatTail`) is not the cut of the payload.

    Attributes:
        expected: The cut: the index after the last byte before the closing brace that is not white space.
    """

    length: int
    tail: bytes
    expected: int
    says: ClassVar[str] = "formatLength {length} with tail {tail!r} is not the payload's cut, at {expected}"


@dataclass(eq=False)
class FormatsDiffer(InvalidSplit):
    """Signatures of one document cut its payload at different places."""

    member: str
    says: ClassVar[str] = "{member} differs from that of the first signature"


@dataclass(eq=False)
class InvalidSignedPayload(InvalidSignature):
    """The payload is not one that this format can carry."""


@dataclass(eq=False)
class PayloadEmpty(InvalidSignedPayload):
    """The payload is an object without members, so the signatures can't follow a member."""

    says: ClassVar[str] = "the payload is an empty object"


@dataclass(eq=False)
class PayloadHasSignatures(InvalidSignedPayload):
    """The payload has a member `signatures` of its own."""

    says: ClassVar[str] = "the payload has a member 'signatures' of its own"


@dataclass(eq=False)
class IndentTooWide(InvalidSignedPayload):
    """The payload's indentation, which each line of the signatures would repeat, is over the limit."""

    width: int
    limit: int
    says: ClassVar[str] = "the payload is indented by {width} bytes, over the limit of {limit}"


@dataclass(eq=False)
class PayloadsDiffer(InvalidSignedPayload):
    """Documents to merge don't carry the same payload, byte for byte.

    Attributes:
        index: The index of the document that differs from the first.
    """

    index: int
    expected: str
    actual: str
    says: ClassVar[str] = "document {index} has payload {actual}, the first has {expected}"


@dataclass(eq=False)
class InvalidSignatureSet(InvalidSignature):
    """The signatures can't stand together, or something stands beside them."""


@dataclass(eq=False)
class SignaturesTwice(InvalidSignatureSet):
    """The document has two members `signatures`, one of them perhaps escaped."""

    offset: int
    says: ClassVar[str] = "the document has a second member 'signatures' at byte {offset}"


@dataclass(eq=False)
class UnsignedMember(InvalidSignatureSet):
    """A member of the document stands outside the payload, so no signature covers it."""

    member: str
    says: ClassVar[str] = "the document's member {member!r} is outside the signed payload"


@dataclass(eq=False)
class SignatureRepeated(InvalidSignatureSet):
    """The same signature stands twice in one document."""

    member: str
    kid: str
    says: ClassVar[str] = "{member} repeats an earlier signature by {kid}"


@dataclass(eq=False)
class ChainWithoutKeyID(InvalidSignatureSet):
    """A signature with `x5c` and no `jwk` stands among others: it has no `kid` to be sorted by."""

    member: str
    says: ClassVar[str] = "{member} has x5c but no jwk, so it can't stand among other signatures"


@dataclass(eq=False)
class SignaturesTooLarge(InvalidSignatureSet):
    """The list or the merged document of these signatures would be over the limit.

    Attributes:
        size: The bytes of the list or the document.
    """

    size: int
    limit: int
    says: ClassVar[str] = "signatures written together in {size} bytes are over the limit of {limit}"


@dataclass(eq=False)
class TooManySignatures(InvalidSignatureSet):
    """More signatures than the limit."""

    count: int
    limit: int
    says: ClassVar[str] = "{count} signatures are over the limit of {limit}"
