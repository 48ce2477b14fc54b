"""Challenges to clients: the parts of `WWW-Authenticate`.

Sources: RFC 9110, section 11.6.1; Docker's token scheme (distribution, `docs/content/spec/auth/token.md` and
`scope.md`).
"""

import re
from collections.abc import Iterable
from typing import Final

from ...errors import InvalidArgument
from .policy import Action, Need

_PRINTABLE = re.compile(r"[\x20-\x7e]*")

_ACTIONS: Final = {
    Action.PULL: "pull",
    Action.PUSH: "pull,push",  # a client that pushes reads first
    Action.DELETE: "delete",
}


def quoted(parameter: str, text: str) -> str:
    """Return the text as a quoted string.

    Raises:
        InvalidArgument: The text holds characters that are not printable ASCII.
    """
    if not _PRINTABLE.fullmatch(text):
        raise InvalidArgument(parameter, text, "it is not printable ASCII")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def scope_of(needs: Iterable[Need]) -> str:
    """Return the scope that covers these needs, as Docker's token scheme writes it; empty without needs."""
    scopes: dict[str, None] = {}
    for need in needs:
        if need.action is Action.CATALOG:
            scopes["registry:catalog:*"] = None
        elif need.repository is not None and need.action in _ACTIONS:
            scopes[f"repository:{need.repository}:{_ACTIONS[need.action]}"] = None
    return " ".join(scopes)
