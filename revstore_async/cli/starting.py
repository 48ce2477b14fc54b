"""Tries a store before a server begins on it, so that the operator hears of faults before the clients do."""

import asyncio
import logging
from datetime import timedelta
from typing import Final

import click

from ..driver import metadata_deadline, open_driver, without_secrets
from ..errors import RevstoreError, StorageFull
from ..server.observing.store_probe import StoreProbe

_LOG = logging.getLogger("revstore_async.server")

_PAUSE: Final = 1.0  # seconds between two attempts


async def check_store(url: str, *, writes: bool, wait: timedelta = timedelta(0)) -> None:
    """Try a store: one listing, and one small write that is deleted again. 3 requests.

    A full store is a warning only: it still serves reads, and deletions that make room.

    Args:
        url: The store's URL.
        writes: Whether it must take writes.
        wait: How long to wait for a store that does not work yet.

    Raises:
        InvalidStoreURL: The URL is not understood.
        ClickException: The store does not work; the message names it and says why.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + wait.total_seconds()
    told = ""
    while (wrong := await _wrong(url, writes=writes)) is not None:
        reason = " ".join(str(getattr(wrong, "reason", wrong)).split())  # one line, of any error of a storage
        said = f"the store {without_secrets(url)} can't be used: {reason}"
        if isinstance(wrong, StorageFull):
            _LOG.warning("%s", said)
            return
        if clock() >= end:
            raise click.ClickException(said) from wrong
        if said != told:
            _LOG.warning("%s; waiting for it", said)
            told = said
        await asyncio.sleep(_PAUSE)


async def _wrong(url: str, *, writes: bool) -> RevstoreError | None:
    unopened = open_driver(url)
    try:
        async with unopened as driver:
            probe = StoreProbe(driver)
            with metadata_deadline(driver.capabilities.metadata_timeout):
                await probe.read()
                if writes:
                    await probe.write()
    except RevstoreError as error:
        return error
    return None
