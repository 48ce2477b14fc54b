"""Uploads of blobs: begun, gone on with, finished, cancelled; and blobs mounted instead.

Source: OCI distribution spec 1.1, "Pushing blobs" (its next version: `digest-algorithm`, the cancel); Docker
registry HTTP API V2, "Upload Progress".
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import wraps

from starlette.responses import Response

from ...errors import (
    BlobUnknown,
    BodyTooLarge,
    InvalidDigest,
    InvalidName,
    InvalidQuery,
    LinkDamaged,
    SizeMismatch,
    UploadOffsetMismatch,
    UploadUnknown,
)
from ...formats.digest import HEX_LENGTHS, Digest
from ...formats.names import RepositoryName
from ...uploads.store import Upload
from .. import error_answers
from ..access.policy import Action
from ..context import RequestContext
from ..events import BlobMounted, BlobPushed
from ..streams.request_body import RequestBody
from .ranges import parse_chunk


async def start(context: RequestContext) -> Response:
    """Begin an upload; or store the blob at once, if it comes with its digest or can be mounted."""
    query = context.request.query_params
    if "mount" in query:
        mounted = await _mount(context, Digest(query["mount"]), query.get("from"))
        if mounted is not None:
            return mounted
    if "digest" in query:
        digest = Digest(query["digest"])
        content = context.pieces(context.options.blob_limit)
        stored = await context.repository.blobs.put(content, digest=digest, length=context.length)
        return await _stored(context, digest, stored.size)
    algorithm = query.get("digest-algorithm", _algorithm_of(query.get("mount")))
    if algorithm not in HEX_LENGTHS:
        known = "it is not one of " + ", ".join(HEX_LENGTHS)
        raise InvalidQuery("digest-algorithm", algorithm, known)
    return _progress(context, 202, await context.repository.uploads.start(algorithm=algorithm))


def _algorithm_of(mounted: str | None) -> str:
    """Return the likely algorithm of an upload's final digest: the algorithm of the mount that failed."""
    algorithm = Digest(mounted).algorithm if mounted else "sha256"
    return algorithm if algorithm in HEX_LENGTHS else "sha256"


async def status(context: RequestContext) -> Response:
    """Answer with the offset of an upload."""
    return _progress(context, 204, await context.repository.uploads.status(context.arguments["upload"]))


Handler = Callable[[RequestContext], Awaitable[Response]]


def _telling_where(handler: Handler) -> Handler:
    """Add the upload's offset to the answer to a chunk that is out of order."""

    @wraps(handler)
    async def told(context: RequestContext) -> Response:
        try:
            return await handler(context)
        except UploadOffsetMismatch as error:
            response = error_answers.respond(error, context.options, context.request.scope)
            response.headers.update(_where(context, error.id, error.actual))
            return response

    return told


@_telling_where
async def append(context: RequestContext) -> Response:
    """Append the next chunk, or a stream up to its end."""
    offset, length = _chunk(context)
    content = await _body(context, offset)
    upload = await context.repository.uploads.append(
        context.arguments["upload"], content, offset=offset, length=length
    )
    return _progress(context, 202, upload)


@_telling_where
async def finish(context: RequestContext) -> Response:
    """Append the last chunk, if there is one, and make the blob of all content."""
    text = context.request.query_params.get("digest")
    if text is None:
        raise InvalidDigest("", "the query parameter 'digest' is missing")
    digest = Digest(text)
    offset, length = _chunk(context)
    id, uploads = context.arguments["upload"], context.repository.uploads  # noqa: A001 (the field's word for it)
    if length == 0:
        stored = await uploads.finish(id, digest, offset=offset, length=0)
        return await _stored(context, digest, stored.size)
    content = await _last(context, offset)
    stored = await uploads.finish(id, digest, content, offset=offset, length=length)
    return await _stored(context, digest, stored.size)


async def cancel(context: RequestContext) -> Response:
    """Cancel an upload."""
    await context.repository.uploads.cancel(context.arguments["upload"])
    return Response(status_code=204)


# ---- bodies


def _chunk(context: RequestContext) -> tuple[int | None, int | None]:
    """Return the offset and the length of the request's content, each None if the client does not tell it."""
    header = context.headers.get("content-range")
    if header is None:
        return None, context.length
    offset, length = parse_chunk(header)
    if context.length not in {None, length}:
        raise SizeMismatch(length, context.length or 0)
    return offset, length


async def _body(context: RequestContext, offset: int | None) -> RequestBody:
    """Return the body, limited to the bytes that the blob limit leaves beyond the upload's offset.

    With a blob limit, a request without an offset costs 1 storage request more.
    """
    limit = context.options.blob_limit
    if limit is None:
        return context.pieces()
    if offset is None:
        offset = (await context.repository.uploads.status(context.arguments["upload"])).offset
    if offset > limit:
        raise BodyTooLarge(offset, limit)
    return context.pieces(limit - offset)


async def _last(context: RequestContext, offset: int | None) -> RequestBody:
    """Return the body of a last chunk. If a repeated request finds no upload, that counts as empty."""
    try:
        return await _body(context, offset)
    except UploadUnknown:
        return context.pieces(context.options.blob_limit)


# ---- mounting


async def _mount(context: RequestContext, digest: Digest, named: str | None) -> Response | None:
    """Mount a blob, if the caller may read it; return None if the client has to upload it."""
    if named is None:
        source = await _found(context, digest)
    else:
        try:
            source = RepositoryName(named)
        except InvalidName:  # no repository has this name
            return None
        if not await context.may(Action.PULL, source):
            return None
    if source is None:
        return None
    try:
        await context.repository.blobs.mount(digest, source)
    except (BlobUnknown, LinkDamaged) as error:
        error_answers.log_damage(error)
        return None
    name = context.repository.name
    await context.tell(BlobMounted(name, context.principal.name, digest, source))
    return _created(context, digest)


async def _found(context: RequestContext, digest: Digest) -> RepositoryName | None:
    if not context.options.mount_search:
        return None
    async with aclosing(_readable(context)) as names:
        return await context.registry.find_layer(digest, names, limit=context.options.mount_search)


async def _readable(context: RequestContext) -> AsyncGenerator[RepositoryName, None]:
    """Yield the repositories that the caller may read, the request's first; look at `mount_search` at most."""
    own = context.repository.name
    if await context.may(Action.PULL, own):
        yield own
    left = context.options.mount_search - 1
    async with aclosing(context.registry.repositories()) as names:
        async for name in names:
            if left == 0:
                return
            left -= 1
            if name != own and await context.may(Action.PULL, name):
                yield name


# ---- answers


async def _stored(context: RequestContext, digest: Digest, size: int) -> Response:
    await context.tell(BlobPushed(context.repository.name, context.principal.name, digest, size))
    return _created(context, digest)


def _created(context: RequestContext, digest: Digest) -> Response:
    headers = {"Location": context.url(f"blobs/{digest}"), "Docker-Content-Digest": digest}
    return Response(status_code=201, headers=headers)


def _progress(context: RequestContext, code: int, upload: Upload) -> Response:
    return Response(status_code=code, headers=_where(context, upload.id, upload.offset))


def _where(context: RequestContext, upload: str, offset: int) -> dict[str, str]:
    return {
        "Location": context.url(f"blobs/uploads/{upload}"),
        "Range": f"0-{max(0, offset - 1)}",  # also for 0 bytes: the form has no other way to say it
        "Docker-Upload-UUID": upload,
    }
