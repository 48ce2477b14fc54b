"""Clients that speak by bare sockets, and misbehave."""

import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.parts.serve_command import Serving

SECONDS = 30.0  # a client waits so long for what must come, and fails then
PIECE = 1 << 16


@contextmanager
def connected(server: Serving) -> Iterator[socket.socket]:
    """Open a connection to the server, without TLS."""
    host, port = server.host.rsplit(":", 1)
    with socket.create_connection((host, int(port)), SECONDS) as connection:
        yield connection


def read_to_end(connection: socket.socket) -> bytes:
    """Return all that comes until the server closes the connection."""
    read = bytearray()
    with suppress(ConnectionResetError, ssl.SSLEOFError):
        while piece := connection.recv(PIECE):
            read += piece
    return bytes(read)


def send_and_read(connection: socket.socket, begin: bytes, endless: bytes, most: int) -> bytes:
    """Send bytes, and then others over and over, while the server takes them; return its whole answer.

    Args:
        connection: Of the client.
        begin: Is sent first.
        endless: Is sent again and again; nothing for a client that stands still.
        most: Bytes that are sent at most.
    """
    read = bytearray()
    piece = endless * (PIECE // len(endless)) if endless else b""
    unsent, sent = begin or piece, 0
    while True:
        wishes = [connection] if unsent else []
        readable, writable, _ = select.select([connection], wishes, [], SECONDS)
        assert readable or writable, "the server neither answers nor closes the connection"
        if readable:
            try:
                came = connection.recv(PIECE)
            except ConnectionResetError:
                return bytes(read)
            if not came:
                return bytes(read)
            read += came
        elif writable:
            try:
                count = connection.send(unsent)
            except (BrokenPipeError, ConnectionResetError):
                return bytes(read) + read_to_end(connection)
            sent += count
            unsent = unsent[count:] or (piece if sent < most else b"")


def resident(server: Serving) -> int:
    """Return the bytes of memory that the server's process has."""
    status = Path(f"/proc/{server.process.pid}/status")
    if not status.exists():
        pytest.skip("no /proc tells how much memory a process has")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) << 10


def status_line(answer: bytes) -> int | None:
    """Return the status of the first answer; None without one."""
    return int(answer.split(b" ", 2)[1]) if answer else None
