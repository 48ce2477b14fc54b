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
"""How long after the beginning the first purge is, more or less: who restarts often must get there."""
_LEAST: Final = timedelta(hours=1)
_SHARE: Final = 24  # to look more often would cost listings, and take little sooner what lay for so long
_AT_ONCE: Final = 4  # the other connections are for clients


@asynccontextmanager
async def purging(registry: Registry, older_than: timedelta | None) -> AsyncIterator[None]:
    """Open a registry for the block, and beside the block purge its uploads, one purge at a time.

    The first is some ten minutes after the beginning; between two is a 24th of the time, but an hour at least. Each
    pause is between half and one and a half times as long, by chance: replicas that begin together then do not
    purge together, though they may. A purge that fails is a line in the log, and the next one is as if it had not.
    The block ends with the purge cancelled and over, then the registry is closed.

    Args:
        registry: The registry.
        older_than: How long nobody went on with what is purged; None to purge nothing.

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
        by_chance = uniform(0.5, 1.5)  # noqa: S311 (it spreads servers, it hides nothing)
        await asyncio.sleep(by_chance * pause.total_seconds())
        await _purge(registry, older_than)
        pause = max(_LEAST, older_than / _SHARE)


async def _purge(registry: Registry, older_than: timedelta) -> None:
    try:
        count = await registry.purge_uploads(older_than, at_once=_AT_ONCE)
    except RevstoreError as error:
        said = " ".join(str(error).split())  # one line, whatever a storage said
        _LOG.warning("uploads could not be purged, which is tried again later: %s", said)
    except Exception:  # noqa: BLE001 - a defect: it is shown whole, and the server goes on
        _LOG.exception("uploads could not be purged, which is tried again later")
    else:
        _LOG.log(logging.INFO if count else logging.DEBUG, "purged abandoned uploads: %d", count)
