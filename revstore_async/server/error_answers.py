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
class ErrorAnswer:
    """The answer to an exception.

    Attributes:
        code: The OCI code.
        status: The HTTP status.
        told: Whether the client gets the message: a store's contents and failures are not its business.
        instead: What a client gets instead of an untold message; None for the words of the status.
    """

    code: str
    status: int
    told: bool = True
    instead: str | None = None


_NO_WRITES: Final = "the storage takes no writes until its operator mends it; reads go on"

TABLE: Final[Mapping[type[RevstoreError], ErrorAnswer]] = {
    # faults of the request
    errors.InvalidName: ErrorAnswer("NAME_INVALID", 400),
    errors.InvalidTag: ErrorAnswer("TAG_INVALID", 400),
    errors.InvalidDigest: ErrorAnswer("DIGEST_INVALID", 400),
    errors.DigestMismatch: ErrorAnswer("DIGEST_INVALID", 400),
    errors.SizeMismatch: ErrorAnswer("SIZE_INVALID", 400),
    errors.InvalidManifest: ErrorAnswer("MANIFEST_INVALID", 400),
    errors.InvalidJSON: ErrorAnswer("MANIFEST_INVALID", 400),
    errors.ManifestNameMismatch: ErrorAnswer("NAME_INVALID", 400),
    errors.ManifestTagMismatch: ErrorAnswer("TAG_INVALID", 400),
    errors.ManifestTooLarge: ErrorAnswer("MANIFEST_INVALID", 413),
    errors.InvalidSignature: ErrorAnswer("MANIFEST_UNVERIFIED", 400),
    errors.NotTrusted: ErrorAnswer("MANIFEST_UNVERIFIED", 400),
    errors.VerificationFailed: ErrorAnswer("MANIFEST_INVALID", 400),
    errors.UploadOffsetMismatch: ErrorAnswer("BLOB_UPLOAD_INVALID", 416),
    errors.InvalidRange: ErrorAnswer("RANGE_INVALID", 416),
    errors.InvalidOffset: ErrorAnswer("RANGE_INVALID", 416, told=False),
    errors.InvalidKey: ErrorAnswer("NAME_INVALID", 400, told=False),
    errors.InvalidHeader: ErrorAnswer("UNSUPPORTED", 400),
    errors.InvalidQuery: ErrorAnswer("UNSUPPORTED", 400),
    errors.TooManyTags: ErrorAnswer("TAG_INVALID", 414),
    errors.BodyTooLarge: ErrorAnswer("SIZE_INVALID", 413),
    errors.MethodNotAllowed: ErrorAnswer("UNSUPPORTED", 405),
    errors.InvalidInput: ErrorAnswer("UNSUPPORTED", 400),
    errors.BodyTimeout: ErrorAnswer("BLOB_UPLOAD_INVALID", 408),
    errors.ClientGone: ErrorAnswer("BLOB_UPLOAD_INVALID", 400),
    # absent content
    errors.RepositoryUnknown: ErrorAnswer("NAME_UNKNOWN", 404),
    errors.ManifestUnknown: ErrorAnswer("MANIFEST_UNKNOWN", 404),
    errors.TagUnknown: ErrorAnswer("MANIFEST_UNKNOWN", 404),
    errors.BlobUnknown: ErrorAnswer("BLOB_UNKNOWN", 404),
    errors.LinkDangling: ErrorAnswer("BLOB_UNKNOWN", 404, told=False),
    errors.UploadUnknown: ErrorAnswer("BLOB_UPLOAD_UNKNOWN", 404),
    errors.NotFound: ErrorAnswer("UNSUPPORTED", 404),
    # access
    errors.Unauthenticated: ErrorAnswer("UNAUTHORIZED", 401),
    errors.Forbidden: ErrorAnswer("DENIED", 403),
    errors.TooManyAttempts: ErrorAnswer("TOOMANYREQUESTS", 429),
    errors.CrossOrigin: ErrorAnswer("DENIED", 403),
    errors.KeySetUnavailable: ErrorAnswer("UNAVAILABLE", 503, told=False),
    # conflicts with the store's state
    errors.PreconditionFailed: ErrorAnswer("PRECONDITION_FAILED", 412),
    errors.TagChanged: ErrorAnswer("PRECONDITION_FAILED", 412),
    errors.TagContended: ErrorAnswer("UNAVAILABLE", 503),
    errors.TagImmutable: ErrorAnswer("DENIED", 409),
    errors.MediaTypeConflict: ErrorAnswer("MANIFEST_INVALID", 409),
    errors.UploadBusy: ErrorAnswer("BLOB_UPLOAD_INVALID", 409),
    errors.UploadClaimed: ErrorAnswer("BLOB_UPLOAD_INVALID", 409),
    errors.UploadDamaged: ErrorAnswer("BLOB_UPLOAD_INVALID", 500),  # its message names nothing that is stored
    errors.Conflict: ErrorAnswer("UNSUPPORTED", 409),
    # failures of the storage; its errors name keys, which clients must not see
    errors.KeyNotFound: ErrorAnswer("UNKNOWN", 500, told=False),
    errors.WriterNotFound: ErrorAnswer("UNKNOWN", 500, told=False),
    errors.ConditionFailed: ErrorAnswer("UNAVAILABLE", 503, told=False),
    # no room in this process
    errors.Overloaded: ErrorAnswer("UNAVAILABLE", 503),
    errors.Unsupported: ErrorAnswer("UNSUPPORTED", 501, told=False),
    # faults for the operator of the storage to mend: never a client's fault
    errors.InvalidStoreURL: ErrorAnswer("UNAVAILABLE", 503, told=False),
    errors.MissingExtra: ErrorAnswer("UNAVAILABLE", 503, told=False),
    errors.IncompatiblePackage: ErrorAnswer("UNAVAILABLE", 503, told=False),
    errors.AccessDenied: ErrorAnswer("UNAVAILABLE", 503, told=False),
    errors.StorageFull: ErrorAnswer("UNAVAILABLE", 507, told=False),
    errors.CollectorStateUnreadable: ErrorAnswer("UNAVAILABLE", 503, told=False, instead=_NO_WRITES),
    errors.CollectorStateOfNewerEngine: ErrorAnswer("UNAVAILABLE", 503, told=False, instead=_NO_WRITES),
    errors.BeingCollected: ErrorAnswer(
        "UNAVAILABLE", 503, told=False, instead="the storage is deleting that content, try again later"
    ),
    errors.Throttled: ErrorAnswer("TOOMANYREQUESTS", 429, told=False),
    errors.Unavailable: ErrorAnswer("UNAVAILABLE", 503, told=False),
    RevstoreError: ErrorAnswer("UNKNOWN", 500, told=False),
}
"""The answer to each error."""

