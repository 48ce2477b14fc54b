"""Reads and swaps the state of the collector."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from ..driver import Driver, IfAbsent, IfMatch
from ..errors import (
    CollectorStateOfNewerEngine,
    CollectorStateUnreadable,
    ConditionFailed,
    KeyNotFound,
    ObjectTooLarge,
    Unsupported,
)
from ..layout import CollectorState, Layout
from .state import NewerVersion, State

_LIMIT: Final = 1 << 20
"""The most bytes to read of a state; a shard takes some 150, and a run has a few hundred at most."""


@dataclass(frozen=True, slots=True)
class SeenState:
    """A state as the store has it.

    Attributes:
        state: The state.
        etag: Its version; None where nothing is stored.
        date: The store's time of the answer; None if the driver can't tell it.
    """

    state: State = field(default_factory=State)
    etag: str | None = None
    date: datetime | None = None


class StateStore:
    """Reads and swaps the state of the collector on one store."""

    def __init__(self, driver: Driver, layout: Layout) -> None:
        self._driver = driver
        self._key = layout.key(CollectorState())

    async def read(self) -> SeenState:
        """Read the state. 1 request.

        Raises:
            CollectorStateUnreadable: The stored bytes are no state.
            CollectorStateOfNewerEngine: Only a newer engine may write by it.
        """
        try:
            file = await self._driver.get(self._key, limit=_LIMIT)
        except KeyNotFound as error:
            return SeenState(date=error.date)
        except ObjectTooLarge as error:
            raise CollectorStateUnreadable(self._key, str(error)) from error
        try:
            state = State.decode(file.content)
        except NewerVersion as error:
            raise CollectorStateOfNewerEngine(self._key, str(error)) from error
        except ValueError as error:
            raise CollectorStateUnreadable(self._key, str(error)) from error
        return SeenState(state, file.info.etag, file.date)

    async def swap(self, seen: SeenState, state: State) -> SeenState | None:
        """Write a state over the seen one; return None if another was written since. 1 request.

        Raises:
            Unsupported: The driver lacks conditional writes, by which processes agree on a state.
        """
        if not self._driver.capabilities.conditional_put:
            raise Unsupported(
                self._driver.name, "runs of the collector beside others, as it lacks conditional writes"
            )
        condition = IfAbsent() if seen.etag is None else IfMatch(seen.etag)
        try:
            info = await self._driver.put(self._key, state.encode(), condition=condition)
        except ConditionFailed:
            return None
        return SeenState(state, info.etag, info.modified)
