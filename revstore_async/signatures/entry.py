"""One signature: an entry of the array `signatures`, and the blob that is stored for it.

    {"header": {"jwk": {...}, "alg": "ES256"}, "signature": "<base64url>", "protected": "<base64url>"}

The compact form, members in this order, is the signature blob. The header may hold `x5c` (certificates, leaf
first) after `alg`, beside the `jwk` or instead of it; a jwk's members are sorted. `protected` holds
`formatLength`, `formatTail` and `time`; its text is kept unchanged, since the signature covers it.

Everything that can be checked without the payload is checked when a `Signature` is made. Sources: libtrust's
`jsonsign.go`; RFC 7515; RFC 7518 for keys and widths.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self

from ..arguments import as_bytes, check_series, check_type
from ..errors import (
    AlgorithmKeyMismatch,
    AlgorithmRefused,
    BlobNotCanonical,
    EntryMemberAbsent,
    EntryMemberUnknown,
    EntryMemberWrong,
    FormatLengthFractional,
    FormatLengthNegative,
    InvalidJSON,
    ProtectedMember,
    ProtectedNotJSON,
    SignatureWidth,
    TimeInvalid,
)
from ..formats.strictjson import JSONObject, JSONValue, loads_object
from .certificates import read_chain, read_leaf
from .encoding import from_base64url, to_base64
from .jwk import read_jwk
from .keys import CURVES, RSA_ALGORITHMS, PublicKey

ALGORITHMS: Final = (*(curve.algorithm for curve in CURVES.values()), *RSA_ALGORITHMS)
"""The accepted algorithms. `none`, HMAC, PSS, EdDSA and all others are refused."""

SIGNATURE_BYTES: Final = 1 << 15
"""The most bytes of a signature's blob; one with five certificates by RSA keys of 4,096 bits has 15,000."""

_TIME = re.compile(
    r"(?P<whole>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.(?P<fraction>[0-9]{1,9}))?(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})"
)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature, well formed, with a key that fits its `kid`; not yet verified against a payload.

    Two are equal when their blobs are.

    Attributes:
        blob: The compact form, stored as the signature blob.
        key: The key that the signature names as its signer's.
        alg: The algorithm.
        value: The signature's own bytes; `text` is how the document writes them.
        protected: The protected header as it came, in base64url.
        format_length: The cut of the payload.
        format_tail: The rest of the payload after the cut.
        time: When it was made, by its signer's claim; digits after microseconds are dropped here.
        time_text: The same time as it was written.
        x5c: Certificates in DER, leaf first; may be empty.
        sortable: Whether it has a `jwk` and so a written `kid`. A signature without it can't stand among
            others.
    """

    blob: bytes
    key: PublicKey = field(compare=False)
    alg: str = field(compare=False)
    value: bytes = field(compare=False, repr=False)
    text: str = field(compare=False, repr=False)
    protected: str = field(compare=False, repr=False)
    format_length: int = field(compare=False)
    format_tail: bytes = field(compare=False)
    time: datetime = field(compare=False)
    time_text: str = field(compare=False, repr=False)
    x5c: tuple[bytes, ...] = field(compare=False, repr=False)
    sortable: bool = field(compare=False, repr=False)

    @property
    def kid(self) -> str:
        """The libtrust key ID of the key; without a jwk, of the first certificate's key."""
        return self.key.kid

    @property
    def sort_key(self) -> tuple[str, str, bytes]:
        """The sort key of a document's signatures: `kid`, then `signature`.

        The blob comes last: one signature may come with two chains.
        """
        return self.kid, self.text, self.blob

    @classmethod
    def from_blob(cls, blob: bytes | bytearray | memoryview) -> Self:
        """Read a signature blob as it is stored.

        Raises:
            WrongType: It is no bytes.
            InvalidJSON: It is not strict JSON, or not an object.
            InvalidSignature: Each fault has its own class; `BlobNotCanonical` for the writing.
        """
        blob = as_bytes("blob", blob)
        signature = cls.from_members(loads_object(blob), "")
        if signature.blob != blob:
            raise BlobNotCanonical(blob, signature.blob)
        return signature

    @classmethod
    def from_members(cls, entry: JSONValue, member: str) -> Self:
        """Take one entry of the array `signatures`, already read as strict JSON, in any layout.

        Args:
            entry: The entry.
            member: The entry's path, for errors: `signatures[2]`, or empty for one that stands alone.

        Raises:
            InvalidSignature: Each fault has its own class.
        """
        prefix = f"{member}." if member else ""
        whole = _object(entry, member, required=("header", "signature", "protected"))
        header = _object(whole["header"], f"{prefix}header", required=("alg",), optional=("jwk", "x5c"))
        alg = _text(header["alg"], f"{prefix}header.alg")
        if alg not in ALGORITHMS:
            raise AlgorithmRefused(f"{prefix}header.alg", alg)
        key, x5c = _key_of(header, f"{prefix}header")
        if alg not in key.algorithms:
            raise AlgorithmKeyMismatch(f"{prefix}header.alg", alg, key.kind)
        text = _text(whole["signature"], f"{prefix}signature")
        value = from_base64url(text, f"{prefix}signature")
        if len(value) != key.signature_width:
            raise SignatureWidth(f"{prefix}signature", len(value), key.signature_width)
        protected = _text(whole["protected"], f"{prefix}protected")
        length, tail, time_text = _read_protected(protected, f"{prefix}protected")
        return cls(
            blob=_compact(key if "jwk" in header else None, alg, x5c, text, protected),
            key=key,
            alg=alg,
            value=value,
            text=text,
            protected=protected,
            format_length=length,
            format_tail=tail,
            time=_read_time(time_text, f"{prefix}protected.time"),
            time_text=time_text,
            x5c=x5c,
            sortable="jwk" in header,
        )


