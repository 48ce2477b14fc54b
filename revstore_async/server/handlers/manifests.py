"""Manifests, by tag and digest.

Sources: OCI distribution spec 1.1 and its next version (`tag` parameters of a push by digest); RFC 9110,
section 13, for conditions: a push or a deletion of a tag under a condition is a compare-and-swap.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final, TypeVar

from starlette.responses import Response

from ...errors import (
    InvalidDigest,
    InvalidQuery,
    ManifestUnknown,
    PreconditionFailed,
    TagChanged,
    TagContended,
    TagImmutable,
    TagUnknown,
    TooManyTags,
)
from ...formats.descriptors import (
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    MANIFEST_LIMIT,
    Descriptor,
    canonical,
)
from ...formats.digest import Digest
from ...formats.names import Tag, tag_or_digest
from ...manifests.service import StoredManifest
from ...revisions.revision import Signatures
from ...tags.state import ABSENT, Expected
from ...threads import digest_of
from .. import error_answers
from ..access.policy import Action
from ..context import RequestContext
from ..events import ManifestDeleted, ManifestPulled, ManifestPushed, TagDeleted
from .conditions import NONE, Conditions

_LOG = logging.getLogger("revstore_async.server")

TAGS_LIMIT: Final = 100
"""Tags of one push at most."""

_TRIES: Final = 100  # tries of a condition, each after another client has changed the tag

R = TypeVar("R")


async def get(context: RequestContext) -> Response:
    """Answer with a manifest as it is stored; the client's `Accept` does not change it."""
    conditions = Conditions.of(context.request.headers, reading=True)
    reference = context.arguments["reference"]
    found, etag, content = await _find(context, reference)
    headers = {"Docker-Content-Digest": found.digest, "ETag": f'"{etag}"'}
    if (pulls := context.registry.pull_times) is not None:
        pulls.note(context.repository.name, reference, found.digest)
    if conditions is not NONE:
        conditions.check_match(etag)
        if conditions.unchanged(etag):
            return Response(status_code=304, headers=headers)
    headers["Content-Type"] = found.media_type
    if context.request.method == "HEAD":
        return Response(headers=headers | {"Content-Length": str(found.size)})
    about = (context.repository.name, context.principal.name)
    await context.tell(ManifestPulled(*about, found.digest, found.media_type, reference))
    return Response(content, headers=headers)


Handler = Callable[[RequestContext], Awaitable[Response]]


def _discreet(handler: Handler) -> Handler:
    """Leave the stored digest out of refusals, if the caller may not pull."""

    @wraps(handler)
    async def told(context: RequestContext) -> Response:
        try:
            return await handler(context)
        except (PreconditionFailed, TagImmutable) as error:
            if await context.may(Action.PULL, context.repository.name):
                raise
            if isinstance(error, PreconditionFailed):
                raise PreconditionFailed(error.condition) from error
            raise TagImmutable(error.repository, error.tag, "") from error

    return told


@_discreet
async def put(context: RequestContext) -> Response:
    """Store a manifest, and set its tag, or tags."""
    target = tag_or_digest(context.arguments["reference"])
    conditions = _conditions(context)
    tags = _tags(context, target)
    document = await context.body(MANIFEST_LIMIT)
    media_type = context.headers.get("content-type") or None
    manifests = context.repository.manifests
    if isinstance(target, Tag):
        stored = await _swap(
            context,
            conditions,
            target,
            lambda expected: manifests.put(document, tag=target, media_type=media_type, expected=expected),
            creates=True,
        )
    else:
        if conditions is not NONE:
            conditions.check(target if await _relied_on(context, target) else None)
        stored = await manifests.put(document, tags=tags, media_type=media_type, digest=target)
    about = (context.repository.name, context.principal.name)
    await context.tell(ManifestPushed(*about, stored.digest, stored.media_type, stored.tags))
    return Response(status_code=201, headers=_stored(context, stored))


@_discreet
async def delete(context: RequestContext) -> Response:
    """Delete a tag by its name, or a manifest, and the tags that point at it, by its digest."""
    target = tag_or_digest(context.arguments["reference"])
    conditions = _conditions(context)
    manifests = context.repository.manifests
    about = (context.repository.name, context.principal.name)
    if isinstance(target, Tag):
        await _swap(
            context,
            conditions,
            target,
            lambda expected: manifests.delete(target, expected=expected),
            creates=False,
        )
        await context.tell(TagDeleted(*about, target))
    else:
        if conditions is not NONE and await context.repository.revisions.linked(
            target
        ):  # the deletion reports a missing manifest itself
            conditions.check(target)
        await manifests.delete(target)
        await context.tell(ManifestDeleted(*about, target))
        return Response(status_code=202, headers={"Docker-Content-Digest": target})
    return Response(status_code=202)


# ---- reading


