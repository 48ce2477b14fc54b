"""Turns the errors of botocore and aiohttp into the driver's; no other module does that."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from aiohttp import ClientConnectorError, ClientSSLError, ConnectionTimeoutError
from aiohttp import ClientError as HTTPError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    HTTPClientError,
    InvalidRegionError,
    NoAuthTokenError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from revstore_async.concurrency import drop_frames
from revstore_async.errors import (
    AccessDenied,
    InvalidKey,
    InvalidStoreURL,
    KeyNotFound,
    RevstoreError,
    StorageFull,
    Throttled,
    Unavailable,
    Unsupported,
)

from ..buckets.refusals import CREDENTIALS, FULL, IN_THE_WAY, Refused
from ..buckets.retries import NoTurn
from .wire.times import date_of

DRIVER: Final = "s3"
"""The driver's name, as messages call it."""

_THROTTLES: Final = frozenset(
    {
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "TooManyRequests",
        "TooManyRequestsException",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "EC2ThrottledException",
        "429",
    }
)
_PASSES: Final = frozenset(
    {
        "RequestTimeout",
        "InternalError",
        "OperationAborted",
        "ConditionalRequestConflict",
        "BadDigest",  # the network changed the body
        "XAmzContentSHA256Mismatch",  # as above
    }
)
_CREDENTIALS: Final = {
    **CREDENTIALS,
    "AllAccessDisabled": "all access is disabled",
    "AccountProblem": "there is a problem with the account",
    "ExpiredTokenException": "the session token has expired",
    "TokenRefreshRequired": "the session token must be renewed",
    "InvalidSecurity": "the credentials are not valid",
}
_SKEWED: Final = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_LATE: Final = frozenset({"AccessDenied", "ExpiredToken", "403"})
_ELSEWHERE: Final = frozenset(
    {
        "PermanentRedirect",
        "TemporaryRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "InvalidBucketName",
        "301",
        "307",
    }
)
_BY_STATUS: Final = {
    "404": "NoSuchKey",
    "412": "PreconditionFailed",
    "416": "InvalidRange",
    "403": "AccessDenied",
}
_SKEW: Final = 300  # seconds; a bare 403 names the clock if it is off by more, while S3 takes 900

EXPECTED: Final = frozenset(
    {
        "PreconditionFailed",
        "NoSuchKey",
        "InvalidRange",
        "NoSuchUpload",
        "InvalidPart",
        "EntityTooSmall",
        "ConditionalRequestConflict",
        "ObjectLockConfigurationNotFoundError",
    }
)
"""Codes that become `Refused`; that of a HEAD, which has none, is made from the status."""


SDK_ERRORS: Final[tuple[type[Exception], ...]] = (
    ClientError,
    BotoCoreError,
    ResponseParserError,
    HTTPError,
    TimeoutError,
    OSError,
)
"""Errors that leave botocore and aiohttp; `of_failure` turns each into one of the driver's."""


@contextmanager
def translated(key: str, store: str) -> Iterator[None]:
    """Turn the SDK's errors into `Refused` or the driver's errors.

    Args:
        key: The key of the request.
        store: The name of the store in messages.
    """
    try:
        yield
    except SDK_ERRORS as error:
        raise of_failure(error, key, store) from error


def of_failure(error: Exception, key: str, store: str) -> Exception:
    """Return `Refused` or the driver's error for one of `SDK_ERRORS`; the arguments are those of `translated`."""
    if isinstance(error, ClientError):
        return of_answer(error.response, key, store)
    drop_frames(error)  # aiohttp's hold the error, and the body that was to be sent
    return _of_no_answer(error, key, store)


def came_late(error: Exception, until: datetime) -> bool:
    """Whether an error tells that a request came after the end of its signature."""
    if not isinstance(error, ClientError):
        return False
    told, meta = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    return tells_lateness(told, date_of(meta.get("HTTPHeaders", {})), until)


def tells_lateness(told: Mapping[str, Any], date: datetime | None, until: datetime) -> bool:
    """Whether an error element tells that a request came after the end of its signature.

    AWS and MinIO use the code of a denied access for that, and tell the reason in the message only. The time of the
    answer, if it is known, tells it too.
    """
    if told.get("Code") not in _LATE:
        return False
    return "has expired" in str(told.get("Message")) or (date is not None and date >= until)


def of_missing(refused: Refused, key: str) -> RevstoreError:
    """Return the driver's error for a refusal that the call itself does not handle."""
    if refused.code == "NoSuchKey":
        return KeyNotFound(key, refused.date)
    return Unavailable(key, refused.code)


