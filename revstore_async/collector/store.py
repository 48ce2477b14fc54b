"""The collector of a registry."""

from collections.abc import Callable
from datetime import datetime, timedelta
from types import NoneType
from typing import Final

from ..arguments import check_moment, check_type
from ..concurrency import in_thread
from ..driver import Driver
from ..formats.names import RepositoryName
from ..layout import Layout
from ..policy import Policy
from ..tags.store import TagStore
from .control import Control, Status, checked
from .filling import Progress
from .marking import Rules, mark
from .planning import Plan
from .retention import Retention
from .surveying import Surveyor
from .sweeping import sweep

LEASE: Final = timedelta(days=1)
"""Nothing younger is planned to go, unless nothing else is at work on the store."""


class Collector(Surveyor):
    """Finds and deletes garbage: keys that no tag, pin, rule or late history of a tag needs.

    Args:
        driver: The storage.
        layout: The layout of the registry.
        policy: The policy; its immutable tags stay.
        tags_of: Returns the tags of a repository.
        forget: Drops what the registry remembers of the store.
    """

    def __init__(
        self,
        driver: Driver,
        layout: Layout,
        policy: Policy,
        tags_of: Callable[[RepositoryName], TagStore],
        forget: Callable[[], None],
    ) -> None:
        super().__init__(driver, layout, policy)
        self._tags_of = tags_of
        self._forget = forget
        self._control = Control(driver, layout)

    # ---- what all processes on the store agree on

    async def status(self) -> Status:
        """Return the collector's state: the open run, the bounds, and whether runs are enabled.

        1 request; 1 small write more where the driver can't tell the store's time.

        Raises:
            CollectorStateUnreadable: The state can't be read.
            CollectorStateOfNewerEngine: Only a newer engine may write by it.
        """
        return await self._control.status()

    async def enable(self) -> Status:
        """Say that every program that writes to the store knows the collector, so that runs may begin.

        Programs of before this engine's collector know nothing of it, and Docker Distribution must be read-only
        while a run is open. Runs begin one lease later. 2 requests.

        Raises:
            CollectorStateUnreadable: The state can't be read.
            CollectorStateOfNewerEngine: Only a newer engine may write by it.
            Unsupported: The driver lacks conditional writes.
        """
        return await self._control.enable()

    async def cancel(self) -> Status:
        """End the open run, if any, before it deletes. 2 requests.

        The owner of the run notices that at its next step, and deletes nothing.

        Raises:
            CollectorStateUnreadable: The state can't be read.
            CollectorStateOfNewerEngine: Only a newer engine may write by it.
            RunUnderWay: The run deletes its keys, and its owner may still be at work.
            Unsupported: The driver lacks conditional writes.
        """
        return await self._control.cancel()

    async def bounds(
        self,
        *,
        keep: timedelta | None = None,
        link_within: timedelta | None = None,
        lease: timedelta | None = None,
        hold: timedelta | None = None,
        lag: timedelta | None = None,
        metadata: timedelta | None = None,
        offline: bool = False,
    ) -> Status:
        """Change the bounds that all processes on the store agree on; without a bound, show them. 2 requests.

        The former bounds hold beside the new ones until every process knows these: of each time the greater one.

        Args:
            keep: How long a writer may keep the state in memory.
            link_within: The time within which a writer links content that it found or wrote.
            lease: Nothing younger is condemned.
            hold: How long a server may carry out a deletion after it accepted it.
            lag: How long a listing may lag behind writes.
            metadata: The longest time of one operation on metadata.
            offline: Whether nothing else is at work on the store. Then the new bounds hold at once, and an open run
                ends.

        Raises:
            CollectorStateUnreadable: The state can't be read.
            CollectorStateOfNewerEngine: Only a newer engine may write by it.
            InvalidArgument: A time is negative, or `link_within` is 0.
            RunUnderWay: A run is open.
            Unsupported: The driver lacks conditional writes.
            WrongType: A time is of another type.
        """
        times = {"keep": keep, "link_within": link_within, "lease": lease, "hold": hold}
        given = checked({**times, "lag": lag, "metadata": metadata})
        if not given:
            return await self._control.status()
        return await self._control.bound(given, offline=offline)

    async def take_turn(self, since: datetime) -> bool:
        """Return whether this process is to begin a run of a schedule, and note that it is. 2 requests.

        Args:
            since: If a run ended or began by a schedule since then, by the store's clock, the result is False; also
                while a run is open. Of many processes at once, one gets True.

        Raises:
            CollectorStateUnreadable: The state can't be read.
            CollectorStateOfNewerEngine: Only a newer engine may write by it.
            InvalidArgument: The time has no zone.
            Unsupported: The driver lacks conditional writes.
        """
        check_moment("since", since)
        return await self._control.take_turn(since)

    # ---- runs

    async def plan(
        self,
        retention: Retention | None = None,
        *,
        offline: bool = False,
        progress: Progress | None = None,
    ) -> Plan:
        """Make a plan of a run. The caller closes it.

        1 request for each 1,000 keys of the store, 1 for each tag, 1 for each manifest; 1 small write, which tells
        the store's time. Memory is bounded: the survey is in a temporary file, of some 500 bytes a key.

        Args:
            retention: The retention rules; None lets nothing go but what no tag and no revision needs.
            offline: Whether nothing else is at work on the store, so that what is young may go.
            progress: A value to follow the run by.

        Raises:
            ForeignKey: The store holds a key that no layout explains.
            WrongType: An argument is of another type.
        """
        check_type("retention", retention, Retention, NoneType)
        survey, now = await self._survey(progress)
        try:
            lease = timedelta(0) if offline else LEASE
            await in_thread(mark, survey, Rules(retention, self._policy.immutable, now, lease))
            return Plan(survey)
        except BaseException:
            survey.db.close()
            raise

    async def apply(self, plan: Plan, *, progress: Progress | None = None) -> None:
        """Delete the keys of a plan; only while no other program is at work on the store.

        - 1 request for the collector's state; 2 if a run is open, which ends with it.
        - 1 for each 1,000 keys, where the store takes that.
        - For each tag those of its deletion.

        Raises:
            CollectorStateUnreadable: The state can't be read.
            CollectorStateOfNewerEngine: Only a newer engine may write by it.
            WrongType: An argument is of another type.
        """
        check_type("plan", plan, Plan)
        check_type("progress", progress, Progress, NoneType)
        await self._control.end_run()
        try:
            await sweep(plan, self._driver, self._tags_of, progress or Progress())
        finally:
            self._forget()
