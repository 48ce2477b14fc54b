"""Checks of the types of arguments, for public calls: they refuse a wrong type by name before any work.

`Digest`, `Tag` and `RepositoryName` check their own text in the same way.
"""

from collections.abc import AsyncIterable, Iterable
from datetime import datetime
from types import NoneType

from .errors import InvalidArgument, WrongType


def check_type(argument: str, value: object, *kinds: type) -> None:
    """Check that an argument is of one of these types.

    Args:
        argument: Its name.
        value: Its value.
        kinds: The types that the call takes; `NoneType` for None.

    Raises:
        WrongType: It is of another type.
    """
    if not isinstance(value, kinds):
        names = ["None" if kind is type(None) else kind.__name__ for kind in kinds]
        raise WrongType(argument, " or ".join(names), type(value))


def as_bytes(argument: str, content: bytes | bytearray | memoryview) -> bytes:
    """Return content as bytes; content that is bytes already is not copied.

    Raises:
        WrongType: It is neither bytes, a bytearray nor a memoryview.
    """
    if type(content) is bytes:
        return content
    check_type(argument, content, bytes, bytearray, memoryview)
    return bytes(content)


def as_encoded(argument: str, text: str | bytes | bytearray | memoryview) -> bytes:
    """Return text, or bytes of text, as bytes.

    Raises:
        WrongType: It is neither text nor bytes.
    """
    check_type(argument, text, str, bytes, bytearray, memoryview)
    return text.encode() if isinstance(text, str) else bytes(text)


def check_series(argument: str, values: Iterable[object] | AsyncIterable[object], of: str) -> None:
    """Check that an argument is an iterable of values, which text is not: its characters would be taken for them.

    Args:
        argument: Its name.
        values: Its value.
        of: The name of the values, for the error.

    Raises:
        WrongType: It is text, or no iterable.
    """
    if isinstance(values, str | bytes | bytearray) or not isinstance(values, Iterable | AsyncIterable):
        raise WrongType(argument, f"an iterable of {of}", type(values))


def check_range(offset: int, length: int | None) -> None:
    """Check the types of a range of bytes; the driver compares their values with the content.

    Raises:
        WrongType: The offset is no number, or the length is neither a number nor None.
    """
    check_type("offset", offset, int)
    check_type("length", length, int, NoneType)


def check_moment(argument: str, time: datetime) -> None:
    """Check that an argument is one moment: a time with a zone.

    Raises:
        WrongType: It is no time.
        InvalidArgument: The time has no zone.
    """
    check_type(argument, time, datetime)
    if time.tzinfo is None:
        raise InvalidArgument(argument, time, "it has no zone, so it is no moment")
