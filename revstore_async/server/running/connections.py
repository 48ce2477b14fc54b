"""Bounds the connections of a server, and chooses the one that gives way to a new one.

A process has a limited number of handles for files and connections. If clients took all of them, the server could
not reach its storage and new clients would hang. This module therefore bounds the connections below that
number.
"""

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Final, Protocol

from ...errors import InvalidArgument

_LOG = logging.getLogger("revstore_async.server")

_MOST: Final = 4096
"""Connections at once, by default. Each may hold a head's 64 KiB, 256 MiB together."""

_KEPT: Final = 128
"""Handles to leave for the storage's connections, its threads, the log and the like."""

_PER_REQUEST: Final = 2
"""Handles that a request under way may need besides its connection: for an open file and for a lock."""

_UNLIMITED: Final = 1 << 20
"""The number that stands for an unlimited limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds on a client before the server has authenticated it.

    Attributes:
        head_size: Bytes of a request's head at most, and the same for a chunked body's bytes besides its
            content.
        target_size: Bytes of a request's target (path and query), at most.
        fields: Fields of a head at most.
        head_timeout: How long a client may take for a head, and for the handshake of TLS.
        idle_timeout: How long a connection stays open after an answer, if no other request comes.
        rest_timeout: How long a client may go on to send a body after an early answer.
        pipelined: Requests that a client may send ahead of their answers.
    """

    head_size: int = 1 << 16
    target_size: int = 1 << 15
    fields: int = 200
    head_timeout: timedelta = timedelta(seconds=10)
    idle_timeout: timedelta = timedelta(seconds=75)
    rest_timeout: timedelta = timedelta(minutes=1)
    pipelined: int = 16

    def __post_init__(self) -> None:
        for name in ("head_timeout", "idle_timeout", "rest_timeout"):
            if getattr(self, name) <= timedelta(0):
                raise InvalidArgument(name, getattr(self, name), "it is not a time to wait")
        for name in ("head_size", "target_size", "fields", "pipelined"):
            if getattr(self, name) < 1:
                raise InvalidArgument(name, getattr(self, name), "at least one must be taken")


class State(IntEnum):  # its hash is computed in C, several times a request
    """The state of a connection."""

    BEGINNING = 0  # a handshake or a head has not come to its end
    BUSY = 1  # a request is under way
    ENDING = 2  # the answer went out before the request's body had come
    IDLE = 3  # the last request is answered


class Connection(Protocol):
    """A connection, as `Connections` sees it."""

    def give_way(self) -> None:
        """Close at once."""


class Connections:
    """The connections of one server, up to a limit.

    Beyond it, a new connection takes the place of one without a request under way. The connection that is idle for
    the longest time goes first, then the one that sends a head for the longest time. If all have a request under
    way, the new one is refused.

    Args:
        limit: Connections at once.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise InvalidArgument("connections", limit, "at least one must get through")
        self.limit: Final = limit
        self._by_state: Final = [dict[Connection, None]() for _ in State]
        self._states: Final = dict[Connection, State]()
        self._full = Seldom("all %d connections have a request under way, new ones are refused")

    def __len__(self) -> int:
        return len(self._states)

    def enter(self, connection: Connection) -> bool:
        """Count a new connection; another connection may give way. Return False if there is no room."""
        if connection in self._states:
            return True
        if len(self._states) >= self.limit and not self._make_room():
            self._full.warn(self.limit)
            return False
        self._states[connection] = State.BEGINNING
        self._by_state[State.BEGINNING][connection] = None
        return True

    def note(self, connection: Connection, state: State) -> None:
        """Note the new state of a connection; ignore a connection that is not counted."""
        before = self._states.get(connection)
        if before is None:
            return
        del self._by_state[before][connection]
        self._by_state[state][connection] = None
        self._states[connection] = state

    def leave(self, connection: Connection) -> None:
        """Stop counting a connection."""
        state = self._states.pop(connection, None)
        if state is not None:
            del self._by_state[state][connection]

    def _make_room(self) -> bool:
        for state in (State.IDLE, State.ENDING, State.BEGINNING):
            oldest = next(iter(self._by_state[state]), None)
            if oldest is not None:
                self.leave(oldest)
                oldest.give_way()
                return True
        return False


class Seldom:
    """A line of the log that clients can cause any number of times. The log gets it once a minute at most.

    Args:
        line: The line, as `logging` takes it.
        clock: Tells the time in seconds.
    """

    def __init__(self, line: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._line: Final = line
        self._clock: Final = clock
        self._next = float("-inf")
        self._left_out = 0

    def warn(self, *arguments: object) -> None:
        """Log the line as a warning, with the number of omitted lines since the last one; or omit it."""
        now = self._clock()
        if now < self._next:
            self._left_out += 1
            return
        more = f" ({self._left_out} more since the last such line)" if self._left_out else ""
        self._next, self._left_out = now + 60, 0
        _LOG.warning(self._line + "%s", *arguments, more)


def raise_handle_limit() -> int:
    """Raise the process's limit of handles as far as it may, and return it."""
    if sys.platform == "win32":  # Windows has no such limit
        return _UNLIMITED
    import resource  # noqa: PLC0415

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _UNLIMITED if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as error:  # macOS has a lower limit of its own
            _LOG.warning("the limit of %d handles can't be raised to %d: %s", soft, wanted, error)
            return soft
    return wanted


def room_for_connections(handles: int, requests: int) -> int:
    """Return the number of connections that leaves enough handles for the storage.

    Args:
        handles: The process's limit.
        requests: Requests under way at once, at most.
    """
    left = max(handles // 2, handles - _KEPT - _PER_REQUEST * requests)
    return max(1, min(left, max(_MOST, 2 * requests)))
