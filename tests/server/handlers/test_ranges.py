"""The headers that speak of ranges: what is a range, what is none, what can't be served."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revstore_async.errors import InvalidHeader
from revstore_async.server.handlers.ranges import NOTHING, Span, Tail, parse_chunk, parse_range


@pytest.mark.parametrize(
    ("header", "within_ten"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-5", (2, 6)),
        ("bytes=2-", (2, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=9-9", (9, 10)),
        ("bytes=5-100", (5, 10)),
        ("bytes=-100", (0, 10)),
        ("Bytes = 2-5", (2, 6)),
        ("bytes=, 2-5 ,", (2, 6)),
        ("bytes=002-005", (2, 6)),
        ("bytes=0-" + "9" * 5000, (0, 10)),
        ("bytes=-" + "9" * 5000, (0, 10)),
    ],
)
def test_one_range_is_served_as_far_as_there_is_content(header: str, within_ten: tuple[int, int]) -> None:
    assert parse_range(header).within(10) == within_ten


@pytest.mark.parametrize(
    "header",
    [
        "bytes=10-",
        "bytes=10-20",
        "bytes=-0",
        "bytes=" + "9" * 5000 + "-",
        "bytes=5-2",
        "bytes=-",
        "bytes=",
        "bytes",
        "bytes=a-b",
        "bytes=1",
        "bytes=--1",
        "bytes=1-2-3",
        "bytes=+1-2",
        "bytes=1 - 2",
        "bytes=\u0661-\u0662",
        "bytes=0x1-0x2",
        "bytes=0-1, 5-2",
        "bytes=0-1;2-3",
        "bytes=,",
    ],
)
def test_a_range_that_no_byte_is_in_or_that_is_malformed_is_refused(header: str) -> None:
    assert parse_range(header).within(10) is None


@pytest.mark.parametrize(
    "header", ["", "items=0-1", "0-1", "=0-1", "bytes=0-1, 3-4", "bytes 0-1/10", "bytes=" + "0-1," * 5000]
)
def test_another_unit_and_several_ranges_are_ignored(header: str) -> None:
    assert parse_range(header) is None


@pytest.mark.parametrize("wanted", [Span(0, None), Span(0, 1), Tail(1), NOTHING])
def test_no_range_of_nothing_can_be_served(wanted: Span | Tail) -> None:
    assert wanted.within(0) is None


@given(content=st.binary(max_size=12), first=st.integers(0, 14), last=st.none() | st.integers(0, 14))
def test_a_range_is_what_a_slice_is(content: bytes, first: int, last: int | None) -> None:
    wanted = parse_range(f"bytes={first}-{'' if last is None else last}")
    expected = content[first : None if last is None else last + 1]
    found = wanted.within(len(content))
    assert (content[slice(*found)] if found else b"") == expected


@given(st.text(max_size=30))
def test_any_header_is_a_range_or_none(text: str) -> None:
    for header in (text, f"bytes={text}"):
        wanted = parse_range(header)
        found = wanted.within(10) if wanted else None
        assert found is None or 0 <= found[0] < found[1] <= 10


@pytest.mark.parametrize(
    ("header", "offset", "length"),
    [("0-99", 0, 100), ("100-100", 100, 1), (" 5-9 ", 5, 5), ("bytes 5-9/*", 5, 5), ("bytes 5-9/10", 5, 5)],
)
def test_a_chunk_has_an_offset_and_a_length(header: str, offset: int, length: int) -> None:
    assert parse_chunk(header) == (offset, length)


@pytest.mark.parametrize("header", ["", "-", "0-", "-5", "9-5", "a-b", "0-99, 100-199", "bytes=0-99", "0--1"])
def test_a_chunk_that_is_none_is_refused(header: str) -> None:
    with pytest.raises(InvalidHeader) as invalid:
        parse_chunk(header)
    assert invalid.value.header == "Content-Range"


@given(st.text(max_size=30))
def test_any_header_is_a_chunk_or_refused(text: str) -> None:
    try:
        offset, length = parse_chunk(text)
    except InvalidHeader:
        return
    assert offset >= 0
    assert length > 0
