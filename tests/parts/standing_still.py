"""Processes that stand still, as on a machine that swaps: SIGSTOP, and SIGCONT at the end."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def standing_still(process: int) -> Iterator[None]:
    """Stop a process for as long as the block lasts."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)
