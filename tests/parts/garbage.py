"""The leftovers of a call for the garbage collector: nothing, unless its objects hold one another."""

import gc
import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

LARGE = 1 << 14
"""Bytes that are content, not a name or a key."""

_OURS = ("revstore_async/", "revstore_drivers/", "tests/stores/", "tests/server/", "tests/parts/")


@asynccontextmanager
async def without_cycles() -> AsyncIterator[list[str]]:
    """Run a block without the collector; then the list names our objects, and content, that are left in cycles."""
    found: list[str] = []
    gc.disable()
    gc.freeze()  # what is there already is looked at no more, which would take most of the time
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += sorted({name for each in gc.garbage for name in _names(each)})
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()


def _is_of_aiohttp(kind: type) -> bool:
    """Say whether it is a connection, which aiohttp leaves in a cycle of its own; it holds no content."""
    return any(base.__module__.startswith("aiohttp.") for base in kind.__mro__)


def _names(found: Any) -> list[str]:
    kind = type(found)
    names = []
    if isinstance(found, types.FrameType):
        code = found.f_code
        if any(ours in code.co_filename for ours in _OURS):
            names.append(f"frame of {code.co_qualname}:{found.f_lineno}")
    elif kind.__module__.startswith(("revstore_async", "revstore_drivers")) and not _is_of_aiohttp(kind):
        names.append(f"object {kind.__module__}.{kind.__qualname__}")
    elif isinstance(found, types.CoroutineType | types.AsyncGeneratorType | types.FunctionType):
        code = getattr(found, "__code__", None) or getattr(found, "cr_code", None) or found.ag_code
        if any(ours in code.co_filename for ours in _OURS):
            names.append(f"{kind.__name__} {code.co_qualname}")
    large = [
        each
        for each in gc.get_referents(found)
        if isinstance(each, bytes | bytearray | memoryview) and len(each) >= LARGE
    ]
    return names + [f"{len(each)} bytes in a {kind.__qualname__}" for each in large]
