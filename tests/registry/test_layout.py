"""Names to keys and back, for the layout of today and that of the seed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revstore_async import CURRENT, SEED, Digest, Layout, RepositoryName, Tag
from revstore_async.driver import KEY_LIMIT, check_key
from revstore_async.errors import InvalidKey
from revstore_async.layout import (
    SEQUENCE_LIMIT,
    BlobData,
    CollectorClock,
    CollectorState,
    LayerLink,
    ReferencePack,
    ReferrerLink,
    Rescue,
    RevisionLink,
    RevisionMediaType,
    RunObject,
    ServerProbe,
    SignatureLink,
    StoredObject,
    TagClaim,
    TagCreated,
    TagCurrent,
    TagDeleted,
    TagIndex,
    TagReplaced,
    UploadData,
    UploadHashState,
    UploadSegment,
    UploadStartedAt,
    UploadState,
)

HEX = "0123456789abcdef" * 4
D = Digest(f"sha256:{HEX}")
E = Digest(f"sha512:{HEX * 2}")
TARSUM = Digest(f"tarsum.v1+sha256:{HEX}")
TARSUM_0 = Digest(f"tarsum+sha256:{HEX}")
NAME = RepositoryName("library/hello")
TAG = Tag("v1.0")
SINCE = datetime(2026, 11, 23, 1, 2, 3, 4, tzinfo=UTC)
HERE = "docker/registry/v2/repositories/library/hello"
UPLOADS = "docker/registry/revstore/uploads/library/hello/_uploads"
HISTORY = "docker/registry/revstore/history/library/hello/_tags/v1.0"
COLLECTOR = "docker/registry/revstore/gc"

CURRENT_KEYS: list[tuple[StoredObject, str]] = [
    (BlobData(D), f"docker/registry/v2/blobs/sha256/01/{HEX}/data"),
    (BlobData(E), f"docker/registry/v2/blobs/sha512/01/{HEX * 2}/data"),
    (BlobData(TARSUM), f"docker/registry/v2/blobs/tarsum/v1/sha256/01/{HEX}/data"),
    (RevisionLink(NAME, D), f"{HERE}/_manifests/revisions/sha256/{HEX}/link"),
    (RevisionMediaType(NAME, D), f"{HERE}/_manifests/revisions/sha256/{HEX}/mediatype"),
    (
        SignatureLink(NAME, D, E),
        f"{HERE}/_manifests/revisions/sha256/{HEX}/signatures/sha512/{HEX * 2}/link",
    ),
    (ReferrerLink(NAME, E, D), f"{HERE}/_manifests/revisions/sha512/{HEX * 2}/referrers/sha256/{HEX}/link"),
    (TagCurrent(NAME, TAG), f"{HERE}/_manifests/tags/v1.0/current/link"),
    (TagIndex(NAME, TAG, D), f"{HERE}/_manifests/tags/v1.0/index/sha256/{HEX}/link"),
    (LayerLink(NAME, D), f"{HERE}/_layers/sha256/{HEX}/link"),
    (LayerLink(NAME, TARSUM_0), f"{HERE}/_layers/tarsum/v0/sha256/{HEX}/link"),
    (UploadState(NAME, "an-id"), f"{UPLOADS}/an-id/state"),
    (UploadSegment(NAME, "an-id", "a-name"), f"{UPLOADS}/an-id/segments/a-name"),
    (UploadData(NAME, "an-id"), f"{HERE}/_uploads/an-id/data"),
    (UploadStartedAt(NAME, "an-id"), f"{HERE}/_uploads/an-id/startedat"),
    (UploadHashState(NAME, "an-id", "sha256", 17), f"{HERE}/_uploads/an-id/hashstates/sha256/17"),
    (TagCreated(NAME, TAG, 0, D, flat=True), f"{HISTORY}/999999999999/absent/replaced-by/sha256/{HEX}"),
    (TagClaim(NAME, TAG, 1001), f"{HISTORY}/999999998/998/0-claim"),
    (TagCreated(NAME, TAG, 0, D), f"{HISTORY}/999999999/999/absent/replaced-by/sha256/{HEX}"),
    (
        TagReplaced(NAME, TAG, 1, SINCE, D, E),
        f"{HISTORY}/999999999/998/20261123T010203.000004Z/sha256/{HEX}/replaced-by/sha512/{HEX * 2}",
    ),
    (
        TagDeleted(NAME, TAG, 12, SINCE, D),
        f"{HISTORY}/999999999/987/20261123T010203.000004Z/sha256/{HEX}/deleted",
    ),
    (CollectorState(), f"{COLLECTOR}/state"),
    (CollectorClock(), f"{COLLECTOR}/clock"),
    (RunObject("a-run", "00.keys"), f"{COLLECTOR}/runs/a-run/lists/00.keys"),
    (Rescue("a-run", HEX), f"{COLLECTOR}/runs/a-run/rescued/{HEX}"),
    (ReferencePack(1, D), f"{COLLECTOR}/refs/1/sha256/{HEX}"),
    (ServerProbe(), "docker/registry/revstore/probe"),
]
SEED_KEYS: list[tuple[StoredObject, str]] = [
    (RevisionLink(NAME, D), f"{HERE}/manifests/revisions/sha256/{HEX}/link"),
    (SignatureLink(NAME, D, D), f"{HERE}/manifests/revisions/sha256/{HEX}/signatures/sha256/{HEX}/link"),
    (TagCurrent(NAME, TAG), f"{HERE}/manifests/tags/v1.0/current/link"),
    (TagIndex(NAME, TAG, D), f"{HERE}/manifests/tags/v1.0/index/sha256/{HEX}/link"),
    (LayerLink(NAME, TARSUM), f"{HERE}/layers/tarsum/v1/sha256/{HEX}/link"),
    (LayerLink(NAME, TARSUM_0), f"{HERE}/layers/tarsum/v0/sha256/{HEX}/link"),
    (LayerLink(NAME, D), f"{HERE}/layers/sha256/{HEX}/link"),
    (UploadData(NAME, "an-id"), f"{HERE}/uploads/an-id/data"),
    (BlobData(TARSUM), f"docker/registry/v2/blobs/tarsum/v1/sha256/01/{HEX}/data"),
]


@pytest.mark.parametrize(
    ("layout", "item", "key"),
    [(CURRENT, *each) for each in CURRENT_KEYS] + [(SEED, *each) for each in SEED_KEYS],
    ids=lambda value: type(value).__name__ if not isinstance(value, str | Layout) else None,
)
def test_every_key_both_ways(layout: Layout, item: StoredObject, key: str) -> None:
    assert layout.key(item) == key
    assert layout.parse(key) == item


PART = st.from_regex(r"[a-z0-9]{1,8}(?:[._-][a-z0-9]{1,8})?", fullmatch=True)
WORDS = st.sampled_from(
    ["manifests", "layers", "tags", "revisions", "uploads", "index", "link", "current", "sha256"]
)
NAMES = st.lists(PART | WORDS, min_size=1, max_size=6).map("/".join).map(RepositoryName)
TAGS = (st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True) | WORDS).map(Tag)
DIGESTS = st.builds(
    Digest.of, st.binary(max_size=4), st.sampled_from(["sha256", "sha384", "sha512"])
) | st.sampled_from([TARSUM, TARSUM_0])
TIMES = st.integers(0, 4 * 10**15).map(
    lambda micros: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
)
SEQUENCES = st.integers(0, SEQUENCE_LIMIT - 1)
IDS = st.uuids().map(str)
OBJECTS = st.one_of(
    st.builds(BlobData, DIGESTS),
    st.builds(RevisionLink, NAMES, DIGESTS),
    st.builds(RevisionMediaType, NAMES, DIGESTS),
    st.builds(SignatureLink, NAMES, DIGESTS, DIGESTS),
    st.builds(ReferrerLink, NAMES, DIGESTS, DIGESTS),
    st.builds(TagCurrent, NAMES, TAGS),
    st.builds(TagIndex, NAMES, TAGS, DIGESTS),
    st.builds(TagCreated, NAMES, TAGS, SEQUENCES, DIGESTS),
    st.builds(TagReplaced, NAMES, TAGS, SEQUENCES, TIMES, DIGESTS, DIGESTS),
    st.builds(TagDeleted, NAMES, TAGS, SEQUENCES, TIMES, DIGESTS),
    st.builds(LayerLink, NAMES, DIGESTS),
    st.builds(UploadState, NAMES, IDS),
    st.builds(UploadSegment, NAMES, IDS, st.from_regex(r"[0-9a-f]{16}", fullmatch=True)),
    st.builds(UploadData, NAMES, IDS),
    st.builds(UploadStartedAt, NAMES, IDS),
    st.builds(UploadHashState, NAMES, IDS, st.sampled_from(["sha256", "sha512"]), st.integers(0, 1 << 50)),
)


@given(OBJECTS, st.sampled_from([CURRENT, SEED, Layout(root="/elsewhere")]))
def test_any_object_in_any_layout(item: StoredObject, layout: Layout) -> None:
    """Repositories named like the folders included, which the seed's layout does not keep apart by a mark."""
    key = layout.key(item)
    assert layout.parse(check_key(key)) == item
    assert key.startswith(layout.root)


