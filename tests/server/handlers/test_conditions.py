"""The conditions of a request, by RFC 9110, section 13."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from revstore_async.errors import InvalidHeader, PreconditionFailed
from revstore_async.server.handlers.conditions import Conditions

ETAGS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"'), max_size=20)
SPACE = st.text(" \t", max_size=3)


def conditions(*headers: tuple[str, str], reading: bool = False) -> Conditions:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return Conditions.of(Headers(raw=raw), reading=reading)


def holds(read: Conditions, etag: str | None) -> bool:
    try:
        read.check(etag)
    except PreconditionFailed:
        return False
    return True


def test_a_request_without_conditions_has_none():
    read = conditions(("accept", "*/*"))
    assert not read
    assert holds(read, None)
    assert holds(read, "a")
    assert not read.unchanged("a")


@pytest.mark.parametrize(
    ("header", "value", "etag", "expected"),
    [
        ("if-match", '"a"', "a", True),
        ("if-match", '"a"', "b", False),
        ("if-match", '"a"', None, False),
        ("if-match", '"b", "a"', "a", True),
        ("if-match", 'W/"a"', "a", False),  # the strong comparison
        ("if-match", "*", "a", True),
        ("if-match", "*", None, False),
        ("if-none-match", '"a"', "a", False),
        ("if-none-match", 'W/"a"', "a", False),  # the weak comparison
        ("if-none-match", '"a"', "b", True),
        ("if-none-match", '"a"', None, True),
        ("if-none-match", "*", "a", False),
        ("if-none-match", "*", None, True),
    ],
)
def test_a_condition_holds_as_the_rfc_says(header: str, value: str, etag: str | None, expected: bool):
    assert holds(conditions((header, value)), etag) is expected


def test_both_conditions_must_hold():
    both = conditions(("if-match", '"a", "b"'), ("if-none-match", '"b"'))
    assert holds(both, "a")
    assert not holds(both, "b")
    assert not holds(both, "c")


def test_several_headers_of_one_name_are_one_list():
    read = conditions(("if-match", '"a"'), ("if-match", '"b"'))
    assert holds(read, "a")
    assert holds(read, "b")


def test_a_failed_condition_says_what_there_is():
    with pytest.raises(PreconditionFailed) as failed:
        conditions(("if-match", '"a"')).check("b")
    assert failed.value.actual == "b"
    assert 'If-Match: "a"' in str(failed.value)


@pytest.mark.parametrize(
    ("value", "known"),
    [
        ("sha256:0123", {"sha256:0123"}),
        ("W/abc", {"abc"}),
        (' a, "b" ,c;d', {"a", "b", "c;d"}),
        ("'a'", {"'a'"}),
    ],
)
def test_a_read_takes_entity_tags_without_quotes_and_a_change_does_not(value: str, known: set[str]):
    header = ("if-none-match", value)
    read = conditions(header, reading=True)
    assert {etag for etag in known | {"other", "*", value[1:]} if read.unchanged(etag)} == known
    with pytest.raises(InvalidHeader):
        conditions(header)
    with pytest.raises(InvalidHeader):
        conditions(("if-match", value), reading=True)


@pytest.mark.parametrize("value", ["", ",", '"a', 'a"', '"a" "b"', "a b", "**", "*, a", '"a"; q=1', "a\x00"])
def test_a_read_refuses_what_is_no_entity_tag_at_all(value: str):
    with pytest.raises(InvalidHeader):
        conditions(("if-none-match", value), reading=True)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        ",",
        "a",
        "sha256:0123",
        '"a',
        'a"',
        "'a'",
        'w/"a"',
        'W/ "a"',
        '"a" "b"',
        '"a""b"',
        '"a", *',
        "*, *",
        "**",
        '"a b"',
        '"a"; q=1',
        '"a\x00"',
        '"a\\"b"',
        '"a",' * 3000,
    ],
)
@pytest.mark.parametrize("header", ["if-match", "if-none-match"])
def test_what_is_no_list_of_entity_tags_is_refused(header: str, value: str):
    with pytest.raises(InvalidHeader):
        conditions((header, value))


@given(st.lists(st.tuples(st.booleans(), ETAGS, SPACE, SPACE), min_size=1, max_size=8), st.booleans())
def test_any_list_of_entity_tags_is_read(tags: list[tuple[bool, str, str, str]], doubled: bool):
    comma = ",," if doubled else ","
    text = comma.join(f'{before}{"W/" if weak else ""}"{tag}"{after}' for weak, tag, before, after in tags)
    read = conditions(("if-match", text)).match
    assert read is not None
    assert read.strong == {tag for weak, tag, _, _ in tags if not weak}
    assert read.weak == {tag for weak, tag, _, _ in tags if weak}


@given(st.text(st.characters(max_codepoint=0xFF), max_size=60))
def test_any_text_is_read_or_refused(text: str):
    try:
        read = conditions(("if-none-match", text))
    except InvalidHeader:
        return
    assert read.none_match is not None
    assert read.none_match.any or read.none_match.strong or read.none_match.weak
