"""Errors of the collector, which frees the space of a store."""

from dataclasses import dataclass
from typing import ClassVar

from .base import Conflict, InvalidInput


@dataclass(eq=False)
class InvalidRetention(InvalidInput):
    """Retention rules are not as they must be. Nothing was deleted.

    Attributes:
        source: The file, or another name of the text.
        where: The member that is wrong, such as `rule[2].keep.newest`; empty for the whole text.
        reason: The fault, and what would be right.
    """

    source: str
    where: str
    reason: str
    says: ClassVar[str] = "{source}: {where}{reason}"

    def _shown(self, field: str) -> object:
        if field == "where":
            return f"{super()._shown(field)}: " if self.where else ""
        return super()._shown(field)


@dataclass(eq=False)
class ForeignKey(Conflict):
    """The store holds a key that no layout explains. A run can't tell its purpose. Nothing was deleted.

    Attributes:
        key: The first such key.
    """

    key: str
    says: ClassVar[str] = "the store holds {key!r}, which is no key of a registry"
    advice: ClassVar[str] = "move it elsewhere, or delete it if you know it"
