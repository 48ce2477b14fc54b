"""The bytes that each repository takes, and those that a run could free, by a survey. No requests."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from ..formats.names import RepositoryName
from .marking import Rules, mark
from .survey import Kind, Survey


@dataclass(frozen=True, slots=True)
class RepositoryUsage:
    """The bytes of one repository. Each digest counts once.

    Attributes:
        name: The repository.
        logical: Bytes of all content that its links lead to: manifests, signatures, layers and configs.
        unique: Bytes of the content that links of this repository alone lead to.
    """

    name: RepositoryName
    logical: int
    unique: int

    @property
    def shared(self) -> int:
        """Bytes of the content that links of other repositories lead to as well."""
        return self.logical - self.unique


@dataclass(frozen=True, slots=True)
class Usage:
    """The bytes of a store.

    Attributes:
        repositories: The repositories, in lexical order.
        stored: Bytes of all blobs.
        reclaimable: Bytes of the blobs that no tag and no untagged manifest needs, whatever their age. Retention
            rules do not count.
        young: The part of `reclaimable` that a lease still protects.
    """

    repositories: Sequence[RepositoryUsage]
    stored: int
    reclaimable: int
    young: int


def measure(survey: Survey, rules: Rules) -> Usage:
    """Measure a store. It may take seconds: coroutines call it in a thread.

    Args:
        survey: The survey of the store. Its marks are replaced.
        rules: Rules without retention, with the lease of the store.
    """
    mark(survey, replace(rules, lease=timedelta(0)))
    reclaimable = _going(survey.db)
    mark(survey, rules)
    kinds = {kind.name.lower(): kind for kind in Kind}
    stored = survey.db.execute("SELECT coalesce(sum(size), 0) FROM object WHERE kind = ?", (Kind.BLOB,))
    return Usage(
        repositories=[
            RepositoryUsage(RepositoryName(name), logical, unique)
            for name, logical, unique in survey.db.execute(_REPOSITORIES, kinds)
        ],
        stored=stored.fetchone()[0],
        reclaimable=reclaimable,
        young=reclaimable - _going(survey.db),
    )


def _going(db: sqlite3.Connection) -> int:
    query = "SELECT coalesce(sum(size), 0) FROM object JOIN going ON object = object.rowid WHERE kind = ?"
    found: int = db.execute(query, (Kind.BLOB,)).fetchone()[0]
    return found


# Links without stored content make a repository, too: it has a row of zeros. Records outlive a repository.
_REPOSITORIES: Final = """
WITH link AS (
    SELECT DISTINCT repository, digest FROM object
    WHERE kind IN (:tag, :revision, :beside, :referrer, :layer) AND digest IS NOT NULL
),
of_one AS (SELECT digest FROM link GROUP BY digest HAVING count(*) = 1)
SELECT link.repository, coalesce(sum(blob.size), 0),
    coalesce(sum(CASE WHEN link.digest IN (SELECT digest FROM of_one) THEN blob.size END), 0)
FROM link LEFT JOIN object blob ON blob.kind = :blob AND blob.digest = link.digest
GROUP BY link.repository ORDER BY link.repository
"""
