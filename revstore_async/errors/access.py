"""Errors of a server's access policy: the refused caller, and the reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from .base import InvalidInput, Overloaded, RevstoreError

_DOES: Final[Mapping[str, str]] = {
    "enter": "use the registry",
    "catalog": "list the repositories",
    "pull": "pull from {repository}",
    "push": "push to {repository}",
    "delete": "delete from {repository}",
}


@dataclass(eq=False)
class Unauthenticated(RevstoreError):
    """The request needs credentials, or other ones than it has.

    Attributes:
        challenge: The challenge to the client, the value of `WWW-Authenticate` (RFC 9110, 11.6.1).
        reason: Why its credentials do not count; empty for a request without credentials.
        user: The user that it named, for the access log; empty if it named no user. No message repeats it.
    """

    challenge: str
    reason: str = ""
    user: str = ""
    says: ClassVar[str] = "authentication is required"

    def __str__(self) -> str:
        return f"{super().__str__()}: {self._shown('reason')}" if self.reason else super().__str__()


@dataclass(eq=False)
class Forbidden(RevstoreError):
    """The policy forbids this action to the caller; other credentials change nothing.

    Attributes:
        action: The action, such as `push`.
        repository: The repository; empty for the registry as a whole.
        caller: The caller's name; empty for anonymous.
        reason: Why the caller may not; empty if the policy gives no reason.
    """

    action: str
    repository: str
    caller: str = ""
    reason: str = ""
    says: ClassVar[str] = "{caller} may not {action}"

    def __str__(self) -> str:
        where = self._shown("repository") or "any repository"
        does = _DOES.get(str(self._shown("action")), "do that").format(repository=where)
        who = str(self._shown("caller") or "anonymous")
        text = self.says.format(caller=who if who.isprintable() else ascii(who), action=does)
        return f"{text}: {self._shown('reason')}" if self.reason else text


@dataclass(eq=False)
class TooManyAttempts(Overloaded):
    """The server did not check a password: it checks too many others, or the address sent too many wrong ones.

    Attributes:
        reason: Which of the two causes it is.
        seconds: The time after which another try counts.
        user: The user that the request named, for the access log. No message repeats it.
    """

    reason: str
    seconds: float
    user: str = ""
    says: ClassVar[str] = "{reason}; try again later"


@dataclass(eq=False)
class CrossOrigin(RevstoreError):
    """A web page of another origin made a browser send a request that would change something.

    Attributes:
        origin: The page's origin, or the browser's word for its relation to the registry.
    """

    origin: str
    says: ClassVar[str] = "a page of another origin ({origin}) may not change anything here"


@dataclass(eq=False)
class InvalidHtpasswd(InvalidInput):
    """A file of users and passwords has an invalid line. No message repeats any part of a hash."""

    path: str
    line: int
    reason: str
    says: ClassVar[str] = "{path}, line {line}: {reason}"


@dataclass(eq=False)
class InvalidKeySet(InvalidInput):
    """The key set that verifies tokens is not a set of public keys. No message repeats any part of a key."""

    source: str
    reason: str
    says: ClassVar[str] = "the key set of {source} can't be used: {reason}"


@dataclass(eq=False)
class KeySetUnavailable(RevstoreError):
    """The server could not fetch the keys that verify tokens, and has no earlier ones."""

    source: str
    retryable: ClassVar[bool] = True
    says: ClassVar[str] = "the key set of {source} could not be had"
