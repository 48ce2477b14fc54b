"""Signed documents: a payload with the array `signatures` set in before its closing brace. Bytes only.

The **cut** of a payload is the index after the last byte before its closing brace that is not white space.
A document is the payload up to the cut, the signatures, and a brace. Each signature carries the cut
(`formatLength`) and the rest of the payload after it (`formatTail`). The payload therefore comes back byte for
byte, with the white space at its end that no document shows. JSON is never written anew.

`parse` and `serialise` are each other's inverse but for white space around the array and the order of the
signatures: one payload and one set of signatures give one document. Source: libtrust's `jsonsign.go`.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ..arguments import as_bytes
from ..errors import (
    ChainWithoutKeyID,
    DuplicateMember,
    FormatLengthBeyond,
    FormatNotCut,
    FormatsDiffer,
    IndentTooWide,
    PayloadEmpty,
    PayloadHasSignatures,
    SignatureRepeated,
    SignaturesAbsent,
    SignaturesEmpty,
    SignaturesNotArray,
    SignaturesNull,
    SignaturesTwice,
    TooManySignatures,
    UnsignedMember,
)
from ..formats.strictjson import JSONObject, JSONValue, Member, loads_object, members
from .entry import Signature, taken

SIGNATURE_LIMIT: Final = 1000
"""Signatures in one document."""

INDENT_LIMIT: Final = 256
"""Bytes of a payload's indentation. Each line of each signature repeats it up to five times."""

