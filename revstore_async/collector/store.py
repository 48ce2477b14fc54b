"""The collector of a registry."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from types import NoneType

from ..arguments import check_type
from ..concurrency import in_thread
from ..driver import Driver
from ..driver.rates import RateLimitDriver
from ..errors import InvalidArgument
from ..formats.names import RepositoryName
from ..layout import Layout
from ..policy import Policy
from ..tags.store import TagStore
from .control import Status, checked
from .marking import Rules, mark
from .planning import Plan
from .progress import Progress
from .retention import Retention
from .running import Collected, OnlineRun
from .surveying import Surveyor
from .sweeping import TagsOf, sweep


class Collector(Surveyor):
    """Finds and deletes garbage: keys that no tag, pin, rule or late history of a tag needs.

    Args:
        driver: The storage.
        layout: The layout of the registry.
        policy: The policy; its immutable tags stay.
        tags_of: Returns the tags of a repository, on the storage or a driver around it.
        forget: Drops what the registry remembers of the store.
    """

    def __init__(
        self,
        driver: Driver,
        layout: Layout,
        policy: Policy,
        tags_of: Callable[[RepositoryName, Driver], TagStore],
        forget: Callable[[], None],
    ) -> None:
        super().__init__(driver, layout, policy)
        self._tags_of = tags_of
        self._forget = forget

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

    async def take_turn(self, every: timedelta) -> timedelta | None:
        """Return None if this process is to begin a run of a schedule now, and note that it does. 2 requests.

        Of many processes at once, one gets the turn.

        Args:
            every: The time from the end of a run to the next one.

        Returns:
            None, or the time after which to ask again: a run ended, or a schedule began one, a shorter time ago.

        Raises:
            CollectorNotEnabled: Runs are not enabled, or may not begin yet.
            CollectorStateUnreadable: The state can't be read.
            CollectorStateOfNewerEngine: Only a newer engine may write by it.
            InvalidArgument: The time is not positive.
            RunUnderWay: A run is open.
            Unsupported: The driver lacks conditional writes.
            WrongType: The time is of another type.
        """
        check_type("every", every, timedelta)
        if every <= timedelta(0):
            raise InvalidArgument("every", every, "it is no length of time")
        return await self._control.take_turn(every)

    # ---- runs

    async def plan(
        self,
        retention: Retention | None = None,
        *,
        offline: bool = False,
        shared: bool = False,
        requests_per_second: float | None = None,
        progress: Progress | None = None,
    ) -> Plan:
        """Make a plan of a run. The caller closes it.

        It costs a survey, see `Surveyor`, and 1 request more unless it is offline. Memory is bounded.

        Args:
            retention: The retention rules; None lets nothing go but what no tag and no revision needs.
            offline: Whether nothing else is at work on the store, so that what is young may go.
            shared: Whether Docker Distribution writes to the store while no run is open. Then all that a link of a
                layer leads to stays.
            requests_per_second: The most requests that begin in a second, 1 at least; None for as many as the store
                answers.
            progress: A value to follow the run by.

        Raises:
            CollectorStateUnreadable: The state, which has the lease, can't be read.
            CollectorStateOfNewerEngine: Only a newer engine may write by it.
            ForeignKey: The store holds a key that no layout explains.
            InvalidArgument: The bound of requests is below 1.
            WrongType: An argument is of another type.
        """
        check_type("retention", retention, Retention, NoneType)
        survey, now = await self._survey(progress, retention, self._bounded(requests_per_second))
        try:
            rules = (
                Rules(retention, self._policy.immutable, now, timedelta(0))
                if offline
                else await self._rules(retention, now)
            )
            await in_thread(mark, survey, replace(rules, shared=shared))
            told = None if retention is None else retention.digest
            return await in_thread(partial(Plan, survey, offline=offline, retention=told))
        except BaseException:
            survey.db.close()
            raise

    async def check_run(self) -> None:
        """Check whether a run beside other programs may begin now. 1 request; 2 to end a run that its owner left.

        Raises:
            CollectorNotEnabled: Runs are not enabled, or may not begin yet.
            CollectorStateUnreadable: The state can't be read.
            CollectorStateOfNewerEngine: Only a newer engine may write by it.
            RunUnderWay: Another run is open.
            Unsupported: The driver lacks conditional writes.
        """
        await self._control.check_run()

    async def run(
        self,
        plan: Plan | Retention | None = None,
        *,
        shared: bool = False,
        requests_per_second: float | None = None,
        progress: Progress | None = None,
    ) -> Collected:
        """Delete garbage while other programs are at work on the store. Only one process runs at a time.

        The run condemns the keys of the plan, waits until every writer knows, and lists the links again. It spares
        the keys that are needed by then, with all of their references. Writers rescue keys that they need. Then the
        run deletes the rest.
        If there is nothing to delete, the state stays idle.

        - 1 request for each 1,000 keys of links and records, 1 for each new manifest.
        - 2 for each 100,000 condemned keys; some 20 for the state.
        - 1 for each 1,000 deleted keys, where the store takes that; for each tag those of its deletion.
        - The time of the waits: `Bounds.grace`, some seconds at the end, and `Bounds.hold` if a deletion got no
          definite answer.

        A cancelled or failed run leaves the store in order, and sets the state to idle. If a deletion got no
        answer, or the process was killed, any process may do so when the time of the run is over.

        Args:
            plan: A plan, which the caller closes; its numbers change to those of the run. Or the retention rules
                for a new plan, with the costs and errors of `plan`.
            shared: As in `plan`; for a new plan.
            requests_per_second: The most requests that begin in a second, 1 at least; None for as many as the store
                answers.
            progress: A value to follow the run by.

        Raises:
            CollectorNotEnabled: Runs are not enabled, or may not begin yet.
            CollectorStateUnreadable: The state can't be read.
            CollectorStateOfNewerEngine: Only a newer engine may write by it.
            ForeignKey: The store holds a key that no layout explains.
            InvalidArgument: A run took the plan already, or it was made for a store with nothing else at work; or
                the bound of requests is below 1.
            RunLost: Another process ended the run, since its time was over, or by `cancel`.
            RunUnderWay: Another run is open.
            Unsupported: The driver lacks conditional writes.
            WrongType: An argument is of another type.
        """
        check_type("plan", plan, Plan, Retention, NoneType)
        check_type("progress", progress, Progress, NoneType)
        if isinstance(plan, Plan):
            if plan.offline:
                raise InvalidArgument("plan", "offline", "it lets go what clients are about to use")
            if plan.is_spent:
                raise InvalidArgument("plan", "spent", "a run took it; make a new one")
            return await self._run(plan, self._bounded(requests_per_second), progress or Progress())
        made = await self.plan(
            plan, shared=shared, requests_per_second=requests_per_second, progress=progress
        )
        try:
            return await self._run(made, self._bounded(requests_per_second), progress or Progress())
        finally:
            made.close()

    async def _run(self, plan: Plan, driver: Driver, progress: Progress) -> Collected:
        run = OnlineRun(plan, driver, self._layout, self._tags_on(driver), self._control, progress)
        try:
            return await run.carry_out()
        finally:
            self._forget()

    async def apply(
        self, plan: Plan, *, requests_per_second: float | None = None, progress: Progress | None = None
    ) -> None:
        """Delete the keys of a plan; only while no other program is at work on the store.

        - 1 request for the collector's state; 2 if a run is open, which ends with it.
        - 1 for each 1,000 keys, where the store takes that.
        - For each tag those of its deletion.

        Args:
            plan: The plan, which the caller closes.
            requests_per_second: The most requests that begin in a second, 1 at least; None for as many as the store
                answers.
            progress: A value to follow the run by.

        Raises:
            CollectorStateUnreadable: The state can't be read.
            CollectorStateOfNewerEngine: Only a newer engine may write by it.
            InvalidArgument: The bound of requests is below 1.
            WrongType: An argument is of another type.
        """
        check_type("plan", plan, Plan)
        check_type("progress", progress, Progress, NoneType)
        driver = self._bounded(requests_per_second)
        await self._control.end_run()
        try:
            await sweep(plan, driver, self._layout.root, self._tags_on(driver), progress or Progress())
        finally:
            self._forget()

    def _bounded(self, requests_per_second: float | None) -> Driver:
        """Return the storage, with its requests bounded. Those for the collector's state are made on `_driver`."""
        check_type("requests_per_second", requests_per_second, int, float, NoneType)
        return (
            self._driver
            if requests_per_second is None
            else RateLimitDriver(self._driver, requests_per_second)
        )

    def _tags_on(self, driver: Driver) -> TagsOf:
        return lambda name: self._tags_of(name, driver)
