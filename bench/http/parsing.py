"""Reads HTTP/1.1 answers with httptools as they come in; counts the bytes of bodies rather than keep them."""

from dataclasses import dataclass, field

import httptools


@dataclass(slots=True)
class Answer:
    """An answer.

    Attributes:
        status: Its status code.
        size: Bytes of its body.
        content: The body, if the caller asked to keep it.
        closes: Whether the server closes the connection after it.
    """

    status: int
    size: int = 0
    content: bytearray = field(default_factory=bytearray)
    closes: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """Return a header's value, without regard to case; an empty one if it is absent."""
        return self.headers.get(name.lower(), "")


class Parser:
    """Reads one answer. The methods named `on_` are called by httptools."""

    def __init__(self, *, bodiless: bool, keep: bool) -> None:
        """Make one.

        Args:
            bodiless: Whether the request was a HEAD, whose answer has no body.
            keep: Whether to keep the body.
        """
        self.answer: Answer | None = None
        self._bodiless = bodiless
        self._keep = keep
        self._headers: dict[str, str] = {}
        self._whole = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> bool:
        """Take bytes, and return whether the answer is complete.

        Raises:
            ConnectionError: The bytes are no answer, or more than one.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise ConnectionError(f"no HTTP: {data[:40]!r}") from error
        return self._whole

    def on_message_begin(self) -> None:
        """Refuse a second answer: the client has asked once."""
        if self._whole:
            raise ConnectionError("more than the answer's length")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        """Begin the answer; after 100 Continue the real answer is still to come."""
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = {}
            return
        self.answer = Answer(status, closes=not self._parser.should_keep_alive(), headers=self._headers)
        self._whole = self._bodiless

    def on_body(self, data: bytes) -> None:
        """Count a piece of the body."""
        if self.answer is None or self._bodiless:
            raise ConnectionError("a body that was not announced")
        self.answer.size += len(data)
        if self._keep:
            self.answer.content += data

    def on_message_complete(self) -> None:
        """End the answer, unless it was 100 Continue."""
        self._whole = self.answer is not None
