"""The work of marking grows with the store, and not with its square, however the store is shaped."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from revstore_async import CURRENT, Digest
from revstore_async.collector.marking import Rules, mark
from revstore_async.collector.references import References
from revstore_async.collector.retention import Retention
from revstore_async.collector.survey import Survey
from revstore_async.driver import FileInfo
from revstore_async.formats.names import RepositoryName, Tag
from revstore_async.layout import (
    BlobData,
    LayerLink,
    RevisionLink,
    StoredObject,
    TagClaim,
    TagCurrent,
    TagDeleted,
    TagIndex,
    TagReplaced,
)

NAME, TAG, NOW = RepositoryName("a"), Tag("moved"), datetime(2026, 2, 1, tzinfo=UTC)
RULES = Retention.parse(
    'history = "1d"\n[[rule]]\ntags = "old*"\nexpire = true\n[[rule]]\nuntagged = true\nkeep = { younger = "1d" }\n'
)

Shape = Callable[[int], Iterator[tuple[StoredObject, References | None]]]


def manifest(number: int) -> Digest:
    return Digest.of(b"manifest %d" % number)


def references(*digests: Digest, subject: Digest | None = None) -> References:
    return References(frozenset(digests), subject, 1)


def tags(count: int, prefix: str = "old") -> Iterator[tuple[StoredObject, References | None]]:
    for number in range(count):
        digest, layer, tag = manifest(number), Digest.of(b"layer %d" % number), Tag(f"{prefix}{number}")
        yield RevisionLink(NAME, digest), references(layer)
        for each in (TagCurrent(NAME, tag), TagIndex(NAME, tag, digest), LayerLink(NAME, layer)):
            yield each, None
        yield BlobData(layer), None
        yield TagClaim(NAME, tag, 0), None


def kept_tags(count: int) -> Iterator[tuple[StoredObject, References | None]]:
    return tags(count, "v")


def changes(count: int) -> Iterator[tuple[StoredObject, References | None]]:
    yield RevisionLink(NAME, manifest(0)), references()
    yield TagCurrent(NAME, TAG), None
    for number in range(count):
        yield TagClaim(NAME, TAG, number), None
        yield TagReplaced(NAME, TAG, number, NOW, manifest(number), manifest(number + 1)), None


def deleted_tags(count: int) -> Iterator[tuple[StoredObject, References | None]]:
    for number in range(count):
        yield TagDeleted(NAME, Tag(f"old{number}"), 0, NOW, manifest(number)), None
        yield RevisionLink(NAME, manifest(number)), references()


def referrers(count: int) -> Iterator[tuple[StoredObject, References | None]]:
    yield TagCurrent(NAME, TAG), None
    for number in range(count):
        subject = manifest(0) if number else None
        found = references(*[subject] if subject else [], subject=subject)
        yield RevisionLink(NAME, manifest(number)), found


def repositories(count: int) -> Iterator[tuple[StoredObject, References | None]]:
    for number in range(count):
        yield RevisionLink(RepositoryName(f"a/{number}"), manifest(number)), references(Digest.of(b"shared"))
        yield LayerLink(RepositoryName(f"a/{number}"), Digest.of(b"shared")), None


def steps(shape: Shape, count: int) -> int:
    """Return the steps of SQLite's machine that marking takes, in hundreds."""
    done = 0

    def step() -> None:
        nonlocal done
        done += 1

    with Survey([CURRENT]) as survey:
        found = list(shape(count))
        then = NOW - timedelta(days=9)
        survey.add(FileInfo(CURRENT.key(each), 1, then, str(at)) for at, (each, _) in enumerate(found))
        survey.listed()
        for tags in survey.unread_tags():
            survey.read_tags([(tag, manifest(at)) for at, tag in enumerate(tags)])
        survey.read_manifests([(each.digest, read) for each, read in found if isinstance(each, RevisionLink)])
        survey.db.set_progress_handler(step, 100)
        mark(survey, Rules(RULES, lambda *_: False, NOW, timedelta(0)))
        survey.db.set_progress_handler(None, 0)
        assert survey.db.execute("SELECT count(*) FROM going").fetchone()[0] or shape in (
            kept_tags,
            referrers,
        )
    return done


@pytest.mark.parametrize("shape", [tags, kept_tags, changes, deleted_tags, referrers, repositories])
def test_four_times_the_keys_take_four_times_the_work(shape: Shape) -> None:
    assert steps(shape, 1200) < 6 * steps(shape, 300)
