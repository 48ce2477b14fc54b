"""One line on standard error that shows the step under way; a line for each step if it is no terminal."""

import sys
import time


class Progress:
    """The line of the step under way."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._last = ""

    def __call__(self, text: str, *, passing: bool = False) -> None:
        """Show the step under way.

        Args:
            text: The step, in a few words.
            passing: Whether the step gets no line of its own in a log.
        """
        line = f"[{time.monotonic() - self._start:5.0f} s] {text}"[:110]
        if self._terminal:
            print(f"\r{line:<{len(self._last)}}", end="", file=sys.stderr, flush=True)
            self._last = line
        elif not passing:
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        """End the line."""
        if self._terminal:
            print(file=sys.stderr)
