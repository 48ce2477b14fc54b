"""Answers that are no content, as S3 and those that speak like it give them, for the drivers that ask."""

from collections.abc import Mapping
from typing import Final


class Refused(Exception):
    """An answer that means something to the caller: a condition failed, an upload is gone.

    It never leaves the driver.

    Attributes:
        code: What was answered, in the words of the driver's module `errors`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


CREDENTIALS: Final[Mapping[str, str]] = {
    "AccessDenied": "the store refuses these credentials this access",
    "InvalidAccessKeyId": "the access key is not known to the store",
    "SignatureDoesNotMatch": "the secret key is not that of the access key",
    "ExpiredToken": "the session token has expired",
    "InvalidToken": "the session token is not valid",
}
"""Codes that credentials are answered with, and what each says."""

FULL: Final = frozenset(
    {"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "InsufficientCapacity", "507"}
)
"""Codes of a store that has no room; 507 is that of WebDAV, which some answer without a code of S3's."""

IN_THE_WAY: Final = frozenset({"XMinioParentIsObject", "XMinioObjectExistsAsDirectory", "KeyTooLongError"})
"""Codes for a name that the store can't give an object."""
