"""A client of the soak that restores tags by the library, as an operator does by a command."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from revstore_async import Digest, Registry
from revstore_async.errors import RevstoreError, TagUnknown

from .clients import PAUSE, SHARED, TAGS
from .model import Model
from .pulling import HISTORY
from .tally import Tally
from .wire import PATIENCE

T = TypeVar("T")

_NEAR_ITS_END = timedelta(seconds=HISTORY - 8)
"""The time since a tag left a manifest after which the client leaves it alone: it may go before the restore."""


class Restorer:
    """A client that sets tags to manifests of their histories.

    Args:
        registry: The registry.
        model: The model.
        tally: The counts.
        chance: The random numbers.
    """

    def __init__(self, registry: Registry, model: Model, tally: Tally, chance: random.Random) -> None:
        self._registry = registry
        self._model = model
        self._tally = tally
        self._chance = chance

    async def work(self, stop: asyncio.Event) -> None:
        """Work until told to stop."""
        while not stop.is_set():
            try:
                kind = await self._restore(self._chance.choice(SHARED), f"t{self._chance.randrange(TAGS)}")
            except RevstoreError as error:
                kind = "failed"
                self._tally.fail(f"a restore got {type(error).__name__}: {error}")
            self._tally.operations["restorers", kind] += 1
            await asyncio.sleep(self._chance.uniform(0, 2 * PAUSE))

    async def _restore(self, repository: str, name: str) -> str:
        digest = await self._of_late(repository, name)
        if digest is None:
            return "histories without a manifest to restore"
        tag = self._model.tag(repository, name)
        write = tag.begin(digest, time.monotonic())
        try:
            await self._again(lambda: self._registry.repository(repository).tags.set(name, digest))
        except BaseException:
            tag.lose(write, time.monotonic())
            raise
        tag.acknowledge(write, time.monotonic())
        return "restores"

    async def _of_late(self, repository: str, name: str) -> Digest | None:
        """Return a manifest that the tag had lately, and that the history therefore keeps."""
        tags = self._registry.repository(repository).tags
        try:
            events = await self._again(lambda: tags.history(name))
        except TagUnknown:
            return None
        now = datetime.now(UTC)
        ends = [event.since for event in events[1:]] + [now]
        found = [
            event.digest
            for event, end in zip(events, ends, strict=True)
            if event.digest is not None and now - end < _NEAR_ITS_END
        ]
        return self._chance.choice(found) if found else None

    async def _again(self, call: Callable[[], Awaitable[T]]) -> T:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return await call()
            except RevstoreError as error:
                if not error.retryable or time.monotonic() > end:
                    raise
                self._tally.events[f"calls of restorers that came again: {type(error).__name__}"] += 1
                await asyncio.sleep(getattr(error, "retry_after", None) or self._chance.uniform(0.2, 1))
