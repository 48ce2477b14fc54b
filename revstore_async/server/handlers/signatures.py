"""The signatures of a revision, separate from its manifest: our own extension (docs/http.md).

Every manifest may have such signatures. A manifest that does not carry its signatures itself, such as an OCI
image manifest, stays byte for byte as it was pushed.
"""

from starlette.responses import Response

from ...signatures import LIST_BYTES, parse_signatures, serialise_signatures
from ...threads import in_thread_if_large
from ..context import RequestContext
from ..events import SignaturesAdded


async def of_revision(context: RequestContext) -> Response:
    """Answer with all signatures of a revision, in the order of a merged document."""
    signatures = await context.repository.revisions.signatures(context.digest)
    size = sum(len(each.blob) for each in signatures)
    content = await in_thread_if_large(size, serialise_signatures, signatures)
    return Response(content, headers=_headers(context), media_type="application/json")


async def add(context: RequestContext) -> Response:
    """Add signatures to a stored revision, if each of them verifies."""
    digest = context.digest
    document = await context.body(LIST_BYTES)
    signatures = await in_thread_if_large(len(document), parse_signatures, document)
    await context.repository.revisions.add_signatures(digest, signatures)
    await context.tell(
        SignaturesAdded(context.repository.name, context.principal.name, digest, len(signatures))
    )
    return Response(
        status_code=201,
        headers={"Location": context.url(f"_revstore/signatures/{digest}")} | _headers(context),
    )


def _headers(context: RequestContext) -> dict[str, str]:
    return {"Docker-Content-Digest": context.digest}
