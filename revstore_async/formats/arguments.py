"""Checks of the types of arguments, for public calls: a wrong type is refused by name before any work.

`Digest`, `Tag` and `RepositoryName` check their own text in the same way.
"""

from ..errors import WrongType


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
