"""Errors as the clients of a registry know them: one table of exception, OCI code and status.

Source: OCI distribution spec 1.1, "Error Codes"; codes outside of it are Docker Distribution's. The nearest
ancestor that stands in the table counts.
"""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .. import errors
from ..errors import Damaged, NotFound, ObjectTooLarge, RevstoreError, Throttled, VerificationFailed
from .observing.observed import request_id
from .options import ServerOptions

_LOG = logging.getLogger("revstore_async.server")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an exception.

    Attributes:
        code: The OCI code.
        status: The HTTP status.
        told: Whether the client gets the message: a store's contents and failures are not its business.
    """

    code: str
    status: int
    told: bool = True


TABLE: Final[Mapping[type[RevstoreError], Answer]] = {
    # faults of the request
    errors.InvalidName: Answer("NAME_INVALID", 400),
    errors.InvalidTag: Answer("TAG_INVALID", 400),
    errors.InvalidDigest: Answer("DIGEST_INVALID", 400),
    errors.DigestMismatch: Answer("DIGEST_INVALID", 400),
    errors.SizeMismatch: Answer("SIZE_INVALID", 400),
    errors.InvalidManifest: Answer("MANIFEST_INVALID", 400),
    errors.InvalidJSON: Answer("MANIFEST_INVALID", 400),
    errors.ManifestNameMismatch: Answer("NAME_INVALID", 400),
    errors.ManifestTagMismatch: Answer("TAG_INVALID", 400),
    errors.ManifestTooLarge: Answer("MANIFEST_INVALID", 413),
    errors.InvalidSignature: Answer("MANIFEST_UNVERIFIED", 400),
    errors.NotTrusted: Answer("MANIFEST_UNVERIFIED", 400),
    errors.VerificationFailed: Answer("MANIFEST_INVALID", 400),
    errors.UploadOffsetMismatch: Answer("BLOB_UPLOAD_INVALID", 416),
    errors.InvalidRange: Answer("RANGE_INVALID", 416),
    errors.InvalidOffset: Answer("RANGE_INVALID", 416, told=False),
    errors.InvalidKey: Answer("NAME_INVALID", 400, told=False),
    errors.InvalidHeader: Answer("UNSUPPORTED", 400),
    errors.InvalidQuery: Answer("UNSUPPORTED", 400),
    errors.TooManyTags: Answer("TAG_INVALID", 414),
    errors.BodyTooLarge: Answer("SIZE_INVALID", 413),
    errors.MethodNotAllowed: Answer("UNSUPPORTED", 405),
    errors.InvalidInput: Answer("UNSUPPORTED", 400),
    errors.BodyTimeout: Answer("BLOB_UPLOAD_INVALID", 408),
    errors.ClientGone: Answer("BLOB_UPLOAD_INVALID", 400),
    # absent content
    errors.RepositoryUnknown: Answer("NAME_UNKNOWN", 404),
    errors.ManifestUnknown: Answer("MANIFEST_UNKNOWN", 404),
    errors.TagUnknown: Answer("MANIFEST_UNKNOWN", 404),
    errors.BlobUnknown: Answer("BLOB_UNKNOWN", 404),
    errors.LinkDangling: Answer("BLOB_UNKNOWN", 404, told=False),
    errors.UploadUnknown: Answer("BLOB_UPLOAD_UNKNOWN", 404),
    errors.NotFound: Answer("UNSUPPORTED", 404),
    # access
    errors.Unauthenticated: Answer("UNAUTHORIZED", 401),
    errors.Forbidden: Answer("DENIED", 403),
    errors.TooManyAttempts: Answer("TOOMANYREQUESTS", 429),
    errors.CrossOrigin: Answer("DENIED", 403),
    errors.KeySetUnavailable: Answer("UNAVAILABLE", 503, told=False),
    # conflicts with the store's state
    errors.PreconditionFailed: Answer("PRECONDITION_FAILED", 412),
    errors.TagChanged: Answer("PRECONDITION_FAILED", 412),
    errors.TagContended: Answer("UNAVAILABLE", 503),
    errors.TagImmutable: Answer("DENIED", 409),
    errors.MediaTypeConflict: Answer("MANIFEST_INVALID", 409),
    errors.UploadBusy: Answer("BLOB_UPLOAD_INVALID", 409),
    errors.UploadClaimed: Answer("BLOB_UPLOAD_INVALID", 409),
    errors.UploadDamaged: Answer("BLOB_UPLOAD_INVALID", 500),  # its message names nothing that is stored
    errors.Conflict: Answer("UNSUPPORTED", 409),
    # failures of the storage; its errors name keys, which clients must not see
    errors.KeyNotFound: Answer("UNKNOWN", 500, told=False),
    errors.WriterNotFound: Answer("UNKNOWN", 500, told=False),
    errors.WriterBusy: Answer("UNAVAILABLE", 503, told=False),
    errors.ConditionFailed: Answer("UNAVAILABLE", 503, told=False),
    # no room in this process
    errors.Overloaded: Answer("UNAVAILABLE", 503),
    errors.Unsupported: Answer("UNSUPPORTED", 501, told=False),
    # faults for the operator of the storage to mend: never a client's fault
    errors.InvalidStoreURL: Answer("UNAVAILABLE", 503, told=False),
    errors.MissingExtra: Answer("UNAVAILABLE", 503, told=False),
    errors.AccessDenied: Answer("UNAVAILABLE", 503, told=False),
    errors.StorageFull: Answer("UNAVAILABLE", 507, told=False),
    errors.Throttled: Answer("TOOMANYREQUESTS", 429, told=False),
    errors.Unavailable: Answer("UNAVAILABLE", 503, told=False),
    RevstoreError: Answer("UNKNOWN", 500, told=False),
}
"""The answer to each error."""

_INSIDE: Final[Mapping[type[RevstoreError], Answer]] = {
    errors.BlobUnknown: Answer("MANIFEST_BLOB_UNKNOWN", 404),
    errors.ManifestUnknown: Answer("MANIFEST_BLOB_UNKNOWN", 404),
}
"""The answers to errors inside of a manifest."""

_OPERATORS: Final = (
    errors.InvalidStoreURL,
    errors.MissingExtra,
    errors.AccessDenied,
    errors.StorageFull,
    errors.Unsupported,
)
"""Faults that the operator of the storage must mend. Each request that fails by one is a line in the log."""

TOLD_LIMIT: Final = 100
"""Errors in one answer at most."""

_UNTOLD: Final = {
    400: "the storage can't keep anything under that name",
    404: "its content is lost, push it again",
    429: "the storage is busy, try again later",
    501: "the storage can't do that",
    507: "the storage is full",
    503: "the storage does not answer, try again later",
}


def answer_of(error: RevstoreError, *, inside: bool = False) -> Answer:
    """Return the answer to an error."""
    for kind in type(error).__mro__:
        if inside and kind in _INSIDE:
            return _INSIDE[kind]
        if kind in TABLE:
            return TABLE[kind]
    return TABLE[RevstoreError]


def respond(error: RevstoreError, options: ServerOptions, scope: Scope, store: object = None) -> Response:
    """Return the answer that tells a client of an error.

    The log tells everything that the client is not told. The client gets the ID of the request, and the log
    names it.

    Args:
        error: The error.
        options: The server's options.
        scope: The request's, for its ID.
        store: The storage, for the log; its representation names the storage, without secrets.
    """
    answer = answer_of(error)
    if isinstance(error, VerificationFailed):
        found = error.errors
        entries = [_entry(each, answer_of(each, inside=True), scope, store) for each in found[:TOLD_LIMIT]]
        if (more := len(found) - TOLD_LIMIT) > 0:
            entries.append({"code": answer.code, "message": f"and {more} more"})
    else:
        entries = [_entry(error, answer, scope, store)]
    return refuse(answer.status, entries, _headers(error, answer, options))


def unexpected(error: Exception, scope: Scope) -> Response:
    """Return the answer to a request that failed by a defect; it tells neither a traceback nor the message."""
    reference = _log(error, scope)
    return refuse(500, [{"code": "UNKNOWN", "message": f"an internal error, logged as {reference}"}])


def log_damage(error: RevstoreError) -> None:
    """Log damaged content that the server treats as absent, for the operator; log no other error.

    The answer to a caller with push access calls damaged content absent, and tells no more.
    """
    damage = error if isinstance(error, Damaged) else error.__cause__
    if isinstance(damage, Damaged | ObjectTooLarge):
        _LOG.error("damage, taken for absent until it is pushed again: %s: %s", type(damage).__name__, damage)


def refuse(
    status: int, entries: list[dict[str, object]], headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer in the spec's error format."""
    return _Refusal(status, entries, headers)


