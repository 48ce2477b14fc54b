"""A client of one server: connections that are kept, as many as are in use at once."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from .connection import Body, Connection
from .parsing import Answer


class Refused(AssertionError):
    """The server answered otherwise than it has to."""

    def __init__(self, method: str, target: str, answer: Answer) -> None:
        text = bytes(answer.content[:200]).decode("utf-8", "replace")
        super().__init__(f"{method} {target[:120]}: {answer.status} {text}".strip())


class Client:
    """A client of one server.

    Attributes:
        port: The server's.
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
            method: Its method.
            target: Its path and query; a whole URL is cut.
            headers: What it has besides host, length and user agent.
            body: Its body.
            size: Bytes of a body that comes in pieces.
            expect: The statuses that are right.
            keep: Whether the answer's body is kept; it is counted in any case.

        Raises:
            Refused: Its status is another.
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
        """Close all connections that are idle."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()
