"""Blobs, read and deleted.

Source: OCI distribution spec 1.1, "Pulling blobs", "Checking if content exists in the registry", "Deleting Blobs";
ranges and conditions by RFC 9110, sections 13 and 14.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack

from starlette.responses import Response

from ...driver import Reader
from ...errors import InvalidOffset, InvalidRange
from ...formats.descriptors import OCTET_STREAM, Descriptor
from ...formats.digest import Digest
from ..access.policy import Action
from ..context import RequestContext
from ..events import BlobDeleted, BlobPulled
from ..exchange import PIECE
from ..streams.streaming import Streamed
from .conditions import NONE, Conditions
from .ranges import ByteRange, Tail, parse_range


async def get(context: RequestContext) -> Response:
    """Answer with a blob, or with the range that the client asks for; or redirect the client to the storage."""
    digest = context.digest
    if (conditions := Conditions.of(context.request.headers, reading=True)) is not NONE:
        await _stat(context)  # a condition is judged only on an existing blob
        conditions.check_match(digest)
        if conditions.unchanged(digest):
            return Response(status_code=304, headers=_lasting(digest))
    if (redirected := await _delegated(context)) is not None:
        return redirected
    if context.request.method == "HEAD":
        found = await _stat(context)
        return Response(headers=_described(digest) | {"Content-Length": str(found.size)})
    return await _content(context, _wanted(context))


async def delete(context: RequestContext) -> Response:
    """Delete a repository's link to a blob."""
    await context.repository.blobs.delete(context.digest)
    assert context.name is not None  # noqa: S101 (the route has one)
    await context.tell(BlobDeleted(context.name, context.principal.name, context.digest))
    return Response(status_code=202, headers={"Docker-Content-Digest": context.digest})


async def _stat(context: RequestContext) -> Descriptor:
    """Return the blob's descriptor. The HEAD of a caller with push access renews the link's lease."""
    name, digest = context.repository.name, context.digest
    if context.request.method != "HEAD" or not await context.may(Action.PUSH, name):
        return await context.repository.blobs.stat(digest)
    return await context.repository.blobs.rely_on(digest)


async def _delegated(context: RequestContext) -> Response | None:
    rule, method, client = context.options.delegation, context.request.method, context.request.client
    if rule is None or not context.registry.driver.capabilities.signed_urls:
        return None
    if not rule.applies(method, client.host if client else None):
        return None
    found = await _stat(context)
    if found.size < rule.minimum_size:
        return None
    path = context.registry.blobs.path(context.digest)
    location = await context.registry.driver.url_for(path, method=method, expires=rule.expires)
    if method == "GET":
        await _tell_pulled(context, found.size, redirected=True)
    headers = {"Location": location, "Docker-Content-Digest": context.digest, "Cache-Control": "no-store"}
    return Response(status_code=307, headers=headers)


def _wanted(context: RequestContext) -> ByteRange | None:
    headers = context.headers
    asked = headers.get("range")
    if asked is None or headers.get("if-range", f'"{context.digest}"') != f'"{context.digest}"':
        return None
    return parse_range(asked)


async def _content(context: RequestContext, wanted: ByteRange | None) -> Response:
    async with AsyncExitStack() as stack:
        reader = await _open(context, wanted, stack)
        size = reader.info.size
        begin, end, status, headers = 0, size, 200, _described(context.digest)
        if wanted is not None and (found := _satisfied(context, wanted, size)) is not None:
            begin, end = found
            status, headers["Content-Range"] = 206, f"bytes {begin}-{end - 1}/{size}"
        length = end - begin
        first = await reader.read(min(PIECE, length) or 1)  # empty content is read too, which verifies it
        await _tell_pulled(context, size, redirected=False)
        if len(first) < length:
            return Streamed(
                reader,
                first,
                length,
                status=status,
                headers=headers,
                closing=stack.pop_all(),
            )
    return Response(first, status, headers)


async def _open(context: RequestContext, wanted: ByteRange | None, stack: AsyncExitStack) -> Reader:
    blobs = context.repository.blobs
    offset, length = 0, None
    if isinstance(wanted, Tail):  # the storage must first tell the size of the blob
        found = _satisfied(context, wanted, (await blobs.stat(context.digest)).size)
        offset = found[0] if found else 0
    elif wanted is not None:
        offset = wanted.begin
        length = None if wanted.end is None else wanted.end - offset
    try:
        opening = blobs.open(
            context.digest, offset=offset, length=length, verify=context.options.verify_blobs
        )
        return await stack.enter_async_context(opening)
    except InvalidOffset as error:
        raise InvalidRange(context.headers["range"], error.size) from error


def _satisfied(context: RequestContext, wanted: ByteRange, size: int) -> tuple[int, int] | None:
    """Return begin and end, or None for empty content: clients that always send a range get it whole."""
    if not size and wanted.from_the_first:
        return None
    found = wanted.within(size)
    if found is None:
        raise InvalidRange(context.headers["range"], size)
    return found


def _described(digest: Digest) -> dict[str, str]:
    return {**_lasting(digest), "Content-Type": OCTET_STREAM, "Accept-Ranges": "bytes"}


def _lasting(digest: Digest) -> Mapping[str, str]:
    # A caller may lose its access. So only the client's own cache keeps the blob, and it never asks again.
    return {
        "Docker-Content-Digest": digest,
        "ETag": f'"{digest}"',
        "Cache-Control": "private, max-age=31536000, immutable",
    }


async def _tell_pulled(context: RequestContext, size: int, *, redirected: bool) -> None:
    name = context.repository.name
    await context.tell(BlobPulled(name, context.principal.name, context.digest, size, redirected))
