"""Runs an application by uvicorn, to a graceful end."""

import asyncio
import gc
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import InvalidArgument, MissingExtra
from . import answers
from .in_flight import InFlight

try:
    import uvicorn
except ImportError as error:
    raise MissingExtra("to serve", "server") from error

_LOG = logging.getLogger("revstore_async.server")

_THRESHOLDS: Final = (10_000, 20, 20)  # those of Python are (700, 10, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and how to listen.

    Attributes:
        host: An address, or the name of one.
        port: 0 for any that is free.
        certificate: A file with the server's certificate and those that it depends on, in PEM; None for plain HTTP.
        key: The file of its private key, where it is another.
        proxies: Addresses and networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
        grace: How long requests under way may take to end after a signal, before they are cancelled.
    """

    host: str = "127.0.0.1"
    port: int = 5000
    certificate: Path | None = None
    key: Path | None = None
    proxies: Sequence[str] = ()
    grace: timedelta = timedelta(seconds=30)


def run(
    app: ASGIApp,
    resource: AbstractAsyncContextManager[Any],
    in_flight: InFlight,
    place: Place,
    listening: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT: then let requests end, cancel those that take too long, and close.

    Args:
        app: What is served.
        resource: Is open meanwhile: it is entered before anything is served, and left after the last request.
        in_flight: Knows the requests under way; a part of the application.
        place: Where.
        listening: Is called with the URL when clients are answered.

    Raises:
        KeyboardInterrupt: The signal was SIGINT.
        OSError: The address can't be listened at, or a file of TLS can't be read.
        InvalidArgument: The files of TLS hold no certificate with its key.
        RevstoreError: The resource can't be opened.
    """
    config = _config(app, place)
    try:
        config.load()
    except ssl.SSLError as error:
        raise InvalidArgument("certificate", str(place.certificate), f"with its key: {error}") from error
    with _listen(place) as listener, asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        host, port = listener.getsockname()[:2]
        scheme = "https" if place.certificate else "http"
        server = _Server(
            config, lambda: listening(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
        )
        with server.told_by_signals():
            runner.run(_serve(server, listener, resource, in_flight))
    if server.interrupted:
        raise KeyboardInterrupt


def calm_collector() -> None:
    """Have Python look for cyclic garbage less often, and no more in what is there already.

    For a process that does nothing but serve: many requests under way at once make young objects by the thousands,
    which are no garbage, and looking through them was a fifth of the CPU of a pull.
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
        if server.force_exit:  # uvicorn went without waiting, and without cancelling
            for task in server.server_state.tasks:
                task.cancel()
        await in_flight.drained()  # what was cancelled cleans up, which uvicorn does not wait for


def _config(app: ASGIApp, place: Place) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",  # what is to be opened and closed is the resource
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(place.proxies),
        forwarded_allow_ips=list(place.proxies),
        ssl_certfile=place.certificate,
        ssl_keyfile=place.key,
        timeout_graceful_shutdown=max(1, round(place.grace.total_seconds())),
    )


def _listen(place: Place) -> socket.socket:
    family, *_, address = socket.getaddrinfo(
        place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server(address[:2], family=family, backlog=2048)


class CutOff:
    """An ASGI application around another, for one that `run` serves: what is cancelled is answered 503.

    Without it, uvicorn would log each request that it cancels at its end as a failure, with a traceback. It takes
    cancellation for the end of the task, so it is not for a program where others cancel.

    Args:
        app: The application within.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application within, or 503 where that was cancelled before its answer began."""
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except asyncio.CancelledError:  # the task is uvicorn's, and ends here
            _LOG.warning("a request was cut off at the end: %r", scope.get("path", ""))
            if not begun:
                said: list[dict[str, object]] = [
                    {"code": "UNAVAILABLE", "message": "the server ends, try again later"}
                ]
                headers = {"Retry-After": "1", "Connection": "close"}
                await answers.refuse(503, said, headers)(scope, receive, send)


class _Server(uvicorn.Server):
    """A server that says when it listens, and does not raise a signal anew after it has obeyed it."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self.interrupted = False
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # `told_by_signals` does, for as long as anything is open

    @contextmanager
    def told_by_signals(self) -> Iterator[None]:
        """End by SIGTERM and SIGINT; a second SIGINT does not wait for requests."""

        def told(number: int, frame: FrameType | None) -> None:
            self.interrupted = number == signal.SIGINT
            self.handle_exit(number, frame)

        before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
