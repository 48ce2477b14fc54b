"""Errors of a server's access policy: the refused caller, and the reason."""

from dataclasses import dataclass
from typing import ClassVar

from .base import InvalidInput, RevstoreError


@dataclass(eq=False)
class Unauthenticated(RevstoreError):
    """The request needs credentials, or others than it brought.

    Attributes:
        challenge: What a client is told to answer to: the value of `WWW-Authenticate` (RFC 9110, 11.6.1).
        reason: Why what it brought does not count; empty where it brought nothing.
    """

    challenge: str
    reason: str = ""
    says: ClassVar[str] = "authentication is required"

    def __str__(self) -> str:
        return f"{super().__str__()}: {self.reason}" if self.reason else super().__str__()


@dataclass(eq=False)
class Forbidden(RevstoreError):
    """The caller is known, and may not do this.

    Attributes:
        action: What was asked for, such as `push`.
        repository: Where; empty for the registry as a whole.
    """

    action: str
    repository: str
    says: ClassVar[str] = "{action!r} is not allowed in {repository!r}"


@dataclass(eq=False)
class InvalidHtpasswd(InvalidInput):
    """A file of users and passwords has a line that can't count. No message repeats any part of a hash."""

    path: str
    line: int
    reason: str
    says: ClassVar[str] = "{path}, line {line}: {reason}"


@dataclass(eq=False)
class InvalidKeySet(InvalidInput):
    """The keys that tokens are verified with are not a set of public keys. No message repeats any part of one."""

    source: str
    reason: str
    says: ClassVar[str] = "the key set of {source} can't be used: {reason}"


@dataclass(eq=False)
class KeySetUnavailable(RevstoreError):
    """The keys that tokens are verified with could not be had, and none are left from before."""

    source: str
    retryable: ClassVar[bool] = True
    says: ClassVar[str] = "the key set of {source} could not be had"