class _Refusal(Response):
    """An answer with errors. It notes the first code for the access log."""

    def __init__(
        self, status: int, entries: list[dict[str, object]], headers: Mapping[str, str] | None
    ) -> None:
        content = json.dumps({"errors": entries}).encode()
        super().__init__(content, status, headers, media_type="application/json")
        self._code = entries[0]["code"] if entries else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["revstore.error"] = self._code
        await super().__call__(scope, receive, send)


def _entry(error: RevstoreError, answer: Answer, scope: Scope, store: object) -> dict[str, object]:
    if answer.told:
        if isinstance(error, NotFound):
            log_damage(error)
        # The client can go on, and the operator has to know in any case.
        logged = f" (logged as {_log(error, scope, store)})" if isinstance(error, Damaged) else ""
        return {"code": answer.code, "message": f"{error}{logged}"}
    logged = _log(error, scope, store)
    said = _UNTOLD.get(answer.status, "an internal error")
    return {"code": answer.code, "message": f"{said} (logged as {logged})"}


def _log(error: Exception, scope: Scope, store: object = None) -> str:
    known = request_id(scope)
    if isinstance(error, _OPERATORS):
        said = " ".join(str(error).split())  # one line for any text of a storage
        _LOG.error("request failed, ID %s, by the store %r: %s", known, store, said)
        return known
    if isinstance(error, RevstoreError) and error.retryable:  # these come in floods, with equal tracebacks
        _LOG.warning("request failed, ID %s: %s: %s", known, type(error).__name__, error)
    else:
        _LOG.error("request failed, ID %s", known, exc_info=error)
    return known


def _headers(error: RevstoreError, answer: Answer, options: ServerOptions) -> dict[str, str]:
    headers: dict[str, str] = {}
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = error.challenge
    elif isinstance(error, errors.MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    elif isinstance(error, errors.InvalidRange):
        headers["Content-Range"] = f"bytes */{error.size}"
    elif answer.status in {429, 503} or isinstance(error, errors.UploadBusy):
        named = _seconds_named(error)
        seconds = options.retry_after.total_seconds() if named is None else named
        headers["Retry-After"] = str(max(1, math.ceil(seconds)))
    return headers


def _seconds_named(error: RevstoreError) -> float | None:
    match error:
        case Throttled():
            return error.retry_after
        case errors.TooManyAttempts():
            return error.seconds
    return None
