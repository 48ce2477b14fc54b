"""Processes that stand still, as on a machine that swaps: SIGSTOP, and SIGCONT at the end."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def standing_still(process: int) -> Iterator[None]:
    """Stop a process, all of its threads, for as long as the block lasts."""
    os.kill(process, signal.SIGSTOP)
    try:
        while not stopped(process):
            time.sleep(0.001)
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def stopped(process: int) -> bool:
    """Say whether all threads of a process stand still."""
    threads = Path(f"/proc/{process}/task").glob("*/stat")
    return all(each.read_text().rpartition(")")[2].split()[0] == "T" for each in threads)
