"""The token from which an unfinished write goes on, for drivers that find it by a name of their own."""

import json
from dataclasses import dataclass
from typing import Self

from revstore_async.errors import InvalidArgument

_VERSION = 1


@dataclass(frozen=True, slots=True)
class WriterState:
    """The token that `Writer.suspend` hands out.

    Attributes:
        driver: The driver that made it.
        key: The key that is written.
        writer: The driver's name for the unfinished write.
        offset: The bytes that were durable.
    """

    driver: str
    key: str
    writer: str
    offset: int

    def encode(self) -> bytes:
        """Return it as the opaque token."""
        return json.dumps(
            {
                "version": _VERSION,
                "driver": self.driver,
                "key": self.key,
                "writer": self.writer,
                "offset": self.offset,
            }
        ).encode()

    @classmethod
    def decode(cls, token: bytes, *, driver: str, key: str) -> Self:
        """Return the content of a token.

        Raises:
            InvalidArgument: It was not made by this driver for this key.
        """
        try:
            said = json.loads(token)
            state = cls(said["driver"], said["key"], said["writer"], said["offset"])
            version = said["version"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InvalidArgument("resume", token, "it is not a state of a writer") from error
        if (version, state.driver, state.key) != (_VERSION, driver, key):
            raise InvalidArgument("resume", token, f"it was not made by this {driver} driver for {key!r}")
        if not state._sound():
            raise InvalidArgument("resume", token, "it is not a state of a writer")
        return state

    def _sound(self) -> bool:
        # A bool is an int, and a name with a "/" could lead a driver to a file of somebody else.
        return (
            isinstance(self.writer, str)
            and self.writer.isalnum()
            and self.writer.isascii()
            and type(self.offset) is int
            and self.offset >= 0
        )
