"""Reads HTTP/1.1 answers as they come in (RFC 9112), bodies counted rather than kept."""

from dataclasses import dataclass, field
from typing import Final

_CLOSES: Final = b"\r\nconnection: close"


@dataclass(slots=True)
class Answer:
    """An answer.

    Attributes:
        status: Its status code.
        head: Its status line and headers, as they came.
        size: Bytes of its body.
        content: The body, if it was to be kept.
    """

    status: int
    head: bytes
    size: int = 0
    content: bytearray = field(default_factory=bytearray)

    def header(self, name: str) -> str:
        """Return a header's value, without regard to case; empty where it is absent."""
        wanted = f"\r\n{name.lower()}:".encode()
        start = self.head.lower().find(wanted)
        if start < 0:
            return ""
        start += len(wanted)
        return self.head[start : self.head.find(b"\r\n", start)].strip().decode("latin-1")

    @property
    def closes(self) -> bool:
        """Whether the server closes the connection after it."""
        return _CLOSES in self.head.lower()


class Parser:
    """Reads one answer."""

    def __init__(self, *, bodiless: bool, keep: bool) -> None:
        """Make one.

        Args:
            bodiless: Whether the request was a HEAD, whose answer has no body.
            keep: Whether the body is kept.
        """
        self.answer: Answer | None = None
        self._bodiless = bodiless
        self._keep = keep
        self._pending = bytearray()
        self._left = 0
        self._chunked = False

    def feed(self, data: bytes) -> bool:
        """Take bytes, and say whether the answer is whole now.

        Raises:
            ConnectionError: They are no answer.
        """
        if self.answer is None:
            self._pending += data
            end = self._pending.find(b"\r\n\r\n")
            if end < 0:
                return False
            head = bytes(self._pending[: end + 2])
            data = bytes(self._pending[end + 4 :])
            self._pending.clear()
            if head[9:10] == b"1":  # 100 Continue: the answer is still to come
                return self.feed(data) if data else False
            if not head.startswith(b"HTTP/1."):
                raise ConnectionError(f"no HTTP: {head[:40]!r}")
            self._begin(Answer(int(head[9:12]), head))
        return self._chunks(data) if self._chunked else self._body(data)

    def _begin(self, answer: Answer) -> None:
        self.answer = answer
        if self._bodiless or answer.status in {204, 304}:
            return
        self._chunked = answer.header("transfer-encoding").lower() == "chunked"
        if not self._chunked:
            self._left = int(answer.header("content-length") or 0)

    def _take(self, data: bytes | bytearray) -> None:
        assert self.answer is not None
        self.answer.size += len(data)
        if self._keep:
            self.answer.content += data

    def _body(self, data: bytes) -> bool:
        self._left -= len(data)
        if self._left < 0:
            raise ConnectionError("more than the answer's length")
        self._take(data)
        return self._left == 0

    def _chunks(self, data: bytes) -> bool:
        """Take chunks: `_left` is what remains of one, its line end included; 0 between two."""
        pending = self._pending
        pending += data
        while pending:
            if self._left == 0:
                end = pending.find(b"\r\n")
                if end < 0:
                    return False
                size = int(pending[:end].split(b";")[0], 16)
                if size == 0:
                    return pending.endswith(b"\r\n\r\n")
                del pending[: end + 2]
                self._left = size + 2
            piece = pending[: self._left]
            content = len(piece) if self._left - len(piece) >= 2 else max(0, self._left - 2)
            self._take(piece[:content])
            del pending[: len(piece)]
            self._left -= len(piece)
        return False
