"""A client of one server: it keeps its connections, as many as it uses at once."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from .connection import Body, Connection
from .parsing import Answer


class Refused(AssertionError):
    """The server answered with an unexpected status.

    Attributes:
        answer: The answer.
    """

    def __init__(self, method: str, target: str, answer: Answer) -> None:
        self.answer = answer
        text = bytes(answer.content[:200]).decode("utf-8", "replace")
        super().__init__(f"{method} {target[:120]}: {answer.status} {text}".strip())


class Client:
    """A client of one server.

    Attributes:
        port: The server's port.
        opened: How many connections it has opened so far.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.port = port
        self.opened = 0
        self._host = host
        self._idle: list[Connection] = []
        self._common = f"Host: {host}:{port}\r\nUser-Agent: bench\r\n"

    async def ask(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = b"",
        size: int | None = None,
        expect: Collection[int] = (200,),
        keep: bool = False,
    ) -> Answer:
        """Send a request and return its answer.

        Args:
            method: The request's method.
            target: The request's path and query; of a whole URL, these parts.
            headers: The request's headers besides host, length and user agent.
            body: The request's body.
            size: The bytes of a body that comes in pieces.
            expect: The expected statuses.
            keep: Whether to keep the answer's body; the client counts its bytes in any case.

        Raises:
            Refused: The answer has another status.
            OSError: The connection broke.
        """
        if target.startswith("http"):
            parts = urlsplit(target)
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        length = size if size is not None else len(body) if isinstance(body, bytes) else 0
        if method in {"POST", "PUT", "PATCH"}:
            lines += f"Content-Length: {length}\r\n"
        head = f"{method} {target} HTTP/1.1\r\n{self._common}{lines}\r\n".encode("latin-1")
        async with self._connection() as connection:
            answer = await connection.ask(head, body, keep=keep)
        if answer.status not in expect:
            raise Refused(method, target, answer)
        return answer

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                break
        else:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(Connection, self._host, self.port)
            self.opened += 1
        try:
            yield connection
        finally:
            if connection.usable:
                self._idle.append(connection)

    def close(self) -> None:
        """Close all idle connections."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()
