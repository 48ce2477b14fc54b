"""The clock by which a process measures how long something took, the sleep of its machine included."""

import asyncio
import sys
import time
from collections.abc import Callable
from functools import partial


def _clock() -> Callable[[], float]:
    """Return the clock of this system. On all others, `time.monotonic` is all that Python offers."""
    if sys.platform == "linux":
        clock = time.CLOCK_BOOTTIME
    elif sys.platform == "darwin":
        clock = time.CLOCK_MONOTONIC  # there it runs on in sleep, and `time.monotonic` reads another clock
    else:
        return time.monotonic
    try:
        time.clock_gettime(clock)
    except OSError:  # a sandbox that lacks this clock
        return time.monotonic
    return partial(time.clock_gettime, clock)


_machine = _clock()


def boottime() -> float:
    """Return seconds of a clock that never goes back, and runs on while the machine sleeps.

    The time of an event loop, and `time.monotonic` on Linux, stand still while a laptop sleeps or a machine is
    suspended. No clock inside of a virtual machine sees the time for which its host pauses it.

    A loop with a clock of its own, such as a test's, has a method `boottime`; on such a loop this is its result.
    Call it on the loop's thread.
    """
    try:
        own: Callable[[], float] | None = getattr(asyncio.get_running_loop(), "boottime", None)
    except RuntimeError:  # no loop runs here
        own = None
    return _machine() if own is None else own()
