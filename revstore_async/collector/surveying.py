"""Takes surveys of a store, and answers questions by them."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from types import NoneType
from typing import Final

from ..arguments import check_series, check_type
from ..concurrency import in_thread
from ..driver import Driver
from ..errors import (
    BlobUnknown,
    InvalidArgument,
    ManifestUnknown,
    RepositoryUnknown,
    StorageFailure,
    TagUnknown,
)
from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag, tag_or_digest
from ..layout import CURRENT, SEED, Layout
from ..policy import Policy
from .chains import Reasons, find_reasons
from .control import Control
from .explaining import Explanation, explain
from .filling import fill
from .marking import Rules
from .progress import Progress
from .pulled import read_pulls
from .retention import Retention
from .survey import Survey
from .usage import Usage, measure

_FOLDERS: Final = [(each.manifests, each.layers, each.uploads) for each in (CURRENT, SEED)]


class Surveyor:
    """Takes surveys of a store, and answers questions by them.

    The costs of a survey are:

    - 1 request for each 1,000 keys of the store,
    - 1 for each manifest and each link of a tag that no survey read before,
    - 1 for each 10,000 of those that a survey read before,
    - 1 small write, which tells the store's time.

    It is in a temporary file, of some 500 bytes a key, so memory is bounded.

    Args:
        driver: The storage.
        layout: The layout of the registry.
        policy: The policy; its immutable tags stay.
    """

    def __init__(self, driver: Driver, layout: Layout, policy: Policy) -> None:
        self._driver = driver
        self._layout = layout
        self._policy = policy
        self._control = Control(driver, layout)

    async def usage(self, repositories: Iterable[str] = (), *, progress: Progress | None = None) -> Usage:
        """Measure the bytes of the store and of its repositories. It costs a survey, and 1 request more.

        Args:
            repositories: The repositories to tell of; without any, all. The other numbers are those of the whole
                store.
            progress: A value to follow the survey by.

        Raises:
            ForeignKey: The store holds a key that no layout explains.
            InvalidName: A repository's name is outside the grammar.
            RepositoryUnknown: The store has no such repository.
            CollectorStateUnreadable: The collector's state, which has the lease, can't be read.
            CollectorStateOfNewerEngine: Only a newer engine may read that state.
            WrongType: An argument is of another type.
        """
        check_series("repositories", repositories, "repositories")
        names = [RepositoryName(name) for name in repositories]
        async with self._surveyed(progress) as (survey, now):
            found = await in_thread(measure, survey, await self._rules(None, now))
        if not names:
            return found
        by_name = {each.name: each for each in found.repositories}
        for name in names:
            if name not in by_name:
                raise RepositoryUnknown(name)
        chosen = [by_name[name] for name in sorted(set(names))]
        return Usage(chosen, found.stored, found.reclaimable, found.young)

    async def why(
        self,
        digest: str,
        retention: Retention | None = None,
        *,
        limit: int = 100,
        progress: Progress | None = None,
    ) -> Reasons:
        """Find the reasons for which content stays. It costs a survey, and 1 request more.

        Args:
            digest: The content: a manifest, a signature, a layer or a config.
            retention: The retention rules; None for a store without rules.
            limit: The most chains to return.
            progress: A value to follow the survey by.

        Raises:
            BlobUnknown: The store does not have the content.
            ForeignKey: The store holds a key that no layout explains.
            InvalidArgument: `limit` is below 1.
            InvalidDigest: The digest is outside the grammar.
            CollectorStateUnreadable: The collector's state, which has the lease, can't be read.
            CollectorStateOfNewerEngine: Only a newer engine may read that state.
            WrongType: An argument is of another type.
        """
        digest = Digest(digest)
        check_type("retention", retention, Retention, NoneType)
        check_type("limit", limit, int)
        if limit < 1:
            raise InvalidArgument("limit", limit, "it is below 1")
        async with self._surveyed(progress, retention) as (survey, now):
            rules = await self._rules(retention, now)
            found = await in_thread(find_reasons, survey, rules, digest, limit)
        if found is None:
            raise BlobUnknown(digest)
        return found

    async def explain(
        self,
        repository: str,
        reference: str,
        retention: Retention | None = None,
        *,
        progress: Progress | None = None,
    ) -> Explanation:
        """Explain whether a tag or manifest stays by the retention rules. It costs a survey, and 1 request more.

        Args:
            repository: The repository's name.
            reference: A tag, or a digest.
            retention: The retention rules; None for a store without rules.
            progress: A value to follow the survey by.

        Raises:
            InvalidName: The repository's name is outside the grammar.
            InvalidTag: The reference is neither a tag nor a digest.
            InvalidDigest: It has a colon, but is no digest.
            TagUnknown: There is no such tag.
            ManifestUnknown: The repository has no such revision.
            ForeignKey: The store holds a key that no layout explains.
            CollectorStateUnreadable: The collector's state, which has the lease, can't be read.
            CollectorStateOfNewerEngine: Only a newer engine may read that state.
            WrongType: An argument is of another type.
        """
        name, target = RepositoryName(repository), tag_or_digest(reference)
        check_type("retention", retention, Retention, NoneType)
        async with self._surveyed(progress, retention) as (survey, now):
            found = await in_thread(explain, survey, await self._rules(retention, now), name, target)
        if found is None and isinstance(target, Tag):
            raise TagUnknown(name, target)
        if found is None:
            raise ManifestUnknown(name, target)
        return found

    # ---- inside

    async def _survey(
        self, progress: Progress | None, retention: Retention | None = None, driver: Driver | None = None
    ) -> tuple[Survey, datetime]:
        """Return a survey, which the caller closes, and the time by the store's clock.

        Args:
            progress: A value to follow the survey by.
            retention: The rules; the survey has the pull times that they ask for.
            driver: The storage, if its requests are bounded.
        """
        check_type("progress", progress, Progress, NoneType)
        survey = Survey([Layout(self._layout.root, *folders) for folders in _FOLDERS])
        progress = progress or Progress()
        try:
            await fill(survey, driver or self._driver, self._layout, progress)
            told = await self._store_time()
            now = await in_thread(survey.latest) if told is None else told
            await read_pulls(survey, driver or self._driver, self._layout, retention, now)
            progress.begin("mark")
        except BaseException:
            survey.db.close()
            raise
        return survey, now

    @asynccontextmanager
    async def _surveyed(
        self, progress: Progress | None, retention: Retention | None = None
    ) -> AsyncGenerator[tuple[Survey, datetime], None]:
        survey, now = await self._survey(progress, retention)
        with survey:
            yield survey, now

    async def _rules(self, retention: Retention | None, now: datetime) -> Rules:
        """Return the rules of a question, with the lease that all processes agree on. 1 request."""
        state = (await self._control.states.read()).state
        return Rules(retention, self._policy.immutable, now, state.in_force(now).lease)

    async def _store_time(self) -> datetime | None:
        """Return the time by the store's clock; None if the store takes no write."""
        try:
            return await self._control.clock.now()
        except StorageFailure:
            return None
