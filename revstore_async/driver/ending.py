"""How the block of a writer ends, for drivers whose writers say themselves whether they are done."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from ..errors import RevstoreError
from .contract import Writer

SomeWriter = TypeVar("SomeWriter", bound=Writer)


@asynccontextmanager
async def cancelled_at_the_end(writer: SomeWriter) -> AsyncIterator[SomeWriter]:
    """Hand a writer out, and cancel it at the end of the block, which does nothing to one that is done."""
    try:
        yield writer
    except BaseException:
        with suppress(RevstoreError):  # the caller's own error says more than that of the clean-up
            await writer.cancel()
        raise
    await writer.cancel()
