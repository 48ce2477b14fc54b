"""Counts the HTTP requests of a door by the beginnings of the clients' messages."""

import re
import time
from collections import Counter
from typing import Any

_HEAD = re.compile(rb"(GET|HEAD|PUT|POST|PATCH|DELETE) (\S+) HTTP/1\.1\r\n")
_CONTINUE = b"HTTP/1.1 100"
_TRACED = 400


class DoorCount:
    """The traffic of one door.

    A request's place in the chain is one more than the highest place among the requests already answered when
    it came. With one client, the highest place is the number of round trips for which it waited.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start the count anew."""
        self.requests: Counter[str] = Counter()
        self.connections = 0
        self.deepest = 0
        self.answered = 0
        self.trace: list[list[Any]] = []
        self.start = time.perf_counter()

    def passed(self) -> dict[str, Any]:
        """Return the traffic as values for JSON."""
        return {
            "requests": dict(self.requests),
            "connections": self.connections,
            "round_trips": self.deepest,
            "trace": self.trace,
        }

    def now(self) -> float:
        """Return the milliseconds since the reset."""
        return round((time.perf_counter() - self.start) * 1000, 2)


class ConnectionCount:
    """The traffic of one connection: requests, one at a time."""

    def __init__(self, door: DoorCount) -> None:
        self._door = door
        self._clients_turn = True
        self._place = 0
        self._traced: list[Any] | None = None
        door.connections += 1

    def sent(self, data: bytes) -> None:
        """Count the request in the client's bytes, if they begin one.

        A client that doesn't pipeline begins its next request with the first bytes after an answer. The count
        looks only at these, and so takes no bytes of a body for a head.
        """
        if not self._clients_turn or (head := _HEAD.match(data)) is None:
            return
        self._clients_turn = False
        door = self._door
        self._place = door.answered + 1
        door.deepest = max(door.deepest, self._place)
        kind = kind_of(head[1].decode(), head[2], data)
        door.requests[kind] += 1
        if len(door.trace) < _TRACED:
            self._traced = [kind, head[2].decode("latin-1")[:200], self._place, door.now(), 0.0]
            door.trace.append(self._traced)

    def answered(self, data: bytes) -> None:
        """Note the answer in the server's bytes, as they reach the client.

        "100 Continue" is no answer yet, but the client waited for it before it sent the body: one round trip
        more.
        """
        if self._clients_turn:
            return
        door = self._door
        door.answered = max(door.answered, self._place)
        if data.startswith(_CONTINUE):
            self._place += 1
            door.deepest = max(door.deepest, self._place)
            return
        self._clients_turn = True
        if self._traced is not None:
            self._traced[4] = self._door.now()
            self._traced = None


def kind_of(method: str, target: bytes, data: bytes) -> str:
    """Return the kind of a request to S3: its method, or `LIST`, `COPY`, `PART`."""
    query = target.partition(b"?")[2]
    if method == "GET" and (b"list-type=" in query or b"prefix=" in query):
        return "LIST"
    if method == "PUT" and b"x-amz-copy-source" in data[:4096].lower():
        return "COPY"
    return "PART" if method == "PUT" and b"partNumber=" in query else method
