"""Tries whether a storage can be worked with: one listing, one small write. For readiness, and for the start."""

from contextlib import suppress
from typing import Final

from ...driver import Driver
from ...errors import AccessDenied, RevstoreError, Unsupported

PROBE_KEY: Final = "docker/registry/revstore/probe"
"""Where the write goes, for a moment. All servers of a store share it: what it holds means nothing."""

_SIZE: Final = 4096  # bytes that a full disk refuses, where it would still take an empty file


class StoreProbe:
    """Tries a storage.

    Args:
        driver: The storage's driver.
        key: The key that is written, and deleted again.
    """

    def __init__(self, driver: Driver, *, key: str = PROBE_KEY) -> None:
        self._driver: Final = driver
        self._key: Final = key

    async def read(self) -> None:
        """See whether the storage answers. One request: a listing of one entry.

        Raises:
            RevstoreError: It does not, or not with a listing.
        """
        await self._driver.list(limit=1)

    async def write(self) -> None:
        """See whether the storage takes a write. Two requests: a small object is put, and deleted.

        A storage whose operator forbids deletions keeps that one object.

        Raises:
            RevstoreError: It does not; nothing is left, unless the storage does not answer at all.
        """
        try:
            await self._driver.put(self._key, bytes(_SIZE))
        except RevstoreError:
            with suppress(RevstoreError):  # its answer may have been lost only
                await self._driver.delete(self._key)
            raise
        with suppress(AccessDenied, Unsupported):
            await self._driver.delete(self._key)
