"""Access policies: the server asks its policy before it does anything.

A policy identifies the caller (`authenticate`) and decides whether the caller may do something (`allows`).
`Htpasswd` and `BearerTokens` are ready to use. A program with rules of its own writes a subclass, or gives one
of these an `authorize` hook.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from starlette.requests import HTTPConnection

from ...errors import Forbidden, Unauthenticated
from ...formats.names import RepositoryName


class Action(StrEnum):
    """A caller's intent; the names are those of Docker's token scheme."""

    ENTER = "enter"
    """Ask whether there is a registry: `/v2/`. `docker login` tries credentials on it."""
    CATALOG = "catalog"
    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that a request needs to be allowed.

    Attributes:
        action: The action of the request.
        repository: The repository; None for the registry as a whole.
    """

    action: Action
    repository: RepositoryName | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller, as the policy knows it.

    Attributes:
        name: The name by which a policy knows the caller; empty for anonymous.
        grants: The needs that its credentials themselves allow, such as a token's.
    """

    name: str = ""
    grants: frozenset[Need] = frozenset()


ANONYMOUS: Final = Principal()
"""A caller without credentials."""

Authorize = Callable[[Principal, Need], Awaitable[bool]]
"""A program's own rule: says whether a caller may do something. Each request asks it, besides the policy."""


async def agrees(authorize: Authorize | None, principal: Principal, need: Need) -> bool:
    """Ask a program's own rule, if there is one. It is not asked about `/v2/`, which tells nothing."""
    return authorize is None or need.action is Action.ENTER or await authorize(principal, need)


BASIC: Final = 'Basic realm="registry", charset="UTF-8"'
"""The challenge to bring a user and a password (RFC 7617)."""

_WRITES: Final = frozenset({Action.PUSH, Action.DELETE})


class AccessPolicy(ABC):
    """Identifies callers, and decides about their requests. One object serves all requests at once."""

    @abstractmethod
    async def authenticate(self, connection: HTTPConnection) -> Principal:
        """Return the caller, by the request's headers; `ANONYMOUS` for a caller without credentials.

        Raises:
            Unauthenticated: The credentials are wrong.
        """

    @abstractmethod
    async def allows(self, principal: Principal, need: Need) -> bool:
        """Say whether a caller may do this."""

    async def sees(self, principal: Principal, name: RepositoryName) -> bool:
        """Say whether the catalog shows this repository to a caller with access to the catalog."""
        return await self.allows(principal, Need(Action.PULL, name))

    def challenge(self, needs: Sequence[Need]) -> str:  # noqa: ARG002 (one for tokens names them)
        """Return the challenge for these needs: the value of `WWW-Authenticate` (RFC 9110, 11.6.1).

        The default asks for a user and a password. A policy without credentials returns an empty text.
        """
        return BASIC

    def refusal(self, principal: Principal, needs: Sequence[Need]) -> Forbidden | Unauthenticated:
        """Return the error for a caller that lacks one of these needs.

        The policy asks an anonymous caller for credentials: clients send theirs only after a challenge.
        """
        if principal == ANONYMOUS and (challenge := self.challenge(needs)):
            return Unauthenticated(challenge)
        first = needs[0]
        return Forbidden(first.action, first.repository or "", principal.name)

    def rejection(
        self,
        error: Unauthenticated,
        needs: Sequence[Need],  # noqa: ARG002 (a policy with needs in its challenge uses them)
    ) -> Unauthenticated:
        """Return the error for a caller with wrong credentials, in a request with these needs."""
        return error

    async def reload(self) -> None:  # noqa: B027 (a policy without files has nothing to read)
        """Read the policy's files anew, such as at SIGHUP. A bad file leaves the former content in force."""

    async def check(self, principal: Principal, needs: Sequence[Need]) -> None:
        """Check that a caller may do all of this.

        Raises:
            Unauthenticated: Other credentials would help.
            Forbidden: The caller may not, and other credentials would not help.
        """
        for need in needs:
            if not await self.allows(principal, need):
                raise self.refusal(principal, needs)


class Everybody(AccessPolicy):
    """Lets all callers do everything: for a server on loopback, or behind a gate of its own.

    Args:
        authorize: A further rule to ask; the caller is always `ANONYMOUS`.
    """

    def __init__(self, authorize: Authorize | None = None) -> None:
        self._authorize: Final = authorize

    async def authenticate(self, connection: HTTPConnection) -> Principal:  # noqa: ARG002
        """Return the anonymous caller."""
        return ANONYMOUS

    async def allows(self, principal: Principal, need: Need) -> bool:
        """Say yes, unless a rule says no."""
        return self._authorize is None or await agrees(self._authorize, principal, need)

    def challenge(self, needs: Sequence[Need]) -> str:  # noqa: ARG002
        """Return an empty text: credentials make no difference."""
        return ""


class ReadOnly(Everybody):
    """Lets all callers read, and refuses all writes."""

    async def allows(self, principal: Principal, need: Need) -> bool:
        """Say yes to an action that only reads, unless a rule says no."""
        return need.action not in _WRITES and await super().allows(principal, need)

    def refusal(self, principal: Principal, needs: Sequence[Need]) -> Forbidden | Unauthenticated:
        """Return the error; for a write it says that the registry is read-only."""
        refused = super().refusal(principal, needs)
        if isinstance(refused, Forbidden) and needs[0].action in _WRITES:
            refused.reason = "the registry is read-only"
        return refused