def taken(signatures: Iterable[Signature]) -> tuple[Signature, ...]:
    """Return the signatures that a caller gives.

    Raises:
        WrongType: They are no iterable, or one of them is no signature.
    """
    check_series("signatures", signatures, "signatures")
    found = tuple(signatures)
    for each in found:
        check_type("signatures", each, Signature)
    return found


def _key_of(header: JSONObject, member: str) -> tuple[PublicKey, tuple[bytes, ...]]:
    x5c = read_chain(header["x5c"], f"{member}.x5c") if "x5c" in header else ()
    if "jwk" in header:
        key = read_jwk(header["jwk"], f"{member}.jwk")
        if x5c:
            read_leaf(x5c, f"{member}.x5c", beside=key)
        return key, x5c
    if not x5c:
        raise EntryMemberAbsent(f"{member}.jwk")
    return read_leaf(x5c, f"{member}.x5c"), x5c


def _read_protected(text: str, member: str) -> tuple[int, bytes, str]:
    content = from_base64url(text, member)
    try:
        protected = loads_object(content)
    except InvalidJSON as error:
        raise ProtectedNotJSON(member, str(error)) from error
    names = ("formatLength", "formatTail", "time")
    for name in protected:
        if name not in names:
            raise ProtectedMember(f"{member}.{name}")
    for name in names:
        if name not in protected:
            raise EntryMemberAbsent(f"{member}.{name}")
    length = protected["formatLength"]
    if isinstance(length, float):
        raise FormatLengthFractional(f"{member}.formatLength", length)
    if not isinstance(length, int) or isinstance(length, bool):
        raise EntryMemberWrong(f"{member}.formatLength", "it is not a number")
    if length < 0:
        raise FormatLengthNegative(f"{member}.formatLength", length)
    tail = _text(protected["formatTail"], f"{member}.formatTail")
    time = _text(protected["time"], f"{member}.time")
    return length, from_base64url(tail, f"{member}.formatTail"), time


def _read_time(text: str, member: str) -> datetime:
    match = _TIME.fullmatch(text)
    if match is None:
        raise TimeInvalid(member, text)
    micros = (match["fraction"] or "").ljust(6, "0")[:6]
    try:
        return datetime.fromisoformat(f"{match['whole']}.{micros}{match['zone']}")
    except ValueError as error:  # the thirteenth month
        raise TimeInvalid(member, text) from error


def _compact(key: PublicKey | None, alg: str, x5c: tuple[bytes, ...], text: str, protected: str) -> bytes:
    header: dict[str, object] = {} if key is None else {"jwk": key.members()}
    header["alg"] = alg
    if x5c:
        header["x5c"] = [to_base64(certificate) for certificate in x5c]
    entry = {"header": header, "signature": text, "protected": protected}
    return json.dumps(entry, separators=(",", ":")).encode()


def compact(key: PublicKey, x5c: tuple[bytes, ...], value: str, protected: str) -> bytes:
    """Write the blob of a signature by the engine: with `jwk`, and with `x5c` if there is a chain."""
    return _compact(key, key.algorithms[0], x5c, value, protected)


def _object(
    value: JSONValue, member: str, *, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> JSONObject:
    prefix = f"{member}." if member else ""
    if not isinstance(value, dict):
        raise EntryMemberWrong(member, "it is not an object")
    for name in value:
        if name not in required and name not in optional:
            raise EntryMemberUnknown(f"{prefix}{name}")
    for name in required:
        if name not in value:
            raise EntryMemberAbsent(f"{prefix}{name}")
    return value


def _text(value: JSONValue, member: str) -> str:
    if not isinstance(value, str):
        raise EntryMemberWrong(member, "it is not a string")
    return value
