"""The block of a writer: its end cancels a writer that was not committed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from ..errors import RevstoreError
from .contract import Writer

SomeWriter = TypeVar("SomeWriter", bound=Writer)


@asynccontextmanager
async def writer_block(writer: SomeWriter) -> AsyncIterator[SomeWriter]:
    """Give a writer to the block, and cancel it at the block's end, which does nothing after a commit."""
    try:
        yield writer
    except BaseException:
        with suppress(RevstoreError):  # the error of the block says more than the error of the clean-up
            await writer.cancel()
        raise
    await writer.cancel()