@given(st.text(max_size=80) | st.text("abmnlinks/_.0123456789", max_size=80))
def test_other_keys_name_no_object(key: str) -> None:
    assert CURRENT.parse(key) is None


@pytest.mark.parametrize(
    "key",
    [
        "",
        f"{HERE}/_manifests/revisions/sha256/{HEX}/link/",
        f"{HERE}/_manifests/revisions/sha256/{HEX}/Link",
        f"{HERE}/_manifests/revisions/sha256/{HEX[:-1]}/link",
        f"{HERE}/_manifests/revisions/md5/{HEX}/link",
        f"{HERE}/_manifests/tags/.hidden/current/link",
        f"{HERE}/../other/_manifests/tags/v1/current/link",
        f"docker/registry/v2/blobs/sha256/ff/{HEX}/data",
        f"docker/registry/v2/blobs/tarsum/v1/sha256/{HEX}/data",
        f"{HISTORY}/1/20261123T010203.000004Z/sha256/{HEX}/deleted",
        f"{HISTORY}/999999999998/20261399T010203.000004Z/sha256/{HEX}/deleted",
        f"{HISTORY}/999999999998/0-claim",
        f"{HISTORY}/999999999998/pending",
    ],
)
def test_a_text_that_is_nearly_a_key_names_no_object(key: str) -> None:
    assert CURRENT.parse(key) is None


def test_the_longest_names_fit() -> None:
    name = RepositoryName("a" * 255)
    tag = Tag("t" * 128)
    for item in (TagReplaced(name, tag, 0, SINCE, E, E), SignatureLink(name, E, E), TagIndex(name, tag, E)):
        assert len(check_key(CURRENT.key(item))) < KEY_LIMIT


def test_a_root_is_a_key() -> None:
    assert Layout(root="/docker/registry") == CURRENT
    for root in ("", "/", "a//b", "../a", "a/"):
        with pytest.raises(InvalidKey):
            Layout(root=root)


def test_the_latest_change_is_listed_first() -> None:
    keys = [CURRENT.key(TagCreated(NAME, TAG, number, D)) for number in (0, 1, 9, 10, 99, 100, 12345)]
    assert sorted(keys, reverse=True) == keys