_LINES = 26  # of an entry that is indented, at most: 16, and 10 certificates
_KEY = "signatures"
_SPACE = b" \t\n\r"
_TAIL = re.compile(rb"[ \t\n\r]*\}[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """A payload with its signatures, in the order in which they stood in the document.

    Attributes:
        payload: The signed bytes; a revision's digest is the digest of them.
        signatures: The signatures, at least one.
    """

    payload: bytes
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """The cut of a payload, and the indent of its signatures (None if they stand in one line)."""

    length: int
    tail: bytes
    indent: str | None

    @classmethod
    def of(cls, payload: bytes) -> "Split":
        """Find the cut of a payload.

        Raises:
            InvalidJSON: The payload is not strict JSON, or not an object.
            InvalidSignedPayload: It is empty, is signed already, or is indented too wide.
        """
        content = loads_object(payload)
        if not content:
            raise PayloadEmpty
        if _KEY in content:
            raise PayloadHasSignatures
        indent = _indent(payload)
        if len(indent) > INDENT_LIMIT:
            raise IndentTooWide(len(indent), INDENT_LIMIT)
        length = _cut(payload)
        return cls(length, payload[length:], indent.decode() or None)

    def check(self, signature: Signature) -> None:
        """Check that a signature was made for a payload with this cut.

        Raises:
            FormatNotCut: It was made for another cut.
        """
        if (signature.format_length, signature.format_tail) != (self.length, self.tail):
            raise FormatNotCut(signature.format_length, signature.format_tail, self.length)


def is_signed(document: bytes | bytearray | memoryview) -> bool:
    """Say whether a JSON object has a member `signatures`, good or not.

    Raises:
        InvalidJSON: The bytes are not strict JSON, or not an object.
        WrongType: The document is no bytes.
    """
    return _KEY in loads_object(as_bytes("document", document))


def parse(document: bytes | bytearray | memoryview) -> SignedDocument:
    """Take a signed document apart, and check everything about it except that its signatures verify.

    Raises:
        InvalidJSON: The document is not strict JSON, or not an object.
        InvalidSignature: Each fault has its own class.
        WrongType: The document is no bytes.
    """
    document = as_bytes("document", document)
    array = array_of(load(document))
    signatures = tuple(Signature.from_members(entry, f"{_KEY}[{index}]") for index, entry in enumerate(array))
    first = signatures[0]
    for index, signature in enumerate(signatures):
        if (signature.format_length, signature.format_tail) != (first.format_length, first.format_tail):
            raise FormatsDiffer(f"{_KEY}[{index}].protected")
    payload = _payload(document, first)
    check_set(signatures)
    return SignedDocument(payload, signatures)


def serialise(payload: bytes | bytearray | memoryview, signatures: Iterable[Signature]) -> bytes:
    """Write the one document of a payload and these signatures; their order does not matter.

    Identical signatures are written once. Without signatures, the document is the payload itself, which may
    then be any bytes. The function checks only that each signature is for a payload with this cut; it verifies
    no signature.

    Raises:
        InvalidJSON: The payload is not strict JSON, or not an object.
        InvalidSignature: The payload or the signatures can't be written so; `FormatNotCut` for a signature
            that was made for another payload or another cut of it.
        WrongType: An argument is of another type.
    """
    payload = as_bytes("payload", payload)
    ordered = sorted(set(taken(signatures)), key=lambda each: each.sort_key)
    if not ordered:
        return payload
    split = Split.of(payload)
    for signature in ordered:
        split.check(signature)
    check_set(ordered)
    head = payload[: split.length]
    if split.indent is None:
        return b"".join((head, b',"signatures":[', b",".join(each.blob for each in ordered), b"]}"))
    array = _indented([json.loads(each.blob) for each in ordered], split.indent)
    return b"".join((head, b",\n", split.indent.encode(), b'"signatures": ', array, b"\n}"))


def entry_overhead(payload: bytes) -> int:
    """Return the most bytes that a document takes for a signature, beside those of its blob."""
    indent = len(_indent(payload))
    # At most five times the indent, a line feed, and a space after a colon and after a comma.
    return _LINES * (5 * indent + 3) if indent else 1


def check_set(signatures: Sequence[Signature]) -> None:
    """Check that signatures can stand in one document.

    Raises:
        TooManySignatures: There are more than `SIGNATURE_LIMIT`.
        ChainWithoutKeyID: There are several, and one of them has no `kid` to be sorted by.
        SignatureRepeated: One stands there twice.
    """
    for index, signature in enumerate(signatures):
        if not signature.sortable and len(signatures) > 1:
            # libtrust crashes on these, so no bytes mean the same to all readers.
            raise ChainWithoutKeyID(f"{_KEY}[{index}]")
    check_list(signatures)


def check_list(signatures: Sequence[Signature]) -> None:
    """Check that one revision can have these signatures.

    Raises:
        TooManySignatures: There are more than `SIGNATURE_LIMIT`.
        SignatureRepeated: One stands there twice.
    """
    _check_count(len(signatures))
    seen: set[Signature] = set()
    for index, signature in enumerate(signatures):
        if signature in seen:
            raise SignatureRepeated(f"{_KEY}[{index}]", signature.kid)
        seen.add(signature)


def load(document: bytes) -> JSONObject:
    """Read a document as strict JSON, telling a second `signatures` from any other repeated member."""
    try:
        return loads_object(document)
    except DuplicateMember as error:
        if error.depth == 1 and error.name == _KEY:
            raise SignaturesTwice(error.offset) from error
        raise


def array_of(content: JSONObject, *, may_be_empty: bool = False) -> list[JSONValue]:
    """Return the array `signatures` of a document, each entry still to be read.

    Raises:
        NotSigned: There is no such array, or it is empty and must not be.
        TooManySignatures: It has more than `SIGNATURE_LIMIT`.
    """
    if _KEY not in content:
        raise SignaturesAbsent
    array = content[_KEY]
    if array is None:
        raise SignaturesNull
    if not isinstance(array, list):
        raise SignaturesNotArray(_TYPES[type(array)])
    if not array and not may_be_empty:
        raise SignaturesEmpty
    _check_count(len(array))
    return array


_TYPES: Final = {dict: "an object", str: "a string", int: "a number", float: "a number", bool: "a boolean"}


def _check_count(count: int) -> None:
    if count > SIGNATURE_LIMIT:
        raise TooManySignatures(count, SIGNATURE_LIMIT)


def _payload(document: bytes, signature: Signature) -> bytes:
    """Cut the payload out of a document that was read already, and check that the signature names its cut."""
    length, tail = signature.format_length, signature.format_tail
    found = members(document)
    if len(found) == 1:
        raise PayloadEmpty
    if length > len(document):
        raise FormatLengthBeyond(length, len(document))
    _check_outside(found, length)
    # Only whole members of an object stand before `signatures`: the tail can do no more than close it.
    end = found[-2].end
    if length != end or not _TAIL.fullmatch(tail):
        raise FormatNotCut(length, tail, end)
    payload = document[:length] + tail
    indent = _indent(payload)
    if len(indent) > INDENT_LIMIT:
        raise IndentTooWide(len(indent), INDENT_LIMIT)
    return payload


def _check_outside(found: Sequence[Member], length: int) -> None:
    """Refuse members beside `signatures` that stand whole outside the first `length` bytes."""
    position = next(index for index, each in enumerate(found) if each.name == _KEY)
    for each in found[position + 1 :]:
        raise UnsignedMember(each.name)
    ends = [each.end for each in found[:position]]
    if length in ends[:-1]:
        raise UnsignedMember(found[ends.index(length) + 1].name)


def _cut(payload: bytes) -> int:
    return len(payload.rstrip(_SPACE).removesuffix(b"}").rstrip(_SPACE))


def _indent(payload: bytes) -> bytes:
    """Return the text between `{`, newline, and the first quote; empty for any other beginning."""
    return payload[2 : payload.index(b'"')] if payload.startswith(b"{\n") else b""


def _indented(array: list[object], indent: str) -> bytes:
    # As Go's MarshalIndent(array, prefix=indent, indent=indent): each line begins with the prefix. The indent
    # may be any white space, line feeds too, so json first counts the levels in single spaces.
    first, *lines = json.dumps(array, indent=1).split("\n")
    written = [first]
    for line in lines:
        text = line.lstrip(" ")
        written.append(indent * (len(line) - len(text) + 1) + text)
    return "\n".join(written).encode()
