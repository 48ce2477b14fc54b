"""Reads HTTP/1.1 answers as they come in, bodies counted rather than kept; httptools parses."""

from dataclasses import dataclass, field

import httptools


@dataclass(slots=True)
class Answer:
    """An answer.

    Attributes:
        status: Its status code.
        size: Bytes of its body.
        content: The body, if it was to be kept.
        closes: Whether the server closes the connection after it.
    """

    status: int
    size: int = 0
    content: bytearray = field(default_factory=bytearray)
    closes: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """Return a header's value, without regard to case; empty where it is absent."""
        return self.headers.get(name.lower(), "")


class Parser:
    """Reads one answer. The methods named `on_` are called by httptools."""

    def __init__(self, *, bodiless: bool, keep: bool) -> None:
        """Make one.

        Args:
            bodiless: Whether the request was a HEAD, whose answer has no body.
            keep: Whether the body is kept.
        """
        self.answer: Answer | None = None
        self._bodiless = bodiless
        self._keep = keep
        self._headers: dict[str, str] = {}
        self._whole = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> bool:
        """Take bytes, and return whether the answer is whole now.

        Raises:
            ConnectionError: They are no answer, or more than one.
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
        """Begin the answer; after 100 Continue it is still to come."""
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
