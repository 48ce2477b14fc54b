"""The grants of a token: the `access` claim of Docker's token scheme.

Source: distribution, `docs/content/spec/auth/jwt.md` ("access") and `scope.md`.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from ...errors import InvalidName
from ...formats.names import RepositoryName
from .policy import Action, Need

_REPOSITORY: Final = {
    "pull": (Action.PULL,),
    "push": (Action.PUSH,),
    "delete": (Action.DELETE,),
    "*": (Action.PULL, Action.PUSH, Action.DELETE),
}


def grants_of(claim: object) -> frozenset[Need]:
    """Return the needs that an `access` claim allows. An unknown or malformed entry or action allows nothing.

    Args:
        claim: A list of objects of `type`, `name` and `actions`; None, as Go writes an empty list, allows nothing.

    Raises:
        ValueError: The claim is neither a list nor None.
    """
    if claim is None:
        return frozenset()
    if not isinstance(claim, list):
        raise ValueError("it is not a list")  # noqa: TRY004 (it judges a text, not an argument)
    return frozenset(need for entry in claim for need in _needs(entry))


def _needs(entry: object) -> Iterator[Need]:
    match entry:
        case {"type": str(kind), "name": str(name), "actions": list(actions)}:
            pass
        case _:
            return
    if kind == "registry" and name == "catalog" and "*" in actions:
        yield Need(Action.CATALOG)
    if kind != "repository":
        return
    try:
        repository = RepositoryName(name)
    except InvalidName:
        return  # no repository has this name, so nothing is granted
    for action in actions:
        for each in _REPOSITORY.get(action, ()) if isinstance(action, str) else ():
            yield Need(each, repository)


def grants_in(claims: Mapping[str, object]) -> frozenset[Need]:
    """Return the needs that a token's claims allow; an empty set without `access`.

    Raises:
        ValueError: As `grants_of` does.
    """
    return grants_of(claims.get("access"))
