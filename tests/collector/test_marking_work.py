"""The work of marking grows with the keys, whatever tag or repository they are of."""

from datetime import UTC, datetime, timedelta

import pytest

from revstore_async import CURRENT, Digest, RepositoryName, Tag
from revstore_async.collector import Retention
from revstore_async.collector.marking import Rules, mark
from revstore_async.collector.references import References, read_references
from revstore_async.collector.survey import Survey
from revstore_async.driver import FileInfo
from revstore_async.layout import (
    RevisionLink,
    StoredObject,
    TagClaim,
    TagCurrent,
    TagDeleted,
    TagReplaced,
)
from revstore_async.policy import NO_TAGS
from tests.parts.documents import image

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
NAME = RepositoryName("library/hello")
DIGEST = Digest.of(image(b"{}"))


def references(content: bytes) -> References:
    found = read_references(content)
    assert found is not None
    return found


def steps(objects: list[StoredObject], documents: list[bytes]) -> int:
    """The steps of the database, in hundreds, for marks by rules."""
    with Survey([CURRENT]) as survey:
        survey.add(FileInfo(CURRENT.key(each), 71, BEGIN, f'"{at}"') for at, each in enumerate(objects))
        survey.listed()
        for document in documents:
            survey.read_manifest(Digest.of(document), references(document))
        rules = Retention.parse('[[rule]]\ntags = "*"\nkeep = { newest = 5 }\n')
        counted = 0

        def count() -> int:
            nonlocal counted
            counted += 1
            return 0

        survey.db.set_progress_handler(count, 100)
        mark(survey, Rules(rules, NO_TAGS, BEGIN + timedelta(days=100), timedelta(0)))
        return counted


def changes(number: int) -> list[StoredObject]:
    tag = Tag("moving")
    records: list[StoredObject] = []
    for at in range(number):
        records += [TagReplaced(NAME, tag, at, BEGIN, DIGEST, DIGEST), TagClaim(NAME, tag, at)]
    return records


def tags(number: int) -> list[StoredObject]:
    return [
        *(TagCurrent(NAME, Tag(f"v{at}")) for at in range(number)),
        *(TagDeleted(NAME, Tag(f"gone-{at}"), 0, BEGIN, DIGEST) for at in range(number)),
    ]


def repositories(number: int) -> list[StoredObject]:
    names = [RepositoryName(f"app-{at}") for at in range(number)]
    return [each for name in names for each in (TagCurrent(name, Tag("latest")), RevisionLink(name, DIGEST))]


@pytest.mark.parametrize("objects", [changes, tags, repositories])
def test_four_times_the_keys_take_about_four_times_the_work(objects: object) -> None:
    assert callable(objects)
    few, many = steps(objects(250), [image(b"{}")]), steps(objects(1000), [image(b"{}")])
    assert few > 10
    assert many < 6 * few
