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
    """The request needs credentials, or others than it brought.

    Attributes:
        challenge: What a client is told to answer to: the value of `WWW-Authenticate` (RFC 9110, 11.6.1).
        reason: Why what it brought does not count; empty where it brought nothing.
        user: The user that it named, for the access log; empty where it named no user. No message repeats it.
    """

    challenge: str
    reason: str = ""
    user: str = ""
    says: ClassVar[str] = "authentication is required"

    def __str__(self) -> str:
        return f"{super().__str__()}: {self._shown('reason')}" if self.reason else super().__str__()


@dataclass(eq=False)
class Forbidden(RevstoreError):
    """The policy forbids this to the caller; other credentials change nothing.

    Attributes:
        action: The action, such as `push`.
        repository: Where; empty for the registry as a whole.
        caller: The caller's name; empty for anonymous.
        reason: Why the caller may not; empty where the policy gives no reason.
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
    """A password was not looked at: too many others are, or the address sent too many wrong ones.

    Attributes:
        reason: Which of the two it is.
        seconds: The time after which another try counts.
        user: The user that the request named, for the access log. No message repeats it.
    """

    reason: str
    seconds: float
    user: str = ""
    says: ClassVar[str] = "{reason}; try again later"


@dataclass(eq=False)
class CrossOrigin(RevstoreError):
    """A web page of another origin made a browser send this, and would change something.

    Attributes:
        origin: The page's origin, or how a browser calls its relation to the registry.
    """

    origin: str
    says: ClassVar[str] = "a page of another origin ({origin}) may not change anything here"


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