_INSIDE: Final[Mapping[type[RevstoreError], ErrorAnswer]] = {
    errors.BlobUnknown: ErrorAnswer("MANIFEST_BLOB_UNKNOWN", 404),
    errors.ManifestUnknown: ErrorAnswer("MANIFEST_BLOB_UNKNOWN", 404),
}
"""The answers to errors inside of a manifest."""

_OPERATORS: Final = (
    errors.InvalidStoreURL,
    errors.MissingExtra,
    errors.IncompatiblePackage,
    errors.AccessDenied,
    errors.StorageFull,
    errors.Unsupported,
    errors.CollectorStateUnreadable,
    errors.CollectorStateOfNewerEngine,
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


def answer_of(error: RevstoreError, *, inside: bool = False) -> ErrorAnswer:
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


def _entry(error: RevstoreError, answer: ErrorAnswer, scope: Scope, store: object) -> dict[str, object]:
    if answer.told:
        if isinstance(error, NotFound):
            log_damage(error)
        # The client can go on, and the operator has to know in any case.
        logged = f" (logged as {_log(error, scope, store)})" if isinstance(error, Damaged) else ""
        return {"code": answer.code, "message": f"{error}{logged}"}
    logged = _log(error, scope, store)
    said = answer.instead or _UNTOLD.get(answer.status, "an internal error")
    return {"code": answer.code, "message": f"{said} (logged as {logged})"}


def _log(error: Exception, scope: Scope, store: object = None) -> str:
    known = request_id(scope)
    if isinstance(error, _OPERATORS):
        _LOG.error("request failed, ID %s, by the store %r: %s", known, store, error.one_line)
        return known
    if isinstance(error, RevstoreError) and error.retryable:  # these come in floods, with equal tracebacks
        _LOG.warning("request failed, ID %s: %s: %s", known, type(error).__name__, error)
    else:
        _LOG.error("request failed, ID %s", known, exc_info=error)
    return known


def _headers(error: RevstoreError, answer: ErrorAnswer, options: ServerOptions) -> dict[str, str]:
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
        case Throttled() | errors.BeingCollected():
            return error.retry_after
        case errors.TooManyAttempts():
            return error.seconds
    return None
