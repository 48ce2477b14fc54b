"""Verifying signatures over a payload, and merging documents that verify.

jwcrypto verifies one JWS at a time, by an algorithm and a key that this module gives it. Its own reading of
headers, its default algorithms and its "any good signature will do" are not used. `Signature` has already
checked the points that jwcrypto is lenient about.

A verification takes about 0.3 ms of CPU for a signature by ES256, besides hashing the payload once for each. A
coroutine calls it in a thread.
"""

from collections.abc import Iterable
from typing import Final

from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS, InvalidJWSSignature

from ..arguments import as_bytes, check_series
from ..errors import (
    InvalidArgument,
    InvalidSignature,
    PayloadsDiffer,
    SignatureMismatch,
    SignatureTooLarge,
    TooManySignatures,
)
from ..formats.digest import Digest
from .document import SignedDocument, Split, check_set, parse, serialise
from .entry import SIGNATURE_BYTES, Signature, taken

VERIFIED_BYTES: Final = 256 << 20
"""The most bytes to hash for the signatures of one call: those of the payload, once for each signature.

So one call verifies 1,000 signatures of a payload of 256 KiB, or 64 of one of 4 MiB.
"""


def verify(payload: bytes | bytearray | memoryview, signatures: Iterable[Signature]) -> None:
    """Check that each of the signatures was made over the payload. An empty list passes.

    Raises:
        InvalidJSON: The payload is not strict JSON, or not an object.
        InvalidSignature: The first fault: of the payload, of the signatures as a set, of their number for a
            payload of this size (`VERIFIED_BYTES`), of the size of one (`SignatureTooLarge`), of its cut
            (`FormatNotCut`), or `SignatureMismatch`, which names the signature.
        WrongType: An argument is of another type.
    """
    if errors := check(payload, signatures):
        raise errors.pop(0)  # the error's traceback holds this frame, with the payload


def check(payload: bytes | bytearray | memoryview, signatures: Iterable[Signature]) -> list[InvalidSignature]:
    """Return the error of each wrong signature, as `verify` would raise it; an empty list if all verify.

    Raises:
        InvalidJSON: The payload is not strict JSON, or not an object.
        WrongType: An argument is of another type.
    """
    payload, signatures = as_bytes("payload", payload), taken(signatures)
    if not signatures:
        return []
    errors: list[InvalidSignature] = []
    try:
        split = Split.of(payload)
        check_set(signatures)
        if len(signatures) > (limit := max(1, VERIFIED_BYTES // len(payload))):
            raise TooManySignatures(len(signatures), limit)
    except InvalidSignature as error:
        return [error]
    for index, signature in enumerate(signatures):
        try:
            size = len(signature.blob)
            if size > SIGNATURE_BYTES:
                raise SignatureTooLarge(f"signatures[{index}]", size, SIGNATURE_BYTES)
            split.check(signature)
            _verify_one(payload, signature, f"signatures[{index}]")
        except InvalidSignature as error:
            errors.append(error)
    return errors


def verify_document(document: bytes | bytearray | memoryview) -> SignedDocument:
    """Take a signed document apart and verify every signature in it.

    Raises:
        InvalidJSON: The document is not strict JSON, or not an object.
        InvalidSignature: Each fault has its own class.
        WrongType: The document is no bytes.
    """
    signed = parse(document)
    verify(signed.payload, signed.signatures)
    return signed


def merge(documents: Iterable[bytes | bytearray | memoryview]) -> bytes:
    """Verify signed documents of one payload and write the one document with all their signatures.

    Raises:
        InvalidJSON: A document is not strict JSON, or not an object.
        PayloadsDiffer: The documents don't carry the same payload, byte for byte.
        InvalidSignature: Each other fault has its own class.
        InvalidArgument: There is no document.
        WrongType: It is no iterable of bytes.
    """
    check_series("documents", documents, "documents")
    parsed = [parse(document) for document in documents]
    if not parsed:
        raise InvalidArgument("documents", [], "there is nothing to merge")
    payload = parsed[0].payload
    for index, document in enumerate(parsed):
        if document.payload != payload:
            raise PayloadsDiffer(index, Digest.of(payload), Digest.of(document.payload))
    signatures = list(dict.fromkeys(each for document in parsed for each in document.signatures))
    verify(payload, signatures)
    return serialise(payload, signatures)


def _verify_one(payload: bytes, signature: Signature, member: str) -> None:
    jws = JWS()
    jws.allowed_algs = [signature.alg]
    jws.deserialize(f"{signature.protected}..{signature.text}")
    try:
        jws.verify(JWK.from_pyca(signature.key.crypto), alg=signature.alg, detached_payload=payload)
    except InvalidJWSSignature as error:
        raise SignatureMismatch(member, signature.kid) from error