async def _find(context: RequestContext, reference: str) -> tuple[Descriptor, str, bytes]:
    """Return a manifest's descriptor, entity tag and bytes; empty bytes for a HEAD that needs no content.

    The entity tag is the digest; for a signed document it names the document's bytes too. A further signature
    changes these bytes, and the digest stays: it is that of the payload.
    """
    manifests = context.repository.manifests
    if context.request.method == "HEAD":
        relies = await context.may(Action.PUSH, context.repository.name)
        looked_at = await (manifests.rely_on(reference) if relies else manifests.head(reference))
        if isinstance(looked_at, Descriptor):
            return looked_at, looked_at.digest, b""
        manifest = looked_at
    else:
        manifest = await manifests.get(reference, signatures=_wanted(context))
    for error in manifest.unreadable:
        _LOG.error("left out of the signatures of %s in %s: %s", manifest.digest, context.name, error)
    found = manifest.descriptor
    etag = str(found.digest)
    if found.media_type == DOCKER_SCHEMA1_SIGNED:
        etag = f"{etag};{(await digest_of(manifest.content)).hex}"
    return found, etag, manifest.content


def _wanted(context: RequestContext) -> Signatures:
    """Return the signatures to ask the engine for, by the types that the client names.

    The client may want schema 1 if it names that type, or no other type of a manifest. This is an expectation about
    the stored type only; the answer is the stored manifest in any case. Most clients name the types that they
    know, and `*/*` too.
    """
    accepted = canonical(",".join(context.request.headers.getlist("accept")))
    may_be_schema1 = DOCKER_SCHEMA1.removesuffix("json") in accepted or not (
        ".manifest." in accepted or ".index." in accepted
    )
    return Signatures.SERVED if may_be_schema1 else Signatures.UNSIGNED


# ---- writing


async def _relied_on(context: RequestContext, digest: Digest) -> bool:
    try:
        await context.repository.revisions.rely_on(digest)
    except ManifestUnknown as error:
        error_answers.log_damage(error)
        return False
    return True


def _conditions(context: RequestContext) -> Conditions:
    """Return the conditions of a change. They are on the revision; further signatures don't break them."""
    found = Conditions.of(context.request.headers)
    return found if found is NONE else found.cut(lambda etag: etag.partition(";")[0])


def _tags(context: RequestContext, target: Tag | Digest) -> tuple[Tag, ...]:
    if not context.request.scope["query_string"]:
        return ()
    given = context.request.query_params.getlist("tag")
    if given and isinstance(target, Tag):
        raise InvalidQuery("tag", given[0], "tags come with a push by digest")
    if len(given) > TAGS_LIMIT:
        raise TooManyTags(len(given), TAGS_LIMIT)
    return tuple(Tag(tag) for tag in dict.fromkeys(given))


def _stored(context: RequestContext, stored: StoredManifest) -> dict[str, str]:
    headers = {
        "Location": context.url(f"manifests/{stored.digest}"),
        "Docker-Content-Digest": stored.digest,
    }
    if stored.media_type not in {
        DOCKER_SCHEMA1,
        DOCKER_SCHEMA1_SIGNED,
    }:  # those are served with all signatures
        headers["ETag"] = f'"{stored.digest}"'
    if stored.subject is not None:
        headers["OCI-Subject"] = stored.subject.digest
    if "tag" in context.request.query_params:
        headers["OCI-Tag"] = ", ".join(stored.tags)
    return headers


async def _swap(
    context: RequestContext,
    conditions: Conditions,
    tag: Tag,
    change: Callable[[Expected], Awaitable[R]],
    *,
    creates: bool,
) -> R:
    """Change a tag under the request's conditions. If they allow one value only, the tag is not read before.

    Args:
        context: The request.
        conditions: Its conditions.
        tag: The tag.
        change: Changes the tag, if it is as expected.
        creates: Whether the change creates a missing tag.

    Raises:
        PreconditionFailed: The conditions don't hold for the tag's value.
        TagUnknown: There is no such tag, and the change would not create it.
        TagContended: In each of 100 tries, another client changed the tag to a value for which the conditions
            hold.
    """
    if conditions is NONE:
        return await change(None)
    current = _sole(conditions, creates=creates) or await _look(context, tag)
    for _ in range(_TRIES):
        if current is ABSENT and not creates:
            raise TagUnknown(context.repository.name, tag)
        conditions.check(None if current is ABSENT else str(current))
        try:
            return await change(current)
        except TagChanged as error:
            if (
                current is ABSENT and error.actual is None
            ):  # the tag is there, and damaged: its value can't be read
                raise PreconditionFailed(str(conditions)) from error
            current = error.actual or ABSENT
    raise TagContended(context.repository.name, tag)


def _sole(conditions: Conditions, *, creates: bool) -> Expected:
    """Return the one value under which the conditions hold; None if more values are possible."""
    match, none_match = conditions.match, conditions.none_match
    if match is None and none_match is not None and none_match.any and creates:
        return ABSENT
    if match is None or none_match is not None or len(match.strong) != 1:
        return None
    try:
        return Digest(*match.strong)
    except InvalidDigest:  # another server's etag: the refusal names the tag's value
        return None


async def _look(context: RequestContext, tag: Tag) -> Expected:
    try:
        return await context.repository.tags.resolve(tag)
    except TagUnknown:
        return ABSENT
