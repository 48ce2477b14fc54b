"""A file that the server reads again after a change."""

import asyncio
import codecs
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from ...concurrency import in_thread
from ...errors import RevstoreError

Content = TypeVar("Content")

_LOG = logging.getLogger("revstore_async.server")

_UNREAD: Final = (-1,)  # the version of a file that is not looked at yet


class WatchedFile(Generic[Content]):
    """The content of a small file. A question has a thread look at the file, at most once in an interval.

    If the file can't be read, or its content is not valid, the former content stays in force. The log says so
    once for each change.

    Args:
        path: The file; the constructor reads it.
        read: Makes the content of the file's path and bytes. A byte order mark of UTF-8 is taken off before.
        interval: Seconds between two looks at the file, at least.
        clock: Tells the time in seconds.

    Raises:
        OSError: The file can't be read.
        RevstoreError: Any error that `read` raises.
    """

    def __init__(
        self,
        path: Path | str,
        read: Callable[[str, bytes], Content],
        *,
        interval: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path: Final = Path(path)
        self._read: Final = read
        self._interval: Final = interval
        self._clock: Final = clock
        self._lock = asyncio.Lock()
        self._version, self._content = self._load()
        self._looked = clock()

    @property
    def latest(self) -> Content:
        """The content at the last look at the file."""
        return self._content

    async def current(self) -> Content:
        """Return the content; look at the file first if the interval is over."""
        if self._clock() - self._looked >= self._interval:
            async with self._lock:
                if self._clock() - self._looked >= self._interval:  # else another has just looked
                    await self._look()
        return self._content

    async def reload(self) -> None:
        """Read the file anew, even if it seems unchanged."""
        async with self._lock:
            self._version = _UNREAD
            await self._look()

    async def _look(self) -> None:
        loaded = await in_thread(self._load_if_changed)
        self._looked = self._clock()
        if loaded is not None:
            self._content = loaded

    def _load_if_changed(self) -> Content | None:
        version = self._seen()
        if version == self._version:
            return None
        try:
            self._version, content = self._load()
        except (OSError, RevstoreError):
            self._version = version
            _LOG.exception("%s has changed and can't be used; what it said before stays in force", self.path)
            return None
        _LOG.info("%s has changed and is in force", self.path)
        return content

    def _load(self) -> tuple[tuple[int, ...], Content]:
        # The version is taken first: the next look sees a change that happens during the read.
        version = self._seen()
        # Editors on Windows put a byte order mark before UTF-8. It is no part of the text.
        content = self.path.read_bytes().removeprefix(codecs.BOM_UTF8)
        return version, self._read(str(self.path), content)

    def _seen(self) -> tuple[int, ...]:
        try:
            stat = self.path.stat()
        except OSError:
            return ()
        return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