def of_code(code: str, key: str) -> RevstoreError:
    """Return the error of one key among many, for which the server gives a code only."""
    return _of_code(code, 0, code, key) or Unavailable(key, code)


def of_answer(response: Mapping[str, Any], key: str, store: str) -> Exception:
    """Return the error of a failed request from the server's answer."""
    told, meta = response.get("Error", {}), response.get("ResponseMetadata", {})
    status = int(meta.get("HTTPStatusCode", 0))
    headers: Mapping[str, str] = meta.get("HTTPHeaders", {})
    code = str(told.get("Code", status))
    code = _BY_STATUS.get(code, code)
    if code in EXPECTED:
        return Refused(code, date_of(headers))
    reason = f"{told.get('Message') or 'no reason given'} ({code})"
    if code == "NoSuchBucket":
        return InvalidStoreURL(store, "the bucket does not exist: create it, or name another one")
    if code in _ELSEWHERE:
        return InvalidStoreURL(store, f"the bucket is not where it is looked for: {reason}")
    if code in _SKEWED or (code == "AccessDenied" and abs(_skew(headers)) > _SKEW):
        ahead = -_skew(headers)
        side = "ahead of" if ahead > 0 else "behind"
        return AccessDenied(key, f"this machine's clock is {abs(ahead):.0f} s {side} the store's ({code})")
    if code in _THROTTLES or status == 429:
        return Throttled(key, reason, _retry_after(headers))
    if status == 503 and "retry-after" in headers:
        return Throttled(key, reason, _retry_after(headers))
    return _of_code(code, status, reason, key) or Unsupported(DRIVER, f"a request for {key!r}: {reason}")


def _of_code(code: str, status: int, reason: str, key: str) -> RevstoreError | None:
    if code in _THROTTLES:
        return Throttled(key, reason)
    if code in FULL or status == 507:
        return StorageFull(key, reason)
    if code in _CREDENTIALS or status in {401, 403}:
        return AccessDenied(key, f"{_CREDENTIALS.get(code, reason)} ({code})")
    if code in IN_THE_WAY:
        return InvalidKey(key, reason)
    if code in _PASSES or (status >= 500 and status != 501):
        return Unavailable(key, reason)
    return None


def _of_no_answer(error: Exception, key: str, store: str) -> RevstoreError:
    # botocore's messages name hosts and files; the keys and tokens of credentials are in none of them.
    kind = type(error).__name__
    if isinstance(
        error, NoCredentialsError | PartialCredentialsError | NoAuthTokenError | TokenRetrievalError
    ):
        return AccessDenied(key, "no credentials were found in AWS's chain, or not whole ones")
    if isinstance(error, SSOError):
        return AccessDenied(
            key, "there is no session of AWS's single sign-on, or it has expired: sign in anew"
        )
    if isinstance(error, ProfileNotFound | InvalidRegionError):
        return InvalidStoreURL(store, str(error))
    if isinstance(error, ParamValidationError):
        return Unsupported(DRIVER, f"a request for {key!r}: {kind}")
    if isinstance(error, CredentialRetrievalError):
        return Unavailable(key, "the credentials could not be fetched")
    if isinstance(error, SSLError):
        return Unavailable(key, f"the TLS connection failed: {error.kwargs.get('error', kind)}")
    if isinstance(error, HTTPClientError):
        within = error.kwargs.get("error")
        return Unavailable(key, kind if within is None else f"{kind}: {within}")
    if isinstance(error, ClientSSLError):
        return Unavailable(key, f"the TLS connection failed: {error}")
    return Unavailable(key, f"{kind}: {error}" if str(error) else kind)


_NOBODY: Final = (ConnectTimeoutError, ConnectionTimeoutError, ClientConnectorError, NoTurn)


def was_never_sent(error: Unavailable) -> bool:
    """Whether a request surely did nothing: the server turned it away, or the driver reached no server."""
    return isinstance(error, Throttled) or isinstance(error.__cause__, _NOBODY)


def may_pass(error: AccessDenied) -> bool:
    """Whether the server may allow a denied write the next moment, as MinIO does.

    MinIO on one drive denied 1 of 1,600 puts with good credentials, and only while neighbours were deleted. It
    seems to deny a write while it removes the folder with the last object in it.
    """
    cause = error.__cause__
    if not isinstance(cause, ClientError):
        return False
    headers = cause.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return bool(cause.response["Error"].get("Code") == "AccessDenied" and headers.get("server") == "MinIO")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after", "")
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _skew(headers: Mapping[str, str]) -> float:
    """Return the seconds by which the store's clock is ahead of this machine's."""
    try:
        return (parsedate_to_datetime(headers.get("date", "")) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return 0.0
