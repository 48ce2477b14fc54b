"""The form of packs: every fact comes back; anything else is refused, in bounded memory."""

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revstore_async import Digest
from revstore_async.collector.pack_format import (
    FACTS,
    PACK_LIMIT,
    Fact,
    LinkFact,
    ManifestFact,
    PackWriter,
    read_pack,
    version_of_link,
)
from revstore_async.collector.references import References

DIGESTS = st.builds(
    Digest.of, st.integers(0, 20).map(lambda number: b"%d" % number), st.sampled_from(["sha256", "sha512"])
)


@st.composite
def manifest_facts(draw: st.DrawFn) -> ManifestFact:
    digests: frozenset[Digest] = draw(st.frozensets(DIGESTS, max_size=8))
    subject = draw(st.sampled_from([None, *sorted(digests)]))
    return ManifestFact(draw(DIGESTS), References(digests, subject, draw(st.integers(0, 1 << 22))))


FACTS_OF_ALL_KINDS = st.one_of(
    manifest_facts(),
    st.builds(LinkFact, st.text(max_size=3).map(lambda key: version_of_link(key, "")), DIGESTS),
)


def packed(*facts: Fact) -> bytes:
    writer = PackWriter()
    for fact in facts:
        writer.add(fact)
    return writer.finish()


@given(st.lists(FACTS_OF_ALL_KINDS, max_size=20))
def test_every_fact_comes_back(facts: list[Fact]) -> None:
    assert list(read_pack(packed(*facts))) == facts


@given(st.lists(FACTS_OF_ALL_KINDS, min_size=1, max_size=3), st.data())
def test_a_pack_that_ends_too_soon_is_refused(facts: list[Fact], data: st.DataObject) -> None:
    whole = packed(*facts)
    with pytest.raises(ValueError, match=r"."):
        list(read_pack(whole[: data.draw(st.integers(0, len(whole) - 1))]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=4) | DIGESTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=8,
)


@given(JSON)
def test_any_line_is_read_or_refused(line: object) -> None:
    try:
        assert len(list(read_pack(zlib.compress(json.dumps(line).encode() + b"\n")))) == 1
    except ValueError as error:
        assert str(error)  # noqa: PT017 (either is right)


def test_a_pack_of_endless_text_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        list(read_pack(zlib.compress(b'"' + b"x" * (PACK_LIMIT + 1))))


def test_a_pack_is_full_in_bounded_memory() -> None:
    writer = PackWriter()
    children = [Digest.of(b"%d" % number) for number in range(50_000)]
    for number in range(2):
        assert not writer.is_full
        writer.add(ManifestFact(Digest.of(b"%d" % number), References(frozenset(children), None, 1)))
    assert writer.is_full
    assert len(list(read_pack(writer.finish()))) == 2
    links = PackWriter()
    while not links.is_full:
        links.add(LinkFact(version_of_link("key", str(links.facts)), children[0]))
    assert links.facts == FACTS


def test_versions_of_links_differ_by_key_and_etag() -> None:
    versions = {version_of_link(key, etag) for key in ("a", "b") for etag in ("1", "2")}
    assert len(versions) == 4
