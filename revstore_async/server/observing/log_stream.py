"""Output that never waits for its reader: a thread writes it, and lines without room are counted.

`revstore serve | less` reads one screen and then nothing. A plain stream would block the whole server at the next
line of the log, for all clients, and SIGTERM too.
"""

import io
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Final, TextIO

LIMIT: Final = 1 << 22
"""Bytes that a stream holds for its reader: some 10,000 lines of the access log."""

BATCH: Final = 1 << 16
"""Bytes that the thread writes at once; a Linux pipe holds as many."""

PAUSE: Final = 0.01
"""Seconds in which the thread lets lines gather: to wake it for each line would cost a request 10 us."""

PATIENCE: Final = 2.0
"""Seconds that the last lines may take at the end of a program."""


class _Mark:
    """A mark between the lines in the queue."""


_GAP: Final = _Mark()
_END: Final = _Mark()


class LogStream(io.TextIOBase):
    """A text stream onto a file descriptor; its `write` never waits.

    A thread writes the lines in order. While the reader stands still, the stream holds `limit` bytes. It drops and
    counts the lines that come after, and tells their number in their place when the reader goes on. Lines that the
    descriptor refuses, such as of a full disk, count too.

    Args:
        descriptor: The file descriptor for the lines. It stays open.
        gap: Makes the line that tells the number of dropped lines.
        limit: Bytes to hold.
    """

    encoding: str = "utf-8"
    errors: str = "backslashreplace"

    def __init__(self, descriptor: int, gap: Callable[[int], str], *, limit: int = LIMIT) -> None:
        self._descriptor: Final = descriptor
        self._gap: Final = gap
        self._limit: Final = limit
        self._queue: Final[SimpleQueue[bytes | _Mark]] = SimpleQueue()
        # Reentrant: a signal's handler or a finaliser may write while its own thread is within `write`.
        self._lock: Final = threading.RLock()
        self._taken = self._gone = 0  # bytes that came in, and that left the queue
        self._dropped = 0
        self._ended = False
        # A thread that stands in `write` must not hold up the end of the process.
        self._thread: Final = threading.Thread(target=self._pour, name="revstore-log", daemon=True)
        self._thread.start()

    def write(self, text: str, /) -> int:
        """Take text; drop it if there is no room."""
        data = text.encode(self.encoding, self.errors)
        with self._lock:
            if self._ended:
                return len(text)
            if self._taken - self._gone + len(data) <= self._limit:
                self._taken += len(data)
                self._queue.put(data)
            else:
                if not self._dropped:
                    self._queue.put(_GAP)
                self._dropped += _lines(data)
        return len(text)

    def end(self, seconds: float = PATIENCE) -> bool:
        """Take no more text, and wait until all lines are written, `seconds` at most; say whether they are.

        If they are not, the thread goes on alone.
        """
        with self._lock:
            self._ended = True
            self._queue.put(_END)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def writable(self) -> bool:
        """Say that the stream takes text."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Say whether the reader is a terminal."""
        return os.isatty(self._descriptor)

    # ---- the thread

    def _pour(self) -> None:
        lost, mark = 0, None
        while mark is not _END:
            batch, mark = self._batch()
            data = b"".join(batch)
            lost = self._put(lost, data)
            self._gone += len(data)
            if mark is _GAP:
                with self._lock:
                    lost, self._dropped = lost + self._dropped, 0
                lost = self._put(lost)
            elif mark is None and len(data) < BATCH:
                time.sleep(PAUSE)

    def _put(self, lost: int, data: bytes = b"") -> int:
        """Write the number of lines lost before, and the data; return the number of lines lost now."""
        told = self._gap(lost).encode(self.encoding, self.errors) if lost else b""
        if self._write(told + data):
            return 0
        return lost + (_lines(data) if data else 0)

    def _batch(self) -> tuple[list[bytes], _Mark | None]:
        """Wait for a line; return it with the lines behind it, and the mark that ends them, if there is one."""
        batch: list[bytes] = []
        size = 0
        with suppress(Empty):
            item = self._queue.get()
            while isinstance(item, bytes):
                batch.append(item)
                size += len(item)
                if size >= BATCH:
                    return batch, None
                item = self._queue.get_nowait()
            return batch, item
        return batch, None

    def _write(self, data: bytes) -> bool:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # another program has made the terminal or pipe so
                select.select([], [self._descriptor], [])
            except OSError:  # the reader is gone, or the disk is full
                return False
        return True


def _lines(data: bytes) -> int:
    return max(1, data.count(b"\n"))


@contextmanager
def output_that_never_waits(gap: Callable[[int], str], gap_of_errors: Callable[[int], str]) -> Iterator[None]:
    """Put a `LogStream` in the place of standard output and standard error, for all their writers.

    At the end the last lines have `PATIENCE` seconds; then the block gives them up, and the process may end.

    Args:
        gap: Makes the line that tells of lines that standard output dropped.
        gap_of_errors: The same for standard error, and for both if they are one file.
    """
    before = sys.stdout, sys.stderr
    errors = _standing_in(sys.stderr, gap_of_errors)
    output = errors if errors and _are_one(*before) else _standing_in(sys.stdout, gap)
    if output:
        sys.stdout = output
    if errors:
        sys.stderr = errors
    try:
        yield
    finally:
        latest = time.monotonic() + PATIENCE
        # If the reader stands still to the end, the interpreter's own last words would wait for it as well.
        if output is None or output.end(max(0.0, latest - time.monotonic())):
            sys.stdout = before[0]
        if errors is None or errors.end(max(0.0, latest - time.monotonic())):
            sys.stderr = before[1]


def _standing_in(stream: TextIO, gap: Callable[[int], str]) -> LogStream | None:
    """Return a stream in the place of one, or None for a program's own stream without a descriptor."""
    descriptor = _descriptor(stream)
    if descriptor is None:
        return None
    stream.flush()
    return LogStream(descriptor, gap)


def _are_one(output: TextIO, errors: TextIO) -> bool:
    named = [_descriptor(stream) for stream in (output, errors)]
    files = [os.fstat(descriptor) for descriptor in named if descriptor is not None]
    return len(files) == 2 and os.path.samestat(*files)


def _descriptor(stream: TextIO | None) -> int | None:
    with suppress(AttributeError, OSError, ValueError):  # it is closed, or a program's own, or there is none
        return stream.fileno() if stream else None
    return None
