"""JSON that two readers could read differently is refused, with the place; all other JSON is read."""

import json
import math
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revstore_async.errors import DuplicateMember, InvalidJSON, NotUTF8, TooManyValues
from revstore_async.formats.strictjson import DEPTH_LIMIT, VALUE_LIMIT, Member, loads, loads_object, members
from tests.parts.payloads import VALUES, payloads

LARGEST = int(sys.float_info.max)


@pytest.mark.parametrize(
    ("content", "offset"),
    [
        (b"", 0),
        (b" ", 1),
        (b"\xef\xbb\xbf{}", 0),
        (b"{} x", 3),
        (b"{}{}", 2),
        (b"1 2", 2),
        (b'["\xc3\xa9", x]', 7),
        (b"[1,]", 3),
        (b'{"a":1,}', 7),
        (b"{'a':1}", 1),
        (b"[01]", 2),
        (b"[+1]", 1),
        (b"[1.]", 2),
        (b"[.5]", 1),
        (b"[0x1]", 2),
        (b'["\t"]', 2),
        (b'["\\x"]', 2),
        (b'["a', 1),
        (b'["a\\', 1),
        (b'["a' + b'\\"' * 100_000, 1),
        (b'["' + b"[" * 100_000, 1),
        (b"[" * 200 + b'"' + b"[" * 200, DEPTH_LIMIT),
        (b"[True]", 1),
        (b"[1]\x0c", 3),
        (b"\xc2\xa0[1]", 0),
        (b"[NaN]", 1),
        (b"[Infinity]", 1),
        (b"[-Infinity]", 1),
        (b'["Infinity", -Infinity]', 13),
        (b"[1e309]", 1),
        (b'["1e999", 1, -1e999]', 13),
        (b"[1e999x]", 1),
        (b"1" + b"0" * 309, 0),
        (b"-" + b"9" * 5000, 0),
        (b"[1," + b"9" * 100_000 + b"]", 3),
        (b"[" * (DEPTH_LIMIT + 1), DEPTH_LIMIT),
        (b"[" * 1_000_000, DEPTH_LIMIT),
        (b'{"a":' * 1_000_000, 5 * DEPTH_LIMIT),
        (b'[{"a":' * 100_000 + b"1", 3 * DEPTH_LIMIT),
        (b'["\\ud800"]', 2),
        (b'["\\udfff"]', 2),
        (b'["\\uD83D\\u0041"]', 2),
        (b'["\\ud83d\\ud83d\\ude00"]', 2),
        (b'["\\\\\\ud83dx"]', 4),
        (b'["\\ud83d\\n\\ude00"]', 2),
        (b'["' + b"\\n" * 100_000 + b'\\ud83d"]', 2 + 200_000),
        (b'{"\\udc00":1}', 2),
    ],
)
def test_refused_with_the_place(content: bytes, offset: int) -> None:
    with pytest.raises(InvalidJSON) as caught:
        loads(content)
    assert caught.value.offset == offset
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("content", "offset"),
    [(b"\xff", 0), (b'{"a":"\xc3"}', 6), (b'["\xed\xa0\x80"]', 2), (b'["\xc0\xaf"]', 2)],
)
def test_bytes_that_are_not_utf_8(content: bytes, offset: int) -> None:
    with pytest.raises(NotUTF8) as caught:
        loads(content)
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    ("content", "name", "offset", "depth"),
    [
        (b'{"a":1,"a":1}', "a", 7, 1),
        (b'{"a":1,"\\u0061":1}', "a", 7, 1),
        (b'{"\xc3\xa9":1,"\\u00e9":1}', "é", 8, 1),
        (b'[{"b":1},{"b":[],"c":{},"b":2}]', "b", 24, 2),
        (b'{"x":[{"a":{"q":1}},{"a":{"q":1,"q":2}}]}', "q", 32, 4),
        (b'{"":1,"":1}', "", 6, 1),
        (b'{"a":"a","b":["a","a"],"a":1}', "a", 23, 1),
        (b'{"a":1,"a":2,"b":{"c":1,"c":2}}', "a", 7, 1),
    ],
)
def test_duplicate_members(content: bytes, name: str, offset: int, depth: int) -> None:
    with pytest.raises(DuplicateMember) as caught:
        loads(content)
    assert (caught.value.name, caught.value.offset, caught.value.depth) == (name, offset, depth)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b' {"a" : [1, -0, 2.5e3] }\r\n', {"a": [1, 0, 2500.0]}),
        (b'[{"a":1},{"a":2}]', [{"a": 1}, {"a": 2}]),
        (b'{"a":{"a":1},"b":"a"}', {"a": {"a": 1}, "b": "a"}),
        (b'["\\ud83d\\ude00", "\\\\ud800", "\\\\\\ud83d\\ude00"]', ["😀", "\\ud800", "\\😀"]),
        (b'["NaN", "1e999"]', ["NaN", "1e999"]),
        (b'["[[", "}}", "\\"{"]', ["[[", "}}", '"{']),
        (b"1e308", 1e308),
        (b"1e-999", 0.0),
        (b"9" * 308, int("9" * 308)),
        (str(LARGEST).encode(), LARGEST),
        (b"null", None),
        (b'"\\u0000"', "\0"),
    ],
)
def test_accepted(content: bytes, value: object) -> None:
    assert loads(content) == value


