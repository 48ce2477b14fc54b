"""HTTP/1.1 as uvicorn speaks it by httptools, with bounds on the bytes and seconds of a client.

uvicorn bounds neither the size of a head nor the time that a client takes for it. It bounds neither trailers
nor extensions of chunks, nor requests that clients send ahead of their answers. Sources: RFC 9112; Go's
`net/http/internal/chunked.go` for the bound on a chunked body's bytes besides its content.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Final

import httptools
from uvicorn import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from .. import error_answers
from .connections import Connections, Limits, Seldom, State

_LOG = logging.getLogger("revstore_async.server")

_HANDSHAKE: Final = b"\x16"  # the first byte of TLS (RFC 8446, 5.1)
_PER_CHUNK: Final = (
    16  # bytes that a chunk may have besides its content, plus two for each byte of its content
)
_LINGER: Final = 1.0
"""Seconds for which the server still takes and drops a refused client's bytes. The kernel would answer untaken
bytes by a reset, and the client might not read the refusal.
"""

_FAREWELL: Final = 1.0
"""Seconds in which the last bytes of an answer by TLS may leave when the server ends."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The refusal of a client; the server ignores its further bytes.

    Attributes:
        status: The HTTP status.
        message: The message of the error in the answer.
        code: The code of the error in the answer.
    """

    status: int
    message: str
    code: str = "UNSUPPORTED"

    def __bytes__(self) -> bytes:
        headers = {"Connection": "close"} | ({"Retry-After": "1"} if self.status == 503 else {})
        response = error_answers.refuse(self.status, [{"code": self.code, "message": self.message}], headers)
        fields = b"".join(name + b": " + value + b"\r\n" for name, value in response.raw_headers)
        return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (
            self.status,
            _PHRASES[self.status],
            fields,
            bytes(response.body),
        )


_PHRASES: Final = {
    400: b"Bad Request",
    408: b"Request Timeout",
    414: b"URI Too Long",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}
_FULL: Final = Refusal(503, "there are too many connections, try again later", "UNAVAILABLE")
_NO_HTTP: Final = Refusal(400, "it is not a request of HTTP/1.1")
_TLS: Final = Refusal(400, "Client sent a TLS handshake to an HTTP server.")
_AHEAD: Final = Refusal(400, "too many requests were sent ahead of their answers")


class _Stopped(Exception):
    """Ends the parser's work on the bytes that arrived. The protocol has noted the refusal already."""


