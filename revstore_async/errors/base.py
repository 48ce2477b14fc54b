"""The root of the tree of errors, and its coarse branches."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import PurePath
from typing import Any, ClassVar

_SHOWN = 200  # characters of one fact in a message: a hostile name or document must not flood a log
_SHOWN_PARTS = 20  # members of one fact that is a collection


class _Said(str):
    """Text that a message shows as it is, even if the message asks for a representation."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _shown(fact: object) -> object:
    """Return a fact as messages show it: as text, never as Python represents an object.

    A member of an enumeration is shown by its value, a `Digest` as plain text, and a class by its name.
    """
    match fact:
        case Enum():
            return _shown(fact.value)
        case str():
            return _cut(str.__str__(fact))  # plain, whatever its class
        case bytes() | bytearray():
            return _cut(bytes(fact))
        case None | bool() | int() | float():
            return fact
        case PurePath():
            return _cut(str(fact))
        case type():
            return _Said(fact.__name__)
        case tuple() | list() | AbstractSet() | Mapping():
            return _parts(fact)
    own = type(fact).__str__ is not object.__str__
    text = str(fact) if own else ""
    return _Said(_cut(text) if text and not text.startswith("<") else f"of type {type(fact).__name__}")


def _cut(fact: str | bytes) -> str | bytes:
    if len(fact) <= _SHOWN:
        return fact
    head, rest = fact[:_SHOWN], len(fact) - _SHOWN
    return _Said(f"{head!r}... ({rest} more)")


def _parts(fact: tuple[Any, ...] | list[Any] | AbstractSet[Any] | Mapping[Any, Any]) -> _Said:
    shown = [repr(_shown(part)) for part in list(fact)[:_SHOWN_PARTS]]
    if (more := len(fact) - _SHOWN_PARTS) > 0:
        shown.append(f"and {more} more")
    return _Said(", ".join(shown))


@dataclass(eq=False)
class RevstoreError(Exception):
    """Every error that the engine raises on purpose.

    A subclass is a dataclass: its fields are the facts, so a program reads attributes, never the text.

    Attributes:
        retryable: Whether the same call may succeed later with the same input.
        says: The message, a format string over the fields.
        advice: Advice for the caller, appended to the message; empty if the message says it.
    """

    retryable: ClassVar[bool] = False
    says: ClassVar[str] = "an error of the storage engine"
    advice: ClassVar[str] = ""

    def __str__(self) -> str:
        text = self.says.format_map({field.name: self._shown(field.name) for field in fields(self)})
        return f"{text}; {self.advice}" if self.advice else text

    @property
    def one_line(self) -> str:
        """The message on one line, for logs: a storage may give its errors any text."""
        return " ".join(str(self).split())

    def _shown(self, field: str) -> object:
        """Return one of the facts as messages show it."""
        return _shown(getattr(self, field))

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own would rebuild from args, which keyword arguments never reach.
        facts = tuple(getattr(self, field.name) for field in fields(self))
        return type(self), facts, {key: value for key, value in self.__dict__.items() if key == "__notes__"}


class InvalidInput(RevstoreError, ValueError):
    """An argument is invalid, independent of the store's content. Nothing was written."""


class NotFound(RevstoreError, LookupError):
    """The requested thing is not there."""


class Conflict(RevstoreError):
    """The store's present state forbids the change: another writer was first, or a policy holds."""


class Damaged(RevstoreError):
    """Stored bytes differ from their digest or form. They are never handed out as content."""


class Overloaded(RevstoreError):
    """This process has reached a limit of work at once. The call and the storage are in order."""

    retryable: ClassVar[bool] = True


class StorageFailure(RevstoreError):
    """The storage below failed to do the request."""
