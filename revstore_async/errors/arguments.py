"""Errors of arguments that no other error names: a wrong type, or a value outside its range."""

from dataclasses import dataclass
from typing import ClassVar

from .base import InvalidInput


@dataclass(eq=False)
class InvalidArgument(InvalidInput):
    """An invalid argument of a call."""

    argument: str
    value: object
    reason: str
    says: ClassVar[str] = "{argument} = {value!r} is not valid: {reason}"


@dataclass(eq=False)
class WrongType(InvalidInput, TypeError):
    """An argument of a type that the call does not take. The error does not carry the value.

    Attributes:
        argument: The name of the argument.
        expected: The types that the call takes.
        found: The type of the value.
    """

    argument: str
    expected: str
    found: type
    says: ClassVar[str] = "{argument} must be {expected}, not {found}"
