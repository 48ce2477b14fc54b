"""Runs an application by uvicorn, up to a graceful shutdown."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Final

from starlette.types import ASGIApp

from ...errors import MissingExtra
from .assembly import Served
from .in_flight import InFlight

try:
    import uvicorn
except ImportError as _error:
    raise MissingExtra("to serve", "server") from _error

from .connections import Connections, Limits, Seldom, raise_handle_limit, room_for_connections
from .http_protocol import BoundedProtocol
from .tls import Certificate, TlsServer

_LOG = logging.getLogger("revstore_async.server")

_THRESHOLDS: Final = (10_000, 20, 20)  # Python's defaults are (700, 10, 10)

_UNSENT: Final = 1 << 17
"""Bytes of an answer that the kernel takes ahead of its client. By default it takes up to 4 MiB of memory for
each client. It reports room only when a third of that is free, so a slow client would seem to stand still.
"""

_KERNEL_LATER: Final = 5.0  # seconds: the server gives a client up before the kernel does, and logs it
_LONGEST: Final = 2_000_000  # seconds that the kernel can wait: it counts milliseconds in 31 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenOptions:
    """The address of a server, and its way of listening.

    Attributes:
        host: An address, or the name of one.
        port: The port; 0 for any free one.
        certificate: A file with the server's certificate and its chain of issuers, in PEM; None for plain HTTP.
        key: The file of its private key; None if it is the same file.
        proxies: Addresses and networks of trusted proxies; the server believes their `X-Forwarded-For` and
            `X-Forwarded-Proto`.
        grace: How long requests under way may take to end after a signal, before they are cancelled.
        body_timeout: How long the server waits for clients, as `ServerOptions.body_timeout` says.
        head_timeout: How long a client may take for a request's head, and for the handshake of TLS.
        idle_timeout: How long a connection stays open without a request.
        connections: Connections at once, at most; None for as many as the process's handles allow, up to 4096.
    """

    host: str = "127.0.0.1"
    port: int = 5000
    certificate: Path | None = None
    key: Path | None = None
    proxies: Sequence[str] = ()
    grace: timedelta = timedelta(seconds=30)
    body_timeout: timedelta = timedelta(minutes=1)
    head_timeout: timedelta = timedelta(seconds=10)
    idle_timeout: timedelta = timedelta(seconds=75)
    connections: int | None = None

    @property
    def limits(self) -> Limits:
        """The bounds on the time that a client takes."""
        return Limits(
            head_timeout=self.head_timeout, idle_timeout=self.idle_timeout, rest_timeout=self.body_timeout
        )


def run(
    served: Served,
    resource: AbstractAsyncContextManager[Any],
    options: ListenOptions,
    listening: Callable[[str], None],
    reload: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT: then let requests end, cancel those that take too long, and close.

    At SIGHUP the server reads the certificate anew, for later connections, and calls `reload`.

    Args:
        served: The application to serve.
        resource: Is open in the meantime: entered before the first request, and left after the last request.
        options: The address, and the options of listening.
        listening: Is called with the URL when the server begins to answer clients.
        reload: Reads the application's files anew.

    Raises:
        KeyboardInterrupt: The signal was SIGINT.
        OSError: The server can't listen at the address, or a file of TLS can't be read.
        InvalidArgument: The files of TLS hold no certificate with its key.
        RevstoreError: The resource can't be opened.
    """
    certificate = Certificate(options.certificate, options.key) if options.certificate else None
    handles = raise_handle_limit()
    connections = Connections(options.connections or room_for_connections(handles, served.in_flight.limit))
    limits = options.limits
    config = _config(served, options, bounded(connections, limits))
    config.load()
    with _listen(options) as listener, asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        url = _url(listener, "https" if certificate else "http")
        secured = (certificate, connections, limits) if certificate else None
        server = _Server(config, secured, lambda: listening(url), reload)
        with server.told_by_signals():
            runner.run(_serve(server, listener, resource, served.in_flight))
    if server.interrupted:
        raise KeyboardInterrupt


