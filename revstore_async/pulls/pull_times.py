"""Keeps coarse pull times: one small object for each repository, day and process.

A pull is noted in memory. Every ten minutes the process writes the object of each repository with new tags or
manifests of this day. The object holds all that the process noted on the day, so a tag that is pulled all day long
costs one write. The time of a pull is that of the object's last write, by the store's clock. A killed process loses
the pulls of its last minutes.

Each day has a mark, too: a day without it is one on which no process kept pull times.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Final, NoReturn
from uuid import uuid4

from ..concurrency import gather_map
from ..driver import Driver, Folder, entries
from ..errors import RevstoreError
from ..formats.names import RepositoryName
from ..layout import Layout, Pulls, PullsKept

EVERY: Final = timedelta(minutes=10)
"""The time between two writes."""

KEPT_FOR: Final = timedelta(days=400)
"""Pull times of earlier days are deleted."""

OF_REPOSITORY: Final = 10_000
"""Tags and manifests of one repository and day that are told apart; with more, all of the repository counts."""

IN_MEMORY: Final = 100_000
"""Tags and manifests in memory; with more, all of each further repository counts."""

LIMIT: Final = 1 << 22
"""The most bytes of an object."""

_AT_ONCE: Final = 4  # the other connections are for clients
_LOG = logging.getLogger("revstore_async.server")


@dataclass(slots=True)
class _Noted:
    """The pulls of one repository on one day.

    Attributes:
        references: The tags and digests that were pulled.
        all: Whether everything counts as pulled, since there is too much to tell apart.
        saved: Whether the store has all of it.
    """

    references: set[str] = field(default_factory=set)
    all: bool = False
    saved: bool = False

    def encode(self) -> bytes:
        return json.dumps({"all": self.all, "references": sorted(self.references)}).encode()


def decode(content: bytes) -> tuple[bool, list[str]]:
    """Read a stored object: whether everything counts as pulled, and the tags and digests.

    An object that can't be read counts as one in which everything was pulled.
    """
    try:
        said: Any = json.loads(content)
        references = [str(each) for each in said["references"]]
        return bool(said["all"]), references
    except (ValueError, TypeError, KeyError, RecursionError):
        return True, []


class PullTimes:
    """The pull times that this process keeps.

    Args:
        driver: The storage.
        layout: The layout of the registry.
        now: Returns the time.
    """

    def __init__(self, driver: Driver, layout: Layout, *, now: Callable[[], datetime] | None = None) -> None:
        self._driver = driver
        self._layout = layout
        self._now = now or partial(datetime.now, UTC)
        self._writer = str(uuid4())
        self._noted: dict[tuple[date, RepositoryName], _Noted] = {}
        self._count = 0
        self._marked: date | None = None

    def note(self, repository: str, *references: str) -> None:
        """Note that a client pulled a tag or manifest. No request; the pull is stored some minutes later.

        Args:
            repository: The repository's name.
            references: The tag, if the client named one, and the digest.

        Raises:
            InvalidName: The name is outside the grammar.
        """
        name = repository if isinstance(repository, RepositoryName) else RepositoryName(repository)
        noted = self._noted.setdefault((self._now().date(), name), _Noted())
        for reference in references:
            if noted.all or reference in noted.references:
                continue
            if self._count >= IN_MEMORY or len(noted.references) >= OF_REPOSITORY:
                self._count -= len(noted.references)
                noted.references.clear()
                noted.all = True
            else:
                noted.references.add(reference)
                self._count += 1
            noted.saved = False

    async def save(self) -> None:
        """Write the pulls that were noted since the last call.

        1 request for each repository with new pulls. The first call of a day costs 2 more, and 1 for each day that
        is too old.

        Raises:
            RevstoreError: The store failed. The next call writes the missing pulls.
        """
        today = self._now().date()
        unsaved = [key for key, noted in self._noted.items() if not noted.saved]
        await gather_map(self._save_one, unsaved, limit=_AT_ONCE)
        if self._marked != today:
            await self._driver.put(self._layout.key(PullsKept(today)), b"")
            await self._delete_old(today)
            self._marked = today
        for key in [key for key, noted in self._noted.items() if key[0] < today and noted.saved]:
            self._count -= len(self._noted.pop(key).references)

    async def _save_one(self, key: tuple[date, RepositoryName]) -> None:
        day, name = key
        noted = self._noted[key]
        noted.saved = True  # pulls that are noted during the write change it again
        try:
            await self._driver.put(self._layout.key(Pulls(day, name, self._writer)), noted.encode())
        except BaseException:
            noted.saved = False
            raise

    async def _delete_old(self, today: date) -> None:
        last = self._layout.key(PullsKept(today - KEPT_FOR)).rpartition("/")[0]
        async for entry in entries(self._driver.list, self._layout.pulls):
            if isinstance(entry, Folder) and entry.key < last:
                await self._driver.delete_prefix(entry.key)

    async def keep(self) -> NoReturn:
        """Write the pulls now and every ten minutes. A failure is a line in the log, and does not end the work."""
        while True:
            await self._tried()
            await asyncio.sleep(EVERY.total_seconds())

    async def _tried(self) -> None:
        try:
            await self.save()
        except RevstoreError as error:
            _LOG.warning("pull times could not be written, which is tried again later: %s", error.one_line)

    async def end(self) -> None:
        """Write the pulls for the last time, if the store takes them."""
        with suppress(RevstoreError):
            await self.save()
