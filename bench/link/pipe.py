"""One direction of a connection: it hands bytes on in order, each after a delay."""

import asyncio
from collections import deque
from collections.abc import Callable

_HELD = 16 << 20
"""The most bytes under way: at 20 ms, enough for 800 MB/s."""

_EARLY = 0.00005
"""Seconds by which bytes may go too early: less than a timer's error."""


class Pipe:
    """Bytes on their way."""

    def __init__(self, delay: Callable[[], float], on_arrival: Callable[[bytes], None]) -> None:
        """Make one.

        Args:
            delay: Returns the seconds for bytes that come now.
            on_arrival: Called with all bytes as the pipe hands them on.
        """
        self._loop = asyncio.get_running_loop()
        self._delay = delay
        self._on_arrival = on_arrival
        self._queue: deque[tuple[float, bytes]] = deque()
        self._held = 0
        self._timer: asyncio.TimerHandle | None = None
        self._source: asyncio.Transport | None = None
        self._sink: asyncio.Transport | None = None
        self._sink_full = False
        self._paused = False
        self._ending = False

    def join(self, source: asyncio.Transport, sink: asyncio.Transport) -> None:
        """Connect the pipe to its source and its sink; earlier bytes wait for this."""
        self._source, self._sink = source, sink
        self._release()

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        delay = self._delay()
        if delay <= 0 and not self._queue and self._sink is not None:
            self._hand_on(data)
            return
        self._queue.append((self._loop.time() + delay, data))
        self._held += len(data)
        self._look()
        self._wait()

    def end(self) -> None:
        """End the pipe: the sink closes after the bytes under way."""
        self._ending = True
        if not self._queue and self._sink is not None:
            self._sink.close()

    def drop(self) -> None:
        """Forget the bytes under way."""
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()

    def sink_is_full(self, full: bool) -> None:
        """Stop the source while the sink takes no more."""
        self._sink_full = full
        self._look()

    def _look(self) -> None:
        source, paused = self._source, self._sink_full or self._held > _HELD
        if paused == self._paused or source is None or source.is_closing():
            return
        self._paused = paused
        if paused:
            source.pause_reading()
        else:
            source.resume_reading()

    def _wait(self) -> None:
        if self._timer is None and self._queue and self._sink is not None:
            self._timer = self._loop.call_at(self._queue[0][0], self._release)

    def _release(self) -> None:
        self._timer = None
        now = self._loop.time() + _EARLY
        while self._queue and self._queue[0][0] <= now:
            data = self._queue.popleft()[1]
            self._held -= len(data)
            self._hand_on(data)
        self._look()
        self._wait()
        if self._ending and not self._queue and self._sink is not None:
            self._sink.close()

    def _hand_on(self, data: bytes) -> None:
        if self._sink is not None and not self._sink.is_closing():
            self._on_arrival(data)
            self._sink.write(data)
