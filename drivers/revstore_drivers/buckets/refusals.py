"""Refusals of S3 and of servers like it, for the drivers of buckets."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final


class Refused(Exception):
    """A refusal that has a meaning for the caller: a condition failed, an upload is gone.

    It never leaves the driver.

    Attributes:
        code: The reason, one of the codes in the driver's module `errors`.
        date: The store's time of the refusal; None if it is not told.
    """

    def __init__(self, code: str, date: datetime | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.date = date


CREDENTIALS: Final[Mapping[str, str]] = {
    "AccessDenied": "the store refuses these credentials this access",
    "InvalidAccessKeyId": "the access key is not known to the store",
    "SignatureDoesNotMatch": "the secret key is not that of the access key",
    "ExpiredToken": "the session token has expired",
    "InvalidToken": "the session token is not valid",
}
"""Codes of refused credentials, and the meaning of each."""

FULL: Final = frozenset(
    {"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "InsufficientCapacity", "507"}
)
"""Codes of a store that has no room; some servers answer WebDAV's status 507 without a code."""

IN_THE_WAY: Final = frozenset({"XMinioParentIsObject", "XMinioObjectExistsAsDirectory", "KeyTooLongError"})
"""Codes for a key that the store can't hold."""
