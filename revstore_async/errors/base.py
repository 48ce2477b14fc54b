"""The root of the tree of errors, and its coarse branches."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar

_SHOWN = 200  # characters of one fact in a message: a hostile name or document must not flood a log


def _shown(fact: object) -> object:
    if isinstance(fact, str | bytes) and len(fact) > _SHOWN:
        rest = len(fact) - _SHOWN
        head = fact[:_SHOWN]
        return f"{head!r}... ({rest} more)"
    return fact


@dataclass(eq=False)
class RevstoreError(Exception):
    """Every error that the engine raises on purpose.

    A subclass is a dataclass: its fields are the facts, so a program reads attributes, never the text.

    Attributes:
        retryable: Whether the same call may succeed later without anybody changing its input.
        says: The message, a format string over the fields.
        advice: What the caller can do, appended to the message; empty where the message says it.
    """

    retryable: ClassVar[bool] = False
    says: ClassVar[str] = "an error of the storage engine"
    advice: ClassVar[str] = ""

    def __str__(self) -> str:
        text = self.says.format_map({field.name: _shown(getattr(self, field.name)) for field in fields(self)})
        return f"{text}; {self.advice}" if self.advice else text

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


class StorageFailure(RevstoreError):
    """The storage below failed to do the request."""
