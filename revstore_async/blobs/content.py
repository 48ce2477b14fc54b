"""The forms in which callers pass content, read as pieces of bytes."""

import hashlib
import os
from collections.abc import AsyncIterable, AsyncIterator
from typing import BinaryIO, Final, Protocol, TypeAlias, runtime_checkable

from ..arguments import as_bytes
from ..concurrency import in_thread
from ..errors import InvalidArgument, WrongType
from ..formats.digest import Digest

PIECE: Final = 1 << 19
"""Bytes that a thread reads of a file at once."""


@runtime_checkable
class BinaryFile(Protocol):
    """A file opened for reading bytes: each object with a blocking `read`."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; empty at the end."""
        ...


FilePath: TypeAlias = os.PathLike[str] | os.PathLike[bytes]

Content: TypeAlias = bytes | bytearray | memoryview | AsyncIterable[bytes] | FilePath | BinaryFile
"""Content that callers pass: the bytes; an asynchronous iterable of them; a file's path, or an open binary file.

Threads read a file from its present position to its end. The engine closes only the files that it opens.
"""


class FilePieces(AsyncIterator[bytes]):
    """The pieces of a file."""

    def __init__(self, content: FilePath | BinaryFile) -> None:
        self._path = content if isinstance(content, os.PathLike) else None
        self._file = None if isinstance(content, os.PathLike) else content
        self._opened: BinaryIO | None = None

    async def __anext__(self) -> bytes:
        """Return the next piece.

        Raises:
            WrongType: The file returns something other than bytes, as a text file does.
            OSError: The file can't be opened or read.
        """
        piece = as_bytes("content", await in_thread(self._read))
        if not piece:
            raise StopAsyncIteration
        return piece

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._opened is not None:
            self._opened.close()

    def _read(self) -> bytes:
        if self._file is None and self._path is not None:
            self._file = self._opened = open(self._path, "rb")  # noqa: SIM115, PTH123 (any path; `close` closes it)
        assert self._file is not None  # noqa: S101
        return self._file.read(PIECE)


def pieces_of(content: object) -> AsyncIterator[bytes]:
    """Return the pieces of content in any form but bytes.

    Raises:
        WrongType: The content has another form than `Content` names.
    """
    if isinstance(content, AsyncIterable):
        return aiter(content)
    if isinstance(content, os.PathLike | BinaryFile):
        return FilePieces(content)
    raise WrongType(
        "content", "bytes, a path, an open binary file or an asynchronous iterable of bytes", type(content)
    )


async def digest_of_file(path: FilePath) -> Digest:
    """Return the sha256 digest of a file, read in a thread.

    Raises:
        OSError: The file can't be opened or read.
    """

    def compute() -> str:
        with open(path, "rb") as file:  # noqa: PTH123 (any path)
            return hashlib.file_digest(file, "sha256").hexdigest()

    return Digest(f"sha256:{await in_thread(compute)}")


async def default_digest(content: object) -> Digest:
    """Return the digest under which content is stored that came without one: the sha256 of the file at a path.

    Raises:
        InvalidArgument: It is a stream or an open file, which can be read only once.
        WrongType: The content has another form than `Content` names.
        OSError: The file can't be opened or read.
    """
    if isinstance(content, os.PathLike):
        return await digest_of_file(content)
    pieces_of(content)  # refuses what is no content
    raise InvalidArgument("digest", None, "a stream is stored under the digest that the caller names")
