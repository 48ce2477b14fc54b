"""The `Authorization` header, read strictly, and a memory for the results of checks of credentials.

Sources: RFC 9110, section 11.6.2; RFC 7617 (Basic); RFC 6750, section 2.1 (Bearer).
"""

import base64
import binascii
import re
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from cachetools import TLRUCache
from starlette.requests import HTTPConnection

from ...errors import Unauthenticated

Value = TypeVar("Value")

CREDENTIALS_LIMIT: Final = 1 << 14
"""Characters of credentials at most; a token with hundreds of grants is smaller."""

_NEITHER: Final = "Og=="  # base64 of the colon between no user and no password

_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) +([A-Za-z0-9._~+/-]+=*)")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


def credentials_of(connection: HTTPConnection, scheme: str, challenge: str) -> str | None:
    """Return the credentials of a request by this scheme, or None if the request brings no credentials.

    Basic credentials with an empty user and an empty password count as no credentials under every scheme:
    skopeo, podman and buildah send them for anonymous.

    Raises:
        Unauthenticated: The request brings several credentials, or credentials of another scheme or form.
    """
    values = connection.headers.getlist("authorization")
    if not values:
        return None
    if len(values) > 1:
        raise Unauthenticated(challenge, "there are several Authorization headers")
    if (length := len(values[0])) > CREDENTIALS_LIMIT:  # before anything of it is read
        reason = f"the Authorization header has {length} characters, over the limit of {CREDENTIALS_LIMIT}"
        raise Unauthenticated(challenge, reason)
    found = _HEADER.fullmatch(values[0])
    if found is None:
        raise Unauthenticated(challenge, "the Authorization header is not valid")
    if found[1].lower() == "basic" and found[2] == _NEITHER:
        return None
    if found[1].lower() != scheme.lower():
        raise Unauthenticated(challenge, f"credentials of the scheme {scheme} are expected")
    return found[2]


def user_and_password(credentials: str, challenge: str) -> tuple[str, str]:
    """Take Basic credentials apart.

    Raises:
        Unauthenticated: The credentials are not a user and a password in UTF-8.
    """
    try:
        decoded = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Unauthenticated(challenge, "the credentials are not base64 of UTF-8") from None
    user, colon, password = decoded.partition(":")
    if not colon or _CONTROLS.search(decoded):
        raise Unauthenticated(challenge, "the credentials are not a user and a password")
    return user, password


class Remembered(Generic[Value]):
    """Values by key, each kept until a time of its own. The least recently used goes when there are too many.

    Args:
        size: Values that are kept at most.
        clock: Tells the time in seconds; values end by it.
    """

    def __init__(self, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._values: TLRUCache[bytes, tuple[float, Value]] = TLRUCache(
            size, ttu=lambda _key, kept, _now: kept[0], timer=clock
        )

    def __len__(self) -> int:
        return len(self._values)

    def find(self, key: bytes) -> Value | None:
        """Return the value that is remembered under a key, or None if it is forgotten or was never kept."""
        found = self._values.get(key)
        return None if found is None else found[1]

    def keep(self, key: bytes, value: Value, end: float) -> None:
        """Remember a value until a time."""
        self._values[key] = end, value

    def clear(self) -> None:
        """Forget all values."""
        self._values.clear()
