"""Signed manifests in the format of libtrust (Docker image manifest, schema 1): read, sign, verify, merge.

    signed = verify_document(document)          # .payload, .signatures
    signature = sign(signed.payload, SigningKey.from_pem(pem))
    document = serialise(signed.payload, [*signed.signatures, signature])

Everything takes and gives bytes; nothing here does I/O. `revstore_async.trust` decides which signers count.
"""

from .document import (
    INDENT_LIMIT,
    SIGNATURE_LIMIT,
    SignedDocument,
    entry_overhead,
    is_signed,
    parse,
    serialise,
)
from .entry import ALGORITHMS, SIGNATURE_BYTES, Signature
from .keys import PublicKey, load_certificates
from .lists import LIST_BYTES, parse_signatures, serialise_signatures
from .signing import sign
from .signing_key import KeyKind, SigningKey
from .verification import check, merge, verify, verify_document

__all__ = [
    "ALGORITHMS",
    "INDENT_LIMIT",
    "LIST_BYTES",
    "SIGNATURE_BYTES",
    "SIGNATURE_LIMIT",
    "KeyKind",
    "PublicKey",
    "Signature",
    "SignedDocument",
    "SigningKey",
    "check",
    "entry_overhead",
    "is_signed",
    "load_certificates",
    "merge",
    "parse",
    "parse_signatures",
    "serialise",
    "serialise_signatures",
    "sign",
    "verify",
    "verify_document",
]
