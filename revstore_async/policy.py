"""The decisions of the embedding program about its repositories; every store is given the same value."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Final

from .errors import InvalidArgument
from .formats.names import RepositoryName, Tag
from .trust import TrustPolicy

TagRule = Callable[[RepositoryName, Tag], bool]
"""Says of a repository's tag whether a rule holds for it."""


def tags_matching(*patterns: str) -> TagRule:
    """Return a rule that holds for the tags that match a shell pattern: `v*`, `release-[0-9]*`."""

    def rule(_name: RepositoryName, tag: Tag) -> bool:
        return any(fnmatchcase(tag, pattern) for pattern in patterns)

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
        trust: Whose signatures count. A Docker schema 1 manifest without one that counts is refused, unsigned
            ones too; None takes any. Other manifests carry no signatures in themselves, and are taken.
        lease: How long a young layer link protects its content; one older than half of it is renewed whenever
            somebody who may push is told that the layer is there.
        link_within: What a check found, or content written, is linked within this time, or asked about again.
    """

    check_layers: bool = True
    immutable: TagRule = NO_TAGS
    trust: TrustPolicy | None = None
    lease: timedelta = timedelta(days=1)
    link_within: timedelta = timedelta(minutes=10)

    def __post_init__(self) -> None:
        for name in ("lease", "link_within"):
            if getattr(self, name) <= timedelta(0):
                raise InvalidArgument(name, getattr(self, name), "it is not a time to wait")
