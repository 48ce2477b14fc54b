"""Turns obstore's errors into the driver's; no other module does that.

obstore tells the server's answer in the text of its errors only: the status, and the body with its code. It does
not tell the headers. So the driver knows neither how long a throttled client must wait, nor the store's time.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from typing import Final

from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

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

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([^<]{1,100})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,1000})</Message>")
_KIND = re.compile(r"\bkind: (\w+)")
_DEBUG: Final = "\n\nDebug source:"
_NO_CREDENTIALS = re.compile(r"/latest/api/token|/metadata/identity|computeMetadata|MissingCredentials")

_THROTTLES: Final = re.compile(r"SlowDown|Throttl|TooManyRequests|RequestLimitExceeded|ServerBusy|rateLimit")
_NO_BUCKET: Final = frozenset({"NoSuchBucket", "ContainerNotFound"})
_CREDENTIALS: Final = {
    **CREDENTIALS,
    "RequestTimeTooSkewed": "this machine's clock is not that of the store",
    "AuthenticationFailed": "the credentials are not valid",
}
_PASSES: Final = frozenset({"RequestTimeout", "InternalError", "OperationAborted", "BadDigest"})
_TOO_LARGE: Final = frozenset({"EntityTooLarge", "InvalidRequest"})

# The codes of `Refused` here.
MISSING: Final = "there is no such object"
FAILED: Final = "the condition does not hold"
CONFLICT: Final = "other conditional writes are under way"
NO_RANGE: Final = "there is no such range"
TOO_LARGE: Final = "it is too large for one request"


@contextmanager
def translated(key: str, store: str, driver: str) -> Iterator[None]:
    """Turn obstore's errors into `Refused` or the driver's errors.

    Args:
        key: The key of the request.
        store: The name of the store in messages.
        driver: The name of the driver in messages.
    """
    try:
        yield
    except (BaseError, OSError, ValueError, NotImplementedError) as error:
        raise _meant(error, key, store, driver) from error


def _meant(error: Exception, key: str, store: str, driver: str) -> Exception:
    said = str(error).partition(_DEBUG)[0]
    status = int(found[1]) if (found := _STATUS.search(said)) else 0
    code = found[1] if (found := _CODE.search(said)) else ""
    if not status:
        return _of_no_answer(error, said, key, driver)
    message = unescape(found[1]) if (found := _MESSAGE.search(said)) else "no reason given"
    reason = f"{message} ({code or status})"
    return (
        _of_location(status, code, reason, store)
        or _refused(error, status, code)
        or _of_status(status, code, reason, key)
        or Unsupported(driver, f"a request for {key!r}: {reason}")
    )


def _of_location(status: int, code: str, reason: str, store: str) -> RevstoreError | None:
    if code in _NO_BUCKET:
        return InvalidStoreURL(store, "the bucket does not exist: create it, or name another one")
    if status in {301, 307} or code in {"AuthorizationHeaderMalformed", "InvalidBucketName"}:
        return InvalidStoreURL(store, f"the bucket is not where it is looked for: {reason}")
    return None


def _refused(error: Exception, status: int, code: str) -> Refused | None:
    if status == 409 and code not in IN_THE_WAY and code not in _PASSES:
        return Refused(CONFLICT)  # obstore calls it a failed condition, but it says "try again"
    if status == 412 or isinstance(error, PreconditionError | AlreadyExistsError):
        return Refused(FAILED)
    if status == 404:
        return Refused(MISSING)
    if status == 416:
        return Refused(NO_RANGE)
    if status == 400 and code in _TOO_LARGE:
        return Refused(TOO_LARGE)
    return None


def _of_status(status: int, code: str, reason: str, key: str) -> RevstoreError | None:
    if status == 429 or _THROTTLES.search(code):
        return Throttled(key, reason)
    if code in FULL or status == 507:
        return StorageFull(key, reason)
    if status in {401, 403} or code in _CREDENTIALS:
        return AccessDenied(key, f"{_CREDENTIALS.get(code, reason)} ({code or status})")
    if code in IN_THE_WAY:
        return InvalidKey(key, reason)
    if code in _PASSES or (status >= 500 and status != 501):
        return Unavailable(key, reason)
    return None


def _of_no_answer(error: Exception, said: str, key: str, driver: str) -> Exception:
    if isinstance(error, FileNotFoundError):
        return Refused(MISSING)
    if isinstance(error, NotImplementedError) or type(error).__name__ == "NotSupportedError":
        return Unsupported(driver, f"a request for {key!r}: {said}")
    if _NO_CREDENTIALS.search(said):
        return AccessDenied(key, "no credentials were found where obstore looks for them, or not whole ones")
    return Unavailable(key, said.replace("\n", " ") or type(error).__name__)


def of_refused(refused: Refused, key: str) -> RevstoreError:
    """Return the driver's error for a refusal that the call itself does not handle."""
    return KeyNotFound(key) if refused.code == MISSING else Unavailable(key, refused.code)


def was_never_sent(error: Unavailable) -> bool:
    """Whether a request surely did nothing: the server turned it away, or the driver reached no server."""
    if isinstance(error, Throttled) or isinstance(error.__cause__, NoTurn):
        return True
    debug = str(error.__cause__).partition(_DEBUG)[2]
    return bool((found := _KIND.search(debug)) and found[1] == "Connect")
