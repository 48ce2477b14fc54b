"""Positions in the order of keys: the texts that servers begin a listing after."""

from hypothesis import example, given
from hypothesis import strategies as st

from revstore_async.testing.strategies import keys
from revstore_drivers.buckets.key_order import levels, position_after, start_of

TEXTS = st.one_of(
    st.text(max_size=6), st.text("ab/.,-0~\x00", max_size=8), keys(), keys().map(lambda key: key + "/")
)


@given(TEXTS, st.lists(keys(), max_size=8))
@example("a/..", ["a/..x", "a/.x", "a/...", "a/a"])
@example("a//", ["a/-", "a/.x", "a/a"])
@example("a/./b", ["a/.-", "a/..x", "a/.0"])
@example("a\x00", ["a", "a-", "a/b"])
def test_a_place_parts_keys_as_its_text_does(text: str, some: list[str]):
    found = position_after(text)
    parts = found.split("/")
    assert "." not in parts
    assert ".." not in parts
    assert "" not in parts[:-1] or found == ""
    for key in some:
        assert (key > text) == (key > found), (key, found)


@given(st.sampled_from(["", "a/", "a/b/"]), TEXTS, st.lists(keys(), max_size=8), st.booleans())
def test_levels_are_all_that_follows(begin: str, text: str, some: list[str], folders: bool):
    start = start_of(begin, text, folders=folders)
    if not start or "/" not in start[len(begin) :]:
        return
    below = sorted(key for key in some if key.startswith(begin))
    found = []
    for level in levels(begin, start, folders=folders):
        found += [key for key in below if key == level.between]
        found += [key for key in below if key.startswith(level.begin) and key > level.start]
    assert found == [key for key in below if key > start]
