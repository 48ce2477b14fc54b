"""Purges uploads now and then, beside a server."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from random import uniform
from typing import Final

from ...concurrency import alongside
from ...errors import RevstoreError
from ...registry import Registry

_LOG = logging.getLogger("revstore_async.server")

FIRST: Final = timedelta(minutes=10)
"""Time from the start to the first purge, more or less: a server that restarts often must reach it."""
_LEAST: Final = timedelta(hours=1)
_SHARE: Final = 24  # more purges would cost listings, and delete old uploads little sooner
_AT_ONCE: Final = 4  # the other connections are for clients


@asynccontextmanager
async def purging(registry: Registry, older_than: timedelta | None) -> AsyncIterator[None]:
    """Open a registry for the block, and beside the block purge its uploads, one purge at a time.

    The first purge is some ten minutes after the start. The pause between two purges is a 24th of `older_than`,
    but an hour at least. Each pause is between half and one and a half times as long, by chance. Replicas that
    start together therefore rarely purge together, though they may. A failed purge is a line in the log, and
    does not change the next one. The end of the block cancels and awaits the purge, then closes the registry.

    Args:
        registry: The registry.
        older_than: The time since its last change after which an upload is purged; None to purge nothing.

    Raises:
        RevstoreError: The store can't be opened.
    """
    async with registry:
        if older_than is None:
            yield
            return
        async with alongside(_now_and_then(registry, older_than)):
            yield


async def _now_and_then(registry: Registry, older_than: timedelta) -> None:
    pause = FIRST
    while True:
        by_chance = uniform(0.5, 1.5)  # noqa: S311 (it spreads servers, it is no secret)
        await asyncio.sleep(by_chance * pause.total_seconds())
        await _purge(registry, older_than)
        pause = max(_LEAST, older_than / _SHARE)


async def _purge(registry: Registry, older_than: timedelta) -> None:
    try:
        count = await registry.purge_uploads(older_than, at_once=_AT_ONCE)
    except RevstoreError as error:
        _LOG.warning("uploads could not be purged, which is tried again later: %s", error.one_line)
    except Exception:  # noqa: BLE001 - a defect: the log shows it whole, and the server goes on
        _LOG.exception("uploads could not be purged, which is tried again later")
    else:
        _LOG.log(logging.INFO if count else logging.DEBUG, "purged abandoned uploads: %d", count)
