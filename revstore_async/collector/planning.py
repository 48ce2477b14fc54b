"""The plan of a run: keys that go and manifests that stay, with reasons."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from ..formats.digest import Digest
from ..formats.names import RepositoryName, Tag
from .survey import Kind, Survey, moment


@dataclass(frozen=True, slots=True)
class Numbers:
    """How much a run would delete.

    Attributes:
        keys: The keys.
        bytes: The bytes of their content.
        blobs: The blobs among them.
        tags: The tags among them.
        revisions: The revisions among them.
    """

    keys: int
    bytes: int
    blobs: int
    tags: int
    revisions: int

    @classmethod
    def of(cls, counts: Mapping[Kind, tuple[int, int]]) -> Self:
        """Return the sum of keys and bytes by kind."""
        return cls(
            keys=sum(keys for keys, _ in counts.values()),
            bytes=sum(size for _, size in counts.values()),
            blobs=counts.get(Kind.BLOB, (0, 0))[0],
            tags=counts.get(Kind.TAG, (0, 0))[0],
            revisions=counts.get(Kind.REVISION, (0, 0))[0],
        )


@dataclass(frozen=True, slots=True)
class Going:
    """A key that goes.

    Attributes:
        kind: What it is.
        key: The key.
        size: Its bytes.
        modified: When it was written, by the store's clock.
        repository: Its repository; None for a blob.
        digest: What it gives access to, or the blob itself.
        tag: Its tag, if it is of one.
        why: Why it goes.
    """

    kind: Kind
    key: str
    size: int
    modified: datetime
    repository: RepositoryName | None
    digest: Digest | None
    tag: Tag | None
    why: str


@dataclass(frozen=True, slots=True)
class Staying:
    """A revision or tag that stays by a rule or another root.

    Attributes:
        repository: Its repository.
        digest: The revision.
        why: What saved it.
    """

    repository: RepositoryName
    digest: Digest
    why: str


class Plan:
    """The plan of a run. It holds the survey, in a temporary file; closing it removes that.

    Attributes:
        survey: The survey.
        offline: Whether the plan lets go what is young, since nothing else is at work on the store.
        retention: The digest of the text of the retention rules, if they were read from one.
        is_spent: Whether a run beside other programs took the plan. Its survey is changed then: no other run may.
        numbers: How much would go; after a run beside other programs, how much went.
        unreadable: The manifests that can't be read, by repository; all of such a repository stays.
        notes: Remarks on the whole plan, such as a rule that can't tell what was pulled.
    """

    def __init__(self, survey: Survey, *, offline: bool = False, retention: Digest | None = None) -> None:
        self.survey: Survey = survey
        self.offline: bool = offline
        self.retention: Digest | None = retention
        self.is_spent: bool = False
        self.numbers: Numbers = self._numbers()
        self.unreadable: Mapping[RepositoryName, Digest] = self._unreadable()
        self.notes: Sequence[str] = [text for (text,) in survey.db.execute("SELECT text FROM note")]

    def _numbers(self) -> Numbers:
        rows = self.survey.db.execute(
            "SELECT kind, count(*), sum(size) FROM object JOIN going ON object = object.rowid GROUP BY kind"
        )
        return Numbers.of({Kind(kind): (keys, size) for kind, keys, size in rows})

    def _unreadable(self) -> Mapping[RepositoryName, Digest]:
        rows = self.survey.db.execute(
            "SELECT repository, min(digest) FROM object WHERE kind = ? AND digest IN (SELECT * FROM unreadable)"
            " GROUP BY repository ORDER BY repository",
            (Kind.REVISION,),
        )
        return {RepositoryName(name): Digest(digest) for name, digest in rows}

    def going(self, *kinds: Kind) -> Iterator[Going]:
        """Yield the keys that go, of some kinds or all. The kinds come in the order of deletion."""
        for kind in kinds or Kind:
            rows = self.survey.db.execute(
                "SELECT o.key, o.size, o.modified, o.repository, o.digest, o.tag, g.why FROM going g"
                " JOIN object o ON o.rowid = g.object WHERE o.kind = ? ORDER BY o.key",
                (kind,),
            )
            for key, size, modified, name, digest, tag, why in rows:
                yield Going(
                    kind,
                    key,
                    size,
                    moment(modified),
                    None if name is None else RepositoryName(name),
                    None if digest is None else Digest(digest),
                    None if tag is None else Tag(tag),
                    why,
                )

    def staying(self) -> Iterator[Staying]:
        """Yield the manifests that stay for a reason of their own, without those that they refer to."""
        rows = self.survey.db.execute(
            "SELECT repository, digest, why FROM mark WHERE via IS NULL ORDER BY repository, why, digest"
        )
        for name, digest, why in rows:
            yield Staying(RepositoryName(name), Digest(digest), why)

    def close(self) -> None:
        """Remove the temporary file."""
        self.survey.db.close()
