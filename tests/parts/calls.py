"""Counts how often our own functions are called: a measure of the way that data takes, the same on each run."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import revstore_async
import revstore_drivers

FOLDERS = tuple(f"{Path(str(package.__file__)).parent}/" for package in (revstore_async, revstore_drivers))


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the calls that this thread makes of functions in our two packages while the block lasts.

    A coroutine or generator counts once, when it begins; comprehensions don't count. Calls in other threads
    don't count. The counter's keys are `file:function`.
    """
    calls: Counter[str] = Counter()
    seen: dict[int, FrameType] = {}  # holds the frames, so that no id is used twice

    def entered(frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or id(frame) in seen:
            return
        code = frame.f_code
        if code.co_filename.startswith(FOLDERS) and not code.co_name.endswith("comp>"):
            seen[id(frame)] = frame
            calls[f"{code.co_filename.rpartition('/revstore_')[2]}:{code.co_qualname}"] += 1

    before = sys.getprofile()
    sys.setprofile(entered)
    try:
        yield calls
    finally:
        sys.setprofile(before)
        seen.clear()


def report(calls: Counter[str]) -> str:
    """Return the calls by package, then the functions that are called most, each with its count."""
    packages: Counter[str] = Counter()
    for function, count in calls.items():
        packages["/".join(function.partition(":")[0].split("/")[:2])] += count
    listed = [f"{count:5} {name}" for name, count in [*packages.most_common(), *calls.most_common(60)]]
    return "\n".join([f"{calls.total():5} calls", *listed])
