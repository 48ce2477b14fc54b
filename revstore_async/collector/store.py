"""The collector of a registry."""

from collections.abc import Callable
from datetime import timedelta
from types import NoneType
from typing import Final

from ..arguments import check_type
from ..concurrency import in_thread
from ..driver import Driver
from ..formats.names import RepositoryName
from ..layout import Layout
from ..policy import Policy
from ..tags.store import TagStore
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

        1 request for each 1,000 keys, where the store takes that, and for each tag those of its deletion.

        Raises:
            WrongType: An argument is of another type.
        """
        check_type("plan", plan, Plan)
        check_type("progress", progress, Progress, NoneType)
        try:
            await sweep(plan, self._driver, self._tags_of, progress or Progress())
        finally:
            self._forget()
