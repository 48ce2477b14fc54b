"""Connections by TLS, with bounded handshakes; the server reads its certificate anew while it runs.

The event loop's own servers keep one certificate, and reset a client that speaks plain HTTP. This module accepts
the connections itself, and hands each to the loop with the certificate in force.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from ...concurrency import cancel_and_wait, in_thread
from ...errors import InvalidArgument
from .connections import Connections, Limits, Seldom
from .http_protocol import BoundedProtocol

_LOG = logging.getLogger("revstore_async.server")

_AT_ONCE: Final = 64  # connections to accept before other tasks get a turn
_PAUSE: Final = 0.5  # seconds without accepting, if the system gives no more handles

_PLAIN: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    b"Client sent an HTTP request to an HTTPS server.\n"
)
"""The answer to a client of plain HTTP, in the words of Go's `net/http`, which clients know."""


class Certificate:
    """The server's certificate, with its key.

    Args:
        certificate: A file with the certificate and its chain of issuers, in PEM.
        key: The file of its private key; None if it is the same file.

    Raises:
        OSError: A file can't be read.
        InvalidArgument: The files hold no certificate with its key.
    """

    def __init__(self, certificate: Path, key: Path | None) -> None:
        self._certificate: Final = certificate
        self._key: Final = key
        self.context: ssl.SSLContext = self._load()

    async def reload(self) -> bool:
        """Read the files anew, for later connections; say whether they are in force.

        If the files can't be used, the former certificate stays in force, and the log says why.
        """
        try:
            self.context = await in_thread(self._load)
        except (OSError, InvalidArgument) as error:
            _LOG.error("the certificate can't be used, the one from before stays in force: %s", error)
            return False
        return True

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self._certificate, self._key)
        except ssl.SSLError as error:
            reason = f"with its key: {error}"
            raise InvalidArgument("certificate", str(self._certificate), reason) from error
        return context


class TlsServer:
    """Accepts connections, and makes their handshakes. It takes the place of uvicorn's `asyncio.Server`.

    Args:
        listener: A socket that listens already.
        certificate: The certificate of each connection.
        connections: All connections of the server; a handshake counts as one.
        limits: The bounds; a handshake has the time for a head.
        make: Makes the protocol for a connection.
    """

    def __init__(
        self,
        listener: socket.socket,
        certificate: Certificate,
        connections: Connections,
        limits: Limits,
        make: Callable[[], BoundedProtocol],
    ) -> None:
        self.sockets: Final = (listener,)
        self._listener: Final = listener
        self._certificate: Final = certificate
        self._connections: Final = connections
        self._make: Final = make
        self._seconds: Final = limits.head_timeout.total_seconds()
        self._handshakes: Final = set["asyncio.Task[bool]"]()
        self._loop: Final = asyncio.get_running_loop()
        self._resumption: asyncio.TimerHandle | None = None
        self._no_handles = Seldom("a connection can't be accepted: %s")
        self._plain = Seldom("a client spoke HTTP without TLS: %s")
        listener.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Accept no more connections, and cancel handshakes."""
        if self._resumption is not None:
            self._resumption.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for task in self._handshakes:
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait for the end of all handshakes."""
        await cancel_and_wait([*self._handshakes])

    def _listen(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._no_handles.warn(error)
                self._loop.remove_reader(self._listener)  # otherwise the loop would spin
                self._resumption = self._loop.call_later(_PAUSE, self._listen)
                return
            connection.setblocking(False)
            protocol = self._make()
            if not self._connections.enter(protocol):
                connection.close()
                continue
            task = self._loop.create_task(self._secure(connection, protocol, address))
            protocol.handshake = task
            self._handshakes.add(task)
            # A task that is cancelled before its start runs no line of its own.
            task.add_done_callback(partial(self._over, connection, protocol))

    async def _secure(self, connection: socket.socket, protocol: BoundedProtocol, address: object) -> bool:
        """Hand a connection to the loop; return False if it has to be closed."""
        try:
            async with asyncio.timeout(self._seconds):
                first = await self._first_byte(connection)
            if first.isalpha():
                self._plain.warn(address)
                _tell_plain(connection)
            elif first:
                await self._loop.connect_accepted_socket(
                    lambda: protocol,
                    connection,
                    ssl=self._certificate.context,
                    ssl_handshake_timeout=self._seconds,
                    ssl_shutdown_timeout=self._seconds,
                )
                return True
        except OSError as error:  # TLS errors and timeouts too
            _LOG.debug("no handshake with %s: %s", address, error)
        return False

    def _over(self, connection: socket.socket, protocol: BoundedProtocol, task: "asyncio.Task[bool]") -> None:
        self._handshakes.discard(task)
        protocol.handshake = None
        if task.cancelled() or task.exception() is not None or not task.result():
            self._connections.leave(protocol)
            connection.close()
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("a handshake failed by a fault of the server's", exc_info=error)

    async def _first_byte(self, connection: socket.socket) -> bytes:
        """Wait for the first byte and return it, but don't take it; empty bytes if the client has left."""
        ready = asyncio.Event()
        self._loop.add_reader(connection, ready.set)
        try:
            await ready.wait()
        finally:
            self._loop.remove_reader(connection)
        return connection.recv(1, socket.MSG_PEEK)


def _tell_plain(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.recv(1 << 16)  # the kernel answers untaken bytes by a reset
        connection.send(_PLAIN)
        connection.shutdown(socket.SHUT_WR)
