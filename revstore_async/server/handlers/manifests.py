"""Manifests, by tag and digest.

Sources: OCI distribution spec 1.1 and what its next version adds (`tag` parameters of a push by digest); RFC 9110,
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
from ...formats.digest import Digest
from ...formats.manifests import (
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    MANIFEST_LIMIT,
    Descriptor,
    canonical,
)
from ...formats.names import Tag, tag_or_digest
from ...manifests.service import StoredManifest
from ...tags.changes import ABSENT, Expected
from ...threads import digest_of
from .. import answers
from ..access.policy import Action
from ..context import Call
from ..events import ManifestDeleted, ManifestPulled, ManifestPushed, TagDeleted
from .conditions import Conditions

_LOG = logging.getLogger("revstore_async.server")

TAGS_LIMIT: Final = 100
"""Tags of one push at most."""

_TRIES: Final = 100  # how often a condition is judged anew because somebody else changed the tag

R = TypeVar("R")


async def get(call: Call) -> Response:
    """Answer with a manifest as it is stored, whatever the client says that it accepts."""
    conditions = Conditions.of(call.request.headers, reading=True)
    reference = call.arguments["reference"]
    found, etag, content = await _find(call, reference)
    headers = {"Docker-Content-Digest": found.digest, "ETag": f'"{etag}"'}
    conditions.check_match(etag)
    if conditions.unchanged(etag):
        return Response(status_code=304, headers=headers)
    headers["Content-Type"] = found.media_type
    if call.request.method == "HEAD":
        return Response(headers=headers | {"Content-Length": str(found.size)})
    about = (call.repository.name, call.principal.name)
    await call.tell(ManifestPulled(*about, found.digest, found.media_type, reference))
    return Response(content, headers=headers)


Handler = Callable[[Call], Awaitable[Response]]


def _discreet(handler: Handler) -> Handler:
    """Have a caller who may not pull be refused without the digest that is there."""

    @wraps(handler)
    async def told(call: Call) -> Response:
        try:
            return await handler(call)
        except (PreconditionFailed, TagImmutable) as error:
            if await call.may(Action.PULL, call.repository.name):
                raise
            if isinstance(error, PreconditionFailed):
                raise PreconditionFailed(error.condition) from error
            raise TagImmutable(error.repository, error.tag, "") from error

    return told


@_discreet
async def put(call: Call) -> Response:
    """Store a manifest, and set its tag, or tags."""
    target = tag_or_digest(call.arguments["reference"])
    conditions = _conditions(call)
    tags = _tags(call, target)
    document = await call.body(MANIFEST_LIMIT)
    media_type = call.request.headers.get("content-type") or None
    manifests = call.repository.manifests
    if isinstance(target, Tag):
        stored = await _swap(
            call,
            conditions,
            target,
            lambda expected: manifests.put(document, tag=target, media_type=media_type, expected=expected),
            creates=True,
        )
    else:
        if conditions:
            conditions.check(target if await _relied_on(call, target) else None)
        stored = await manifests.put(document, tags=tags, media_type=media_type, digest=target)
    about = (call.repository.name, call.principal.name)
    await call.tell(ManifestPushed(*about, stored.digest, stored.media_type, stored.tags))
    return Response(status_code=201, headers=_stored(call, stored))


@_discreet
async def delete(call: Call) -> Response:
    """Delete a tag by its name, or a manifest, and the tags that point at it, by its digest."""
    target = tag_or_digest(call.arguments["reference"])
    conditions = _conditions(call)
    manifests = call.repository.manifests
    about = (call.repository.name, call.principal.name)
    if isinstance(target, Tag):
        await _swap(
            call,
            conditions,
            target,
            lambda expected: manifests.delete(target, expected=expected),
            creates=False,
        )
        await call.tell(TagDeleted(*about, target))
    else:
        if conditions and await call.repository.revisions.linked(
            target
        ):  # of what is not there, the deletion says so
            conditions.check(target)
        await manifests.delete(target)
        await call.tell(ManifestDeleted(*about, target))
        return Response(status_code=202, headers={"Docker-Content-Digest": target})
    return Response(status_code=202)


# ---- reading


async def _find(call: Call, reference: str) -> tuple[Descriptor, str, bytes]:
    """Return a manifest's descriptor, entity tag and bytes; no bytes for a HEAD, where they are not needed.

    The entity tag is the digest. The bytes of a signed document change when somebody signs it once more, though its
    digest stays: that of its payload.
    """
    manifests = call.repository.manifests
    if call.request.method == "HEAD":
        relies = await call.may(Action.PUSH, call.repository.name)
        looked_at = await (manifests.rely_on(reference) if relies else manifests.head(reference))
        if isinstance(looked_at, Descriptor):
            return looked_at, looked_at.digest, b""
        manifest = looked_at
    else:
        manifest = await manifests.get(reference, signatures=False, likely_signed=_likely_signed(call))
    for error in manifest.unreadable:
        _LOG.error("left out of the signatures of %s in %s: %s", manifest.digest, call.name, error)
    found = manifest.descriptor
    etag = str(found.digest)
    if found.media_type == DOCKER_SCHEMA1_SIGNED:
        etag = f"{etag};{(await digest_of(manifest.content)).hex}"
    return found, etag, manifest.content


def _likely_signed(call: Call) -> bool:
    """Say whether the client may have come for schema 1: it names that type, or no other type of a manifest.

    It is served whatever is there all the same; most clients name what they know, and `*/*` besides.
    """
    accepted = canonical(",".join(call.request.headers.getlist("accept")))
    return DOCKER_SCHEMA1.removesuffix("json") in accepted or not (
        ".manifest." in accepted or ".index." in accepted
    )


# ---- writing


async def _relied_on(call: Call, digest: Digest) -> bool:
    try:
        await call.repository.revisions.rely_on(digest)
    except ManifestUnknown as error:
        answers.log_damage(error)
        return False
    return True


def _conditions(call: Call) -> Conditions:
    """Return the conditions of a change: they are on the revision, whoever signs it meanwhile."""
    return Conditions.of(call.request.headers).cut(lambda etag: etag.partition(";")[0])


def _tags(call: Call, target: Tag | Digest) -> tuple[Tag, ...]:
    given = call.request.query_params.getlist("tag")
    if given and isinstance(target, Tag):
        raise InvalidQuery("tag", given[0], "tags come with a push by digest")
    if len(given) > TAGS_LIMIT:
        raise TooManyTags(len(given), TAGS_LIMIT)
    return tuple(Tag(tag) for tag in dict.fromkeys(given))


def _stored(call: Call, stored: StoredManifest) -> dict[str, str]:
    headers = {
        "Location": call.url(f"manifests/{stored.digest}"),
        "Docker-Content-Digest": stored.digest,
    }
    if stored.media_type not in {
        DOCKER_SCHEMA1,
        DOCKER_SCHEMA1_SIGNED,
    }:  # those are served with all signatures
        headers["ETag"] = f'"{stored.digest}"'
    if stored.subject is not None:
        headers["OCI-Subject"] = stored.subject.digest
    if "tag" in call.request.query_params:
        headers["OCI-Tag"] = ", ".join(stored.tags)
    return headers


async def _swap(
    call: Call,
    conditions: Conditions,
    tag: Tag,
    change: Callable[[Expected], Awaitable[R]],
    *,
    creates: bool,
) -> R:
    """Change a tag under the request's conditions. Where they leave but one value, the tag is not read before.

    Args:
        call: The request.
        conditions: Its conditions.
        tag: The tag.
        change: Changes the tag, if it is as expected.
        creates: Whether the change makes the tag where there is none.

    Raises:
        PreconditionFailed: They don't hold of what the tag is.
        TagUnknown: There is no such tag, and the change would not make it.
        TagContended: Others changed the tag each of 100 times, between values of which they hold.
    """
    if not conditions:
        return await change(None)
    current = _sole(conditions, creates=creates) or await _look(call, tag)
    for _ in range(_TRIES):
        if current is ABSENT and not creates:
            raise TagUnknown(call.repository.name, tag)
        conditions.check(None if current is ABSENT else str(current))
        try:
            return await change(current)
        except TagChanged as error:
            if (
                current is ABSENT and error.actual is None
            ):  # it is there, and damaged: what it is can't be read
                raise PreconditionFailed(str(conditions)) from error
            current = error.actual or ABSENT
    raise TagContended(call.repository.name, tag)


def _sole(conditions: Conditions, *, creates: bool) -> Expected:
    """Return the one value under which the conditions hold; None where there may be more."""
    match, none_match = conditions.match, conditions.none_match
    if match is None and none_match is not None and none_match.any and creates:
        return ABSENT
    if match is None or none_match is not None or len(match.strong) != 1:
        return None
    try:
        return Digest(*match.strong)
    except InvalidDigest:  # some other etag: what it is compared with is told
        return None


async def _look(call: Call, tag: Tag) -> Expected:
    try:
        return await call.repository.tags.resolve(tag)
    except TagUnknown:
        return ABSENT
