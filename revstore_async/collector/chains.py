"""The reasons for which a digest stays, as chains of references from a root, by a survey. No requests."""

import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from ..formats.digest import Digest
from ..formats.names import RepositoryName
from .marking import Rules, mark
from .survey import Kind, Survey, moment

COUNTED: Final = 1000
"""The most chains that are counted beyond those that are told."""

_STEPS: Final = 100_000
"""The most ways to try in one repository: manifests that refer to one another have very many."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A way from a root to a digest.

    Attributes:
        repository: The repository of the root.
        root: The reason to keep the first manifest, such as `tag latest: no rule names it`.
        digests: The first manifest, each next one that the one before refers to, and the digest at the end. A
            referrer also comes after its subject, and a signature after its manifest.
    """

    repository: RepositoryName
    root: str
    digests: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class Reasons:
    """The reasons for which stored content stays, or the time since which there are none.

    Attributes:
        digest: The content.
        size: Its bytes.
        chains: The chains that keep it.
        more: The number of further chains; 1,000 stands for 1,000 or more.
        since: If no chain keeps it: the latest time of its content, and of any key and record that needed it.
        young: If no chain keeps it: whether a lease still protects it.
    """

    digest: Digest
    size: int
    chains: Sequence[Chain]
    more: int
    since: datetime | None
    young: bool

    @property
    def kept(self) -> bool:
        """Whether a chain keeps it."""
        return bool(self.chains)


def find_reasons(survey: Survey, rules: Rules, digest: Digest, limit: int) -> Reasons | None:
    """Find the reasons for which content stays; None if it is not stored.

    It may take seconds: coroutines call it in a thread.

    Args:
        survey: The survey of the store. Its marks are replaced.
        rules: The rules, with the lease of the store.
        digest: The content.
        limit: The most chains to return.
    """
    stored = "SELECT size, modified FROM object WHERE kind = ? AND digest = ?"
    found = survey.db.execute(stored, (Kind.BLOB, digest)).fetchone()
    if found is None:
        return None
    size, modified = found
    survey.db.execute("CREATE INDEX IF NOT EXISTS of_any_child ON reference (child)")
    mark(survey, replace(rules, lease=timedelta(0)))
    search = _Search(survey.db, digest)
    chains = search.chains()
    told = list(islice(chains, limit))
    more = sum(1 for _ in islice(chains, COUNTED))
    if told or more:
        return Reasons(digest, size, told, more, since=None, young=False)
    since = moment(max(modified, search.latest()))
    mark(survey, rules)
    going = "SELECT 1 FROM object JOIN going ON object = object.rowid WHERE kind = ? AND digest = ?"
    goes = survey.db.execute(going, (Kind.BLOB, digest)).fetchone()
    return Reasons(digest, size, told, more, since=since, young=goes is None)


class _Search:
    """The search for the chains that end at a digest."""

    def __init__(self, db: sqlite3.Connection, digest: Digest) -> None:
        self._db = db
        self._digest = digest

    def chains(self) -> Iterator[Chain]:
        """Yield the chains, by repository, the shortest first."""
        names = self._db.execute(_REPOSITORIES, {"digest": self._digest, **_KINDS}).fetchall()
        for (name,) in names:
            found = False
            for chain in self._chains_in(RepositoryName(name)):
                found = True
                yield chain
            if not found and (marked := self._marked_chain(RepositoryName(name))) is not None:
                yield marked

    def _chains_in(self, name: RepositoryName) -> Iterator[Chain]:
        # Each path ends at the digest. Only marked digests are on it, and those have a root above them.
        waiting: deque[tuple[str, ...]] = deque([(self._digest,)])
        for _ in range(_STEPS):
            if not waiting:
                return
            path = waiting.popleft()
            for (why,) in self._db.execute(_ROOTS, (name, path[0])).fetchall():
                yield Chain(name, why, tuple(map(Digest, path)))
            if len(waiting) < _STEPS:
                waiting.extend((parent, *path) for parent in self._above(name, path[0]) if parent not in path)

    def _marked_chain(self, name: RepositoryName) -> Chain | None:
        """Return the one chain by which the digest was marked, where there are too many to search."""
        path: tuple[str, ...] = (self._digest,)
        while True:
            marked = self._db.execute(_MARK, (name, path[0])).fetchone()
            via, why = marked or (next(iter(self._above(name, path[0])), None), "")
            if via is None:
                return Chain(name, why, tuple(map(Digest, path))) if marked else None
            path = (via, *path)

    def _above(self, name: RepositoryName, digest: str) -> Sequence[str]:
        """Return the marked digests that keep a digest in a repository."""
        rows = self._db.execute(_ABOVE, {"name": name, "digest": digest, **_KINDS})
        return [parent for (parent,) in rows]

    def latest(self) -> int:
        """Return the latest time of a key or record that needed the digest, in any repository; 0 without any."""
        found: int = self._db.execute(_LATEST, {"digest": self._digest, **_KINDS}).fetchone()[0]
        return found


_KINDS: Final = {kind.name.lower(): kind for kind in (Kind.REVISION, Kind.BESIDE)}
_REPOSITORIES: Final = """
SELECT repository FROM mark WHERE digest = :digest
UNION SELECT repository FROM object WHERE kind = :beside AND digest = :digest
ORDER BY repository
"""
_ROOTS: Final = "SELECT why FROM root WHERE repository = ? AND digest = ? ORDER BY why"
_MARK: Final = "SELECT via, why FROM mark WHERE repository = ? AND digest = ?"
# The digests that keep a digest: those that refer to it, its subject, and the manifest of a signature.
_ABOVE: Final = """
SELECT parent FROM (
    SELECT parent FROM reference WHERE child = :digest
    UNION
    SELECT child FROM reference r WHERE parent = :digest AND is_subject AND EXISTS (
        SELECT 1 FROM object o WHERE o.repository = :name AND o.kind = :revision AND o.digest = r.parent
    )
    UNION
    SELECT owner FROM object o WHERE repository = :name AND kind = :beside AND digest = :digest
    AND owner IS NOT NULL AND EXISTS (
        SELECT 1 FROM object r WHERE r.repository = :name AND r.kind = :revision AND r.digest = o.owner
    )
)
WHERE parent IN (SELECT digest FROM mark WHERE repository = :name AND digest = parent) ORDER BY parent
"""
_LATEST: Final = f"""
WITH RECURSIVE above (digest) AS (
    SELECT :digest
    UNION SELECT r.parent FROM above JOIN reference r ON r.child = above.digest
    UNION SELECT o.owner FROM above JOIN object o ON o.kind = :beside AND o.digest = above.digest
    WHERE o.owner IS NOT NULL
)
SELECT coalesce(max(o.modified), 0) FROM above JOIN object o ON o.digest = above.digest
AND o.kind IN ({", ".join(str(kind.value) for kind in Kind if kind is not Kind.BLOB)})
"""  # noqa: S608