class _Flow(FlowControl):
    """Keeps reading paused as long as a request waits for the answer to an earlier one.

    An application that waits for its client to leave makes uvicorn read on, and requests ahead would pile up.
    """

    def __init__(self, protocol: "BoundedProtocol", transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._protocol = protocol

    def resume_reading(self) -> None:
        if not self._protocol.pipeline:
            super().resume_reading()


class BoundedProtocol(HttpToolsProtocol):
    """A connection of uvicorn's, for `uvicorn.Config(http=...)`.

    The server answers a client that breaks a bound with 400, 408, 414 or 431 in the spec's error format, and
    closes the connection. Answers that are under way go out to their end first.

    Args:
        config: uvicorn's configuration.
        server_state: uvicorn's state of the server.
        app_state: uvicorn's state of the application.
        _loop: The event loop of the connection.
        connections: All connections of the server.
        limits: The bounds.
        refused: Tells the log of refused clients.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: Connections,
        limits: Limits,
        refused: Seldom,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.handshake: asyncio.Task[bool] | None = None
        self._all = connections
        self._limits = limits
        self._refused = refused
        self._state: State | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._answered: RequestResponseCycle | None = None  # the request of the current or the last answer
        self._in_head = True  # within or before a head, not in a body
        self._begun = False  # whether the next head has begun
        self._overhead = 0  # bytes since the end of the last head or message, less content and allowances
        # Whether that number includes the piece under the parser. It does not include the rest of a piece after
        # the end of a head or a message: 256 KiB at most, which one read brings.
        self._counted = True
        self._replaying = False
        self._deaf = False
        self._refusal: Refusal | None = None

    # ---- calls by the transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, if there is room for one more connection."""
        super().connection_made(transport)
        self.flow: FlowControl = _Flow(self, transport)
        if self._all.enter(self):
            self._settle()
        else:  # the connection is not counted, so it must not stay
            self._deaf = True
            transport.write(bytes(_FULL))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application that the client has left."""
        self._unset_deadline()
        self._all.leave(self)
        answered = self._answered
        if answered is not None and not answered.response_complete:
            answered.disconnected = True
            answered.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take the bytes that arrived."""
        if self._deaf:
            return
        self._unset_keepalive_if_required()
        self._counted = True
        self._overhead += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError:
            tls = self._answered is None and data.startswith(_HANDSHAKE)
            self._refuse(self._refusal or (_TLS if tls else _NO_HTTP))
            return
        if self._overhead > self._limits.head_size:
            self._refuse(self._too_large())
            return
        self._overhead = max(self._overhead, 0)
        self._settle()

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # The server stays with HTTP/1.1 (RFC 9110, 7.8); the parser takes the body for another protocol.
                data = data[upgrade.args[0] :]
                self._go_on_after_head()
                if data:
                    continue
            return

    def _go_on_after_head(self) -> None:
        """Make a new parser for the body of the request; the former parser has read its head."""
        framing = {b"content-length", b"transfer-encoding"}
        fields = [field for field in self.scope["headers"] if field[0] in framing]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
        self.parser: httptools.HttpRequestParser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._replaying = True
        try:
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + head + b"\r\n")
        finally:
            self._replaying = False

    # ---- calls by the parser

    def on_message_begin(self) -> None:
        """Begin a request."""
        if not self._replaying:
            self._begun = True
            super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Hand the request to the application, or keep it until the requests before it are answered."""
        if self._replaying:
            return
        self._check_head()
        super().on_headers_complete()
        if not (self.pipeline and self.pipeline[0][0] is self.cycle):
            self._answered = self.cycle
        self.headers: list[tuple[bytes, bytes]] = []  # takes the trailers, which don't belong to the head
        self._in_head = self._begun = self._counted = False
        self._overhead = 0

    def _check_head(self) -> None:
        limits, fields = self._limits, self.headers
        if len(self.url) > limits.target_size:
            self._stop(self._too_large())
        if len(fields) > limits.fields:
            self._stop(Refusal(431, f"the request has more than {limits.fields} header fields"))
        if self._overhead > limits.head_size or not self._counted:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in fields)
            if size > limits.head_size:
                self._stop(self._too_large())
        if len(self.pipeline) >= limits.pipelined:
            self._stop(_AHEAD)

    def on_chunk_header(self) -> None:
        """Allow a chunk some bytes besides its content."""
        self._overhead -= _PER_CHUNK

    def on_body(self, body: bytes) -> None:
        """Take a part of the content."""
        self._overhead -= (3 if self._counted else 2) * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request's body."""
        if self.parser.should_upgrade():
            return  # its body is still to come
        self._in_head = True
        self._counted = False
        self._overhead = 0
        super().on_message_complete()

    # ---- calls by the answers

    def on_response_complete(self) -> None:
        """Go on to the next request."""
        following = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        self._answered = following or self._answered
        if not self._deaf:
            self._settle()

    def shutdown(self) -> None:
        """Close the connection at the end of the server, unless a request is under way; that is answered first.

        By TLS a client has to agree to the end, and one that stands still would hold the server up.
        """
        busy, before = self._current_state() is State.BUSY, self._answered
        super().shutdown()
        if self.scheme == "https" and not busy:
            if before is None:
                self.transport.abort()
            else:  # the end of the last answer may still be on its way
                self.loop.call_later(_FAREWELL, self.transport.abort)

    # ---- time

    def _settle(self) -> None:
        """Set the timer for the client's next step, if the server waits for one."""
        if self.transport.is_closing():
            return
        state = self._current_state()
        if state is State.IDLE and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task: asyncio.TimerHandle | None = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        if state is self._state:
            return
        self._state = state
        self._all.note(self, state)
        self._unset_deadline()
        if state is State.BEGINNING or state is State.ENDING:
            self._unset_keepalive_if_required()
            limits = self._limits
            timeout = limits.head_timeout if state is State.BEGINNING else limits.rest_timeout
            self._deadline = self.loop.call_later(timeout.total_seconds(), self._late)

    def _current_state(self) -> State:
        if self.cycle is not None and not self.cycle.response_complete:
            return State.BUSY
        if not self._in_head:
            return State.ENDING
        return State.BEGINNING if self._sent_some or self._answered is None else State.IDLE

    @property
    def _sent_some(self) -> bool:
        return self._in_head and (self._begun or self._overhead > 0)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        seconds = self._limits.head_timeout.total_seconds()
        if self._sent_some:
            self._refuse(Refusal(408, f"the request's head did not come within {seconds:g} s"))
        else:  # to a client that sent nothing at all, an answer would belong to the request that it sends now
            self.transport.close()

    # ---- refusals

    def _too_large(self) -> Refusal:
        limit, target = self._limits.head_size, self._limits.target_size
        if self._in_head:
            if self._begun and len(self.url) > target:
                return Refusal(414, f"the request's target has more than {target} bytes")
            return Refusal(431, f"the request's head has more than {limit} bytes")
        return Refusal(400, f"the request's body has more than {limit} bytes besides its content")

    def _stop(self, refusal: Refusal) -> None:
        self._refusal = refusal
        raise _Stopped

    def _refuse(self, refusal: Refusal) -> None:
        """Ignore the client's further bytes; tell it why, unless earlier answers must go out first."""
        self._deaf = True
        self._unset_deadline()
        self._unset_keepalive_if_required()
        if refusal is not _TLS:  # clients that know of a registry without TLS try TLS first
            self._refused.warn(refusal.status, refusal.message, self.client[0] if self.client else "")
        refused = None if self._in_head else self.cycle
        waiting = [self._answered, *(cycle for cycle, _ in reversed(self.pipeline))]
        before = [each for each in waiting if each and each is not refused and not each.response_complete]
        if before:
            if self.pipeline and self.pipeline[0][0] is refused:
                self.pipeline.popleft()
            self.cycle: RequestResponseCycle = before[-1]
            self.cycle.keep_alive = False
            return
        self._state = State.ENDING
        self._all.note(self, State.ENDING)
        if refused is not None:
            begun = refused.response_started
            refused.disconnected = True
            refused.message_event.set()
            if begun:
                self.transport.close()
                return
        self.transport.write(bytes(refusal))
        self._close_gently()

    def _close_gently(self) -> None:
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._deadline = self.loop.call_later(_LINGER, self.transport.close)
        else:
            self.transport.close()

    def give_way(self) -> None:
        """Close at once, in favour of another connection."""
        if self.handshake is not None:
            self.handshake.cancel()
        if self.transport is not None:
            self.transport.abort()