def test_nesting_up_to_the_bound() -> None:
    deepest = b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT
    assert loads(deepest)
    assert loads(b"[" + b"[]," * 1000 + b"1]", max_depth=2)
    with pytest.raises(InvalidJSON):
        loads(b"[" + deepest + b"]")
    with pytest.raises(InvalidJSON):
        loads(b"[[[]]]", max_depth=2)


@pytest.mark.parametrize(
    ("content", "offset"),
    [
        (b"[1,2,3,4]", 6),
        (b'{"a":1,"b":{"c":1,"d":2}}', 17),
        (b"[[],[],1]", 4),
        (b'["[,,,,{",{"a":1,"{,":2}]', 16),
        (b",,,,,", 3),
        (b'[1,2,3,4,"', 6),
    ],
)
def test_more_values_than_a_bound(content: bytes, offset: int) -> None:
    with pytest.raises(TooManyValues) as caught:
        loads(content, max_values=4)
    assert (caught.value.offset, caught.value.limit) == (offset, 4)


def test_values_up_to_the_bound() -> None:
    assert loads(b"[1,2,3]", max_values=4) == [1, 2, 3]
    assert loads(b'{"a":{"b":"[[[,,,,"},"c":2}', max_values=4)
    assert loads(b"[[]]", max_values=3) == [[]]
    assert loads(b"[" + b"1," * (VALUE_LIMIT - 2) + b"1]")
    with pytest.raises(TooManyValues):
        loads(b"[" + b"1," * (VALUE_LIMIT - 1) + b"1]")


def test_the_largest_double_and_the_next_integer_that_rounds_to_infinity() -> None:
    limit = LARGEST + 2 ** (1023 - 53)  # halfway to the next power of two: it rounds away
    assert loads(str(limit - 1).encode()) == limit - 1
    assert math.isfinite(float(str(limit - 1)))
    with pytest.raises(InvalidJSON):
        loads(str(limit).encode())


@pytest.mark.parametrize("content", [b"[]", b"null", b'"{}"', b"1"])
def test_an_object_is_demanded(content: bytes) -> None:
    with pytest.raises(InvalidJSON):
        loads_object(content)


@settings(deadline=None)
@given(VALUES, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_whatever_json_writes_is_read_back(value: Any, ascii_only: bool, indent: int | str | None) -> None:
    assert loads(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()) == value


@settings(deadline=None)
@given(st.binary(max_size=40) | st.text('{}[]",:\\u019aeE.-dD8 \n', max_size=30).map(str.encode))
def test_anything_else_is_refused_and_nothing_crashes(content: bytes) -> None:
    try:
        value, offset = loads(content), 0
    except InvalidJSON as error:
        value, offset = None, error.offset
    assert 0 <= offset <= len(content)
    if value is not None:
        assert value == json.loads(content)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


@settings(deadline=None)
@given(payloads())
def test_members_stand_where_it_says(payload: bytes) -> None:
    content, found = json.loads(payload), members(payload)
    assert [each.name for each in found] == list(content)
    for each in found:
        assert loads_object(b"{" + payload[each.start : each.end] + b"}") == {each.name: content[each.name]}
        assert payload[each.start] == payload[each.start :].lstrip()[0]


def test_members_of_nested_objects_are_not_listed() -> None:
    assert members(b' { "a" : [1,{"q":2}] ,"\\u0062":{} }') == [Member("a", 3, 20), Member("b", 22, 33)]
    assert members(b"{}") == []
