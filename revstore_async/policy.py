"""The decisions of the embedding program about its repositories; all stores share one value."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import translate
from types import NoneType
from typing import Final, cast

from .arguments import check_type
from .formats.names import RepositoryName, Tag
from .trust import TrustPolicy

TagRule = Callable[[RepositoryName, Tag], bool]
"""Tells whether a rule holds for a repository's tag."""


def tags_matching(*patterns: str) -> TagRule:
    """Return a rule that holds for the tags that match a shell pattern: `v*`, `release-[0-9]*`.

    Raises:
        WrongType: A pattern is not text.
    """
    for pattern in patterns:
        check_type("patterns", pattern, str)

    of_any = re.compile("|".join(map(translate, patterns)) or r"(?!)")  # no text matches without a pattern

    def rule(_name: RepositoryName, tag: Tag) -> bool:
        return of_any.match(tag) is not None

    return rule


NO_TAGS: Final = tags_matching()
"""The rule that holds for no tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The policy of a registry.

    Attributes:
        check_layers: Refuse a manifest when the repository lacks a config, layer or manifest that it refers to.
            A store that keeps manifests only switches it off.
        immutable: The tags that, once set, are neither moved nor deleted.
        trust: Tells which signatures count. A Docker schema 1 manifest without such a signature is refused, as
            an unsigned one is; None accepts any. Other manifests carry no signatures in themselves, and are
            accepted.
    """

    check_layers: bool = True
    immutable: TagRule = NO_TAGS
    trust: TrustPolicy | None = None

    def __post_init__(self) -> None:
        check_type("immutable", self.immutable, cast("type", Callable))
        check_type("trust", self.trust, TrustPolicy, NoneType)
