"""What a token allows: the `access` claim of Docker's token scheme.

Source: distribution, `docs/content/spec/auth/jwt.md` ("access") and `scope.md`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import InvalidName
from ..names import RepositoryName
from .access import Action, Need

_REPOSITORY: Final = {
    "pull": (Action.PULL,),
    "push": (Action.PUSH,),
    "delete": (Action.DELETE,),
    "*": (Action.PULL, Action.PUSH, Action.DELETE),
}


def grants_of(claim: object) -> frozenset[Need]:
    """Return what an `access` claim allows. Kinds of things and actions that are not ours allow nothing.

    Raises:
        ValueError: It is not a list of objects of `type`, `name` and `actions`.
    """
    if not isinstance(claim, list):
        raise ValueError("it is not a list")  # noqa: TRY004 (what is judged is a text, not an argument)
    return frozenset(need for entry in claim for need in _needs(entry))


def _needs(entry: object) -> Iterator[Need]:
    match entry:
        case {"type": str(kind), "name": str(name), "actions": list(actions)} if _texts(actions):
            pass
        case _:
            raise ValueError("an entry has no type, name and actions")
    if kind == "registry" and name == "catalog" and "*" in actions:
        yield Need(Action.CATALOG)
    if kind != "repository":
        return
    try:
        repository = RepositoryName(name)
    except InvalidName:
        return  # no repository has this name, so nothing is granted
    for action in actions:
        for each in _REPOSITORY.get(action, ()):
            yield Need(each, repository)


def _texts(actions: list[Any]) -> bool:
    return all(isinstance(action, str) for action in actions)


def grants_in(claims: Mapping[str, object]) -> frozenset[Need]:
    """Return what a token's claims allow; without `access`, nothing.

    Raises:
        ValueError: As `grants_of` does.
    """
    return grants_of(claims["access"]) if "access" in claims else frozenset()
