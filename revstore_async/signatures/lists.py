"""Lists of signatures without their payload: the server returns them, and clients send them to add some.

    {"signatures": [{"header": {...}, "signature": "...", "protected": "..."}, ...]}

The entries are those of a signed document. The payload is not in the list, so any JSON object can be signed in
this way, an OCI manifest too. Its own bytes are the payload, and the rules of the cut are the same.
"""

from collections.abc import Iterable
from typing import Final

from ..arguments import as_bytes, check_type
from ..errors import EntryMemberUnknown, SignaturesTooLarge
from .document import array_of, check_list, load
from .entry import Signature, taken

LIST_BYTES: Final = 4 << 20
"""The most bytes of a list by default: as many as a signed manifest may have."""

_KEY = "signatures"


def parse_signatures(
    document: bytes | bytearray | memoryview, *, limit: int = LIST_BYTES
) -> tuple[Signature, ...]:
    """Read a list of signatures, and check everything about each except that it verifies.

    It takes some 0.1 ms of CPU for each signature. A coroutine calls it in a thread.

    Args:
        document: A JSON object whose one member is the array `signatures`; the array may be empty.
        limit: The most bytes of the document.

    Returns:
        The signatures, in the document's order.

    Raises:
        SignaturesTooLarge: The document has more than `limit` bytes.
        InvalidJSON: It is not strict JSON, or not an object.
        InvalidSignature: Each other fault has its own class: `EntryMemberUnknown` for another member,
            `NotSigned` for no array, `TooManySignatures`, `SignatureRepeated`, and the errors of a single
            signature.
        WrongType: An argument is of another type.
    """
    document = as_bytes("document", document)
    check_type("limit", limit, int)
    if len(document) > limit:
        raise SignaturesTooLarge(len(document), limit)
    content = load(document)
    array = array_of(content, may_be_empty=True)
    for name in content:
        if name != _KEY:
            raise EntryMemberUnknown(name)
    signatures = tuple(Signature.from_members(entry, f"{_KEY}[{index}]") for index, entry in enumerate(array))
    check_list(signatures)
    return signatures


def serialise_signatures(signatures: Iterable[Signature]) -> bytes:
    """Write a list of signatures, each once, in the order of a merged document. One set gives one text.

    Raises:
        WrongType: The signatures are of another type.
    """
    ordered = sorted(set(taken(signatures)), key=lambda each: each.sort_key)
    return b"".join((b'{"signatures":[', b",".join(each.blob for each in ordered), b"]}"))