def _url(listener: socket.socket, scheme: str) -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def calm_collector() -> None:
    """Make Python look for cyclic garbage less often, and no more in the objects that exist already.

    This is for a process that only serves. Many requests under way at once make thousands of young objects that
    are not garbage. The search through them took a fifth of the CPU of a pull.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


async def _serve(
    server: "_Server",
    listener: socket.socket,
    resource: AbstractAsyncContextManager[Any],
    in_flight: InFlight,
) -> None:
    async with resource:
        calm_collector()
        await server.serve(sockets=[listener])
        if server.force_exit:  # uvicorn has ended without waiting, and without cancelling
            for task in server.server_state.tasks:
                task.cancel()
        await in_flight.drained()  # uvicorn does not wait for cancelled requests that clean up


def _config(app: ASGIApp, options: ListenOptions, protocol: type[asyncio.Protocol]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol,
        lifespan="off",  # `resource` is opened and closed instead
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(options.proxies),
        forwarded_allow_ips=list(options.proxies),
        timeout_keep_alive=max(1, round(options.idle_timeout.total_seconds())),
        timeout_graceful_shutdown=max(1, round(options.grace.total_seconds())),
    )


def bounded(connections: Connections, limits: Limits | None = None) -> type[asyncio.Protocol]:
    """Return the protocol for `uvicorn.Config(http=...)` with bounds on its connections.

    Args:
        connections: All connections of the server.
        limits: The bounds.
    """
    refused = Seldom("a client was refused before its request was read: %d, %s: %s")
    chosen = limits or Limits()

    class Bounded(BoundedProtocol):
        """A connection of this server."""

        def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 (uvicorn passes them)
            super().__init__(*arguments, **options, connections=connections, limits=chosen, refused=refused)

    return Bounded


def _listen(options: ListenOptions) -> socket.socket:
    family, *_, address = socket.getaddrinfo(
        options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.create_server(address[:2], family=family, backlog=2048)
    # Connections inherit the following options; Linux has both.
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # This bounds bytes without a request that waits for them: a small answer, or the rest of an aborted
        # one. Otherwise a connection closes only when the client has taken all of these bytes.
        seconds = min(options.body_timeout.total_seconds() + _KERNEL_LATER, _LONGEST)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))
    return listener


class _Server(uvicorn.Server):
    """A server that tells when it listens, obeys SIGHUP, and raises no signal again after its shutdown."""

    def __init__(
        self,
        config: uvicorn.Config,
        secured: tuple[Certificate, Connections, Limits] | None,
        listening: Callable[[], None],
        reload: Callable[[], Awaitable[None]] | None,
    ) -> None:
        super().__init__(config)
        self.interrupted = False
        self._secured = secured
        self._listening = listening
        self._reload = reload
        self._told_to_reload = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._secured is None:
            await super().startup(sockets)
        else:
            await self.lifespan.startup()
            servers: list[Any] = [
                TlsServer(listener, *self._secured, self._protocol) for listener in sockets or []
            ]
            self.servers = servers
            self.started = True
        self._listening()

    def _protocol(self) -> BoundedProtocol:
        made: Any = self.config.http_protocol_class
        protocol: BoundedProtocol = made(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    async def on_tick(self, counter: int) -> bool:
        if self._told_to_reload:
            self._told_to_reload = False
            await self._read_anew()
        return await super().on_tick(counter)

    async def _read_anew(self) -> None:
        try:
            if self._secured is not None:
                await self._secured[0].reload()
            if self._reload is not None:
                await self._reload()
        except Exception:  # noqa: BLE001 (a server goes on as it was)
            _LOG.exception("not everything was read anew at SIGHUP")
        _LOG.info("SIGHUP: certificate, users and keys were looked at anew; options take a restart")

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # `told_by_signals` handles them, for as long as the resource is open

    @contextmanager
    def told_by_signals(self) -> Iterator[None]:
        """End at SIGTERM and SIGINT; at a second SIGINT do not wait for requests. Read files anew at SIGHUP."""

        def told(number: int, frame: FrameType | None) -> None:
            self.interrupted = number == signal.SIGINT
            self.handle_exit(number, frame)

        def told_to_reload(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (a handler's)
            self._told_to_reload = True

        handlers = {signal.SIGINT: told, signal.SIGTERM: told}
        if hasattr(signal, "SIGHUP"):  # not on Windows
            handlers[signal.SIGHUP] = told_to_reload
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, former in before.items():
                signal.signal(number, former)
