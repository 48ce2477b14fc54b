"""Reads the pull times that the rules ask for into a survey."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from ..concurrency import gather_map, in_thread
from ..driver import Driver, FileInfo
from ..errors import KeyNotFound, ObjectTooLarge
from ..formats.names import RepositoryName
from ..inventory import pages
from ..layout import Layout, Pulls, PullsKept
from ..pulls.pull_times import LIMIT, decode
from .patterns import is_any
from .pull_days import days_of
from .retention import Retention, Rule
from .survey import Survey

READ_AT_ONCE: Final = 16
"""Objects of pull times that are in memory at once."""


async def read_pulls(
    survey: Survey, driver: Driver, layout: Layout, retention: Retention | None, now: datetime
) -> None:
    """Read the pull times that the rules of a run ask for.

    No request without a rule with `pulled`. Else 1 for each day, and 1 for each object: one for each repository,
    day and process. Objects of repositories that no such rule names are not read.
    """
    rules = [rule for rule in retention.rules if rule.conditions.pulled] if retention else []
    if not rules:
        return
    found = await _objects(survey, driver, layout, rules, now)
    at_once = min(driver.capabilities.connections, READ_AT_ONCE)

    async def read(of: tuple[FileInfo, Pulls]) -> list[tuple[RepositoryName, str, datetime]]:
        info, pulls = of
        try:
            everything, references = decode((await driver.get(info.key, limit=LIMIT)).content)
        except KeyNotFound:
            return []
        except ObjectTooLarge:
            everything, references = True, []
        return [(pulls.name, each, info.modified) for each in (["*"] if everything else references)]

    for start in range(0, len(found), at_once):
        together = await gather_map(read, found[start : start + at_once], limit=at_once)
        await in_thread(survey.add_pulls, [pull for pulls in together for pull in pulls])


async def _objects(
    survey: Survey, driver: Driver, layout: Layout, rules: Sequence[Rule], now: datetime
) -> Sequence[tuple[FileInfo, Pulls]]:
    """Return the objects to read, and note the days with a mark."""
    longest = max(rule.conditions.pulled or timedelta(0) for rule in rules)
    found = []
    for day in days_of(now, longest):
        async for page in pages(driver, layout.key(PullsKept(day)).rpartition("/")[0]):
            for info in page:
                match layout.parse(info.key):
                    case PullsKept():
                        survey.pull_days.add(day)
                    case Pulls(name=name) as pulls if any(is_any(rule.repositories, name) for rule in rules):
                        found.append((info, pulls))
    return found
