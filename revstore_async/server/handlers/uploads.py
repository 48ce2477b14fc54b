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
from .. import answers
from ..access.policy import Action
from ..context import Call
from ..events import BlobMounted, BlobPushed
from ..streams.request_body import RequestBody
from .ranges import parse_chunk


async def start(call: Call) -> Response:
    """Begin an upload; or store the blob at once, if it comes with its digest or can be mounted."""
    query = call.request.query_params
    if "mount" in query:
        mounted = await _mount(call, Digest(query["mount"]), query.get("from"))
        if mounted is not None:
            return mounted
    if "digest" in query:
        digest = Digest(query["digest"])
        content = call.pieces(call.options.blob_limit)
        stored = await call.repository.blobs.put(content, digest=digest, length=call.length)
        return await _stored(call, digest, stored.size)
    algorithm = query.get("digest-algorithm", _algorithm_of(query.get("mount")))
    if algorithm not in HEX_LENGTHS:
        known = "it is not one of " + ", ".join(HEX_LENGTHS)
        raise InvalidQuery("digest-algorithm", algorithm, known)
    return _progress(call, 202, await call.repository.uploads.start(algorithm=algorithm))


def _algorithm_of(mounted: str | None) -> str:
    """Return the likely algorithm of an upload's final digest: the algorithm of the mount that failed."""
    algorithm = Digest(mounted).algorithm if mounted else "sha256"
    return algorithm if algorithm in HEX_LENGTHS else "sha256"


async def status(call: Call) -> Response:
    """Answer with the offset of an upload."""
    return _progress(call, 204, await call.repository.uploads.status(call.arguments["upload"]))


Handler = Callable[[Call], Awaitable[Response]]


def _telling_where(handler: Handler) -> Handler:
    """Add the upload's offset to the answer to a chunk that is out of order."""

    @wraps(handler)
    async def told(call: Call) -> Response:
        try:
            return await handler(call)
        except UploadOffsetMismatch as error:
            response = answers.respond(error, call.options, call.request.scope)
            response.headers.update(_where(call, error.id, error.actual))
            return response

    return told


@_telling_where
async def append(call: Call) -> Response:
    """Append the next chunk, or a stream up to its end."""
    offset, length = _chunk(call)
    content = await _body(call, offset)
    upload = await call.repository.uploads.append(
        call.arguments["upload"], content, offset=offset, length=length
    )
    return _progress(call, 202, upload)


@_telling_where
async def finish(call: Call) -> Response:
    """Append the last chunk, if there is one, and make the blob of all content."""
    text = call.request.query_params.get("digest")
    if text is None:
        raise InvalidDigest("", "the query parameter 'digest' is missing")
    digest = Digest(text)
    offset, length = _chunk(call)
    id, uploads = call.arguments["upload"], call.repository.uploads  # noqa: A001 (the field's word for it)
    if length == 0:
        stored = await uploads.finish(id, digest, offset=offset, length=0)
        return await _stored(call, digest, stored.size)
    content = await _last(call, offset)
    stored = await uploads.finish(id, digest, content, offset=offset, length=length)
    return await _stored(call, digest, stored.size)


async def cancel(call: Call) -> Response:
    """Cancel an upload."""
    await call.repository.uploads.cancel(call.arguments["upload"])
    return Response(status_code=204)


# ---- bodies


def _chunk(call: Call) -> tuple[int | None, int | None]:
    """Return the offset and the length of the request's content, each None if the client does not tell it."""
    header = call.request.headers.get("content-range")
    if header is None:
        return None, call.length
    offset, length = parse_chunk(header)
    if call.length not in {None, length}:
        raise SizeMismatch(length, call.length or 0)
    return offset, length


async def _body(call: Call, offset: int | None) -> RequestBody:
    """Return the body, limited to the bytes that the blob limit leaves beyond the upload's offset.

    With a blob limit, a request without an offset costs 1 storage request more.
    """
    limit = call.options.blob_limit
    if limit is None:
        return call.pieces()
    if offset is None:
        offset = (await call.repository.uploads.status(call.arguments["upload"])).offset
    if offset > limit:
        raise BodyTooLarge(offset, limit)
    return call.pieces(limit - offset)


async def _last(call: Call, offset: int | None) -> RequestBody:
    """Return the body of a last chunk. If a repeated request finds no upload, that counts as empty."""
    try:
        return await _body(call, offset)
    except UploadUnknown:
        return call.pieces(call.options.blob_limit)


# ---- mounting


async def _mount(call: Call, digest: Digest, named: str | None) -> Response | None:
    """Mount a blob, if the caller may read it; return None if the client has to upload it."""
    if named is None:
        source = await _found(call, digest)
    else:
        try:
            source = RepositoryName(named)
        except InvalidName:  # no repository has this name
            return None
        if not await call.may(Action.PULL, source):
            return None
    if source is None:
        return None
    try:
        await call.repository.blobs.mount(digest, source)
    except (BlobUnknown, LinkDamaged) as error:
        answers.log_damage(error)
        return None
    name = call.repository.name
    await call.tell(BlobMounted(name, call.principal.name, digest, source))
    return _created(call, digest)


async def _found(call: Call, digest: Digest) -> RepositoryName | None:
    if not call.options.mount_search:
        return None
    async with aclosing(_readable(call)) as names:
        return await call.registry.find_layer(digest, names, limit=call.options.mount_search)


async def _readable(call: Call) -> AsyncGenerator[RepositoryName, None]:
    """Yield the repositories that the caller may read, the request's first; look at `mount_search` at most."""
    own = call.repository.name
    if await call.may(Action.PULL, own):
        yield own
    left = call.options.mount_search - 1
    async with aclosing(call.registry.repositories()) as names:
        async for name in names:
            if left == 0:
                return
            left -= 1
            if name != own and await call.may(Action.PULL, name):
                yield name


# ---- answers


async def _stored(call: Call, digest: Digest, size: int) -> Response:
    await call.tell(BlobPushed(call.repository.name, call.principal.name, digest, size))
    return _created(call, digest)


def _created(call: Call, digest: Digest) -> Response:
    headers = {"Location": call.url(f"blobs/{digest}"), "Docker-Content-Digest": digest}
    return Response(status_code=201, headers=headers)


def _progress(call: Call, code: int, upload: Upload) -> Response:
    return Response(status_code=code, headers=_where(call, upload.id, upload.offset))


def _where(call: Call, upload: str, offset: int) -> dict[str, str]:
    return {
        "Location": call.url(f"blobs/uploads/{upload}"),
        "Range": f"0-{max(0, offset - 1)}",  # also for 0 bytes: the form has no other way to say it
        "Docker-Upload-UUID": upload,
    }
