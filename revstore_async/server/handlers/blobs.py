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
from ..context import Call
from ..events import BlobDeleted, BlobPulled
from ..streams.streaming import PIECE, Streamed
from .conditions import Conditions
from .ranges import ByteRange, Tail, parse_range


async def get(call: Call) -> Response:
    """Answer with a blob, or with the range that the client asks for; or redirect the client to the storage."""
    digest = call.digest
    if conditions := Conditions.of(call.request.headers, reading=True):
        await _stat(call)  # a condition is judged only on an existing blob
        conditions.check_match(digest)
        if conditions.unchanged(digest):
            return Response(status_code=304, headers=_lasting(digest))
    if (redirected := await _delegated(call)) is not None:
        return redirected
    if call.request.method == "HEAD":
        found = await _stat(call)
        return Response(headers=_described(digest) | {"Content-Length": str(found.size)})
    return await _content(call, _wanted(call))


async def delete(call: Call) -> Response:
    """Delete a repository's link to a blob."""
    await call.repository.blobs.delete(call.digest)
    assert call.name is not None  # noqa: S101 (the route has one)
    await call.tell(BlobDeleted(call.name, call.principal.name, call.digest))
    return Response(status_code=202, headers={"Docker-Content-Digest": call.digest})


async def _stat(call: Call) -> Descriptor:
    """Return the blob's descriptor. The HEAD of a caller with push access renews the link's lease."""
    name, digest = call.repository.name, call.digest
    if call.request.method != "HEAD" or not await call.may(Action.PUSH, name):
        return await call.repository.blobs.stat(digest)
    return await call.repository.blobs.rely_on(digest)


async def _delegated(call: Call) -> Response | None:
    rule, method, client = call.options.delegation, call.request.method, call.request.client
    if rule is None or not call.registry.driver.capabilities.signed_urls:
        return None
    if not rule.applies(method, client.host if client else None):
        return None
    found = await _stat(call)
    if found.size < rule.minimum_size:
        return None
    path = call.registry.blobs.path(call.digest)
    location = await call.registry.driver.url_for(path, method=method, expires=rule.expires)
    if method == "GET":
        await _tell_pulled(call, found.size, redirected=True)
    headers = {"Location": location, "Docker-Content-Digest": call.digest, "Cache-Control": "no-store"}
    return Response(status_code=307, headers=headers)


def _wanted(call: Call) -> ByteRange | None:
    headers = call.request.headers
    asked = headers.get("range")
    if asked is None or headers.get("if-range", f'"{call.digest}"') != f'"{call.digest}"':
        return None
    return parse_range(asked)


async def _content(call: Call, wanted: ByteRange | None) -> Response:
    async with AsyncExitStack() as stack:
        reader = await _open(call, wanted, stack)
        size = reader.info.size
        begin, end, status, headers = 0, size, 200, _described(call.digest)
        if wanted is not None and (found := _satisfied(call, wanted, size)) is not None:
            begin, end = found
            status, headers["Content-Range"] = 206, f"bytes {begin}-{end - 1}/{size}"
        length = end - begin
        first = await reader.read(min(PIECE, length) or 1)  # empty content is read too, which verifies it
        await _tell_pulled(call, size, redirected=False)
        if len(first) < length:
            return Streamed(
                reader,
                first,
                length,
                status=status,
                headers=headers,
                patience=call.options.body_timeout,
                closing=stack.pop_all(),
            )
    return Response(first, status, headers)


async def _open(call: Call, wanted: ByteRange | None, stack: AsyncExitStack) -> Reader:
    blobs = call.repository.blobs
    offset, length = 0, None
    if isinstance(wanted, Tail):  # the storage must first tell the size of the blob
        found = _satisfied(call, wanted, (await blobs.stat(call.digest)).size)
        offset = found[0] if found else 0
    elif wanted is not None:
        offset = wanted.begin
        length = None if wanted.end is None else wanted.end - offset
    try:
        opening = blobs.open(call.digest, offset=offset, length=length, verify=call.options.verify_blobs)
        return await stack.enter_async_context(opening)
    except InvalidOffset as error:
        raise InvalidRange(call.request.headers["range"], error.size) from error


def _satisfied(call: Call, wanted: ByteRange, size: int) -> tuple[int, int] | None:
    """Return begin and end, or None for empty content: clients that always send a range get it whole."""
    if not size and wanted.from_the_first:
        return None
    found = wanted.within(size)
    if found is None:
        raise InvalidRange(call.request.headers["range"], size)
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


async def _tell_pulled(call: Call, size: int, *, redirected: bool) -> None:
    name = call.repository.name
    await call.tell(BlobPulled(name, call.principal.name, call.digest, size, redirected))
