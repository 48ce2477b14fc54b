"""Tries a storage: one listing, one small write. For the readiness and the start of a server."""

from contextlib import suppress
from typing import Final

from ...driver import Driver
from ...errors import AccessDenied, RevstoreError, Unsupported

PROBE_KEY: Final = "docker/registry/revstore/probe"
"""The key of the write, for a moment. All servers of a store share it; its content means nothing."""

_SIZE: Final = 4096  # bytes that a full disk refuses, though it still takes an empty file


class StoreProbe:
    """Tries a storage.

    Args:
        driver: The storage's driver.
        key: The key to write, and to delete again.
    """

    def __init__(self, driver: Driver, *, key: str = PROBE_KEY) -> None:
        self._driver: Final = driver
        self._key: Final = key

    async def read(self) -> None:
        """Check that the storage answers. One request: a listing of one entry.

        Raises:
            RevstoreError: The storage does not answer, or it refuses the listing.
        """
        await self._driver.list(limit=1)

    async def write(self) -> None:
        """Check that the storage takes a write. Two requests: a put of a small object, and its deletion.

        If the operator forbids deletions, that one object stays.

        Raises:
            RevstoreError: The storage does not take the write. No object is left, unless the storage does not
                answer at all.
        """
        try:
            await self._driver.put(self._key, bytes(_SIZE))
        except RevstoreError:
            with suppress(RevstoreError):  # the object may be there: perhaps only the answer was lost
                await self._driver.delete(self._key)
            raise
        with suppress(AccessDenied, Unsupported):
            await self._driver.delete(self._key)
