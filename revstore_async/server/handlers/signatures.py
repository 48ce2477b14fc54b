"""The signatures of a revision, separate from its manifest: our own extension (docs/http.md).

Every manifest may have such signatures. A manifest that does not carry its signatures itself, such as an OCI
image manifest, stays byte for byte as it was pushed.
"""

from starlette.responses import Response

from ...signatures import LIST_BYTES, parse_signatures, serialise_signatures
from ...threads import in_thread_if_large
from ..context import Call
from ..events import SignaturesAdded


async def of_revision(call: Call) -> Response:
    """Answer with all signatures of a revision, in the order of a merged document."""
    signatures = await call.repository.revisions.signatures(call.digest)
    size = sum(len(each.blob) for each in signatures)
    content = await in_thread_if_large(size, serialise_signatures, signatures)
    return Response(content, headers=_headers(call), media_type="application/json")


async def add(call: Call) -> Response:
    """Add signatures to a stored revision, if each of them verifies."""
    digest = call.digest
    document = await call.body(LIST_BYTES)
    signatures = await in_thread_if_large(len(document), parse_signatures, document)
    await call.repository.revisions.add_signatures(digest, signatures)
    await call.tell(SignaturesAdded(call.repository.name, call.principal.name, digest, len(signatures)))
    return Response(
        status_code=201, headers={"Location": call.url(f"_revstore/signatures/{digest}")} | _headers(call)
    )


def _headers(call: Call) -> dict[str, str]:
    return {"Docker-Content-Digest": call.digest}
