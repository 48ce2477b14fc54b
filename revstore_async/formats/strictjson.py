"""Strict JSON: a text that passes means the same to every reader.

RFC 8259 leaves much to the reader: which of two members of one name counts, the range of numbers, the meaning
of a lone surrogate. Two programs that choose differently see two manifests in one digest. `loads`
therefore refuses

- bytes that are not UTF-8, and a byte order mark;
- an object with two members of one name, compared after unescaping, at any depth;
- arrays and objects nested deeper than a bound;
- more values than a bound: each takes memory, many times its own bytes;
- a number whose nearest IEEE 754 double is infinite, written as integer or not: Go, and most others, can't
  hold it. Integers below that (up to 309 digits) come back exact. `NaN` and `Infinity` are not JSON;
- an escaped surrogate without its other half: no UTF-8 text can hold it;
- anything after the value, and whatever the standard library refuses.

The work is linear in the bytes. Both bounds are checked before the first value is built. Each pattern here matches
at every byte where it is tried: a pattern that failed late would be tried again from the next byte.

Sources: RFC 8259; RFC 7493 (I-JSON), section 2; Go's encoding/json.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from ..errors import DuplicateMember, InvalidJSON, NotUTF8, TooManyValues

DEPTH_LIMIT: Final = 128
"""The default depth of arrays and objects inside one another. Manifests need fewer than ten."""

VALUE_LIMIT: Final = 1 << 17
"""The default number of values in a text: 4,096 descriptors of 32 values each, with annotations, fill 4 MiB.

The separators are counted before the values are read, so an empty array or object counts as two.
"""

JSONValue: TypeAlias = "dict[str, JSONValue] | list[JSONValue] | str | int | float | bool | None"
JSONObject: TypeAlias = dict[str, JSONValue]

_BOM = b"\xef\xbb\xbf"
# The closing quote may be absent: then the string takes all that follows, and the decoder refuses it.
_STRING = rb'"(?:[^"\\]++|\\.)*+"?'
_BRACKETS = re.compile(rb'(?:[^\[\]{}"]++|' + _STRING + rb")*+([\[\]{}]?)", re.DOTALL)
_PUNCTUATION = re.compile(rb'(?:[^\[\]{},"]++|' + _STRING + rb")*+([\[\]{},]?)", re.DOTALL)
_TOKENS = re.compile(_STRING + rb'|[\[\]{},:]|[^\[\]{},:"\s]++', re.DOTALL)
# An escape is taken whole, so that `\\ud800` (a backslash, then text) is never mistaken for a surrogate.
_PAIRED = re.compile(rb"(?:[^\\]++|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\(?!u[dD][89a-fA-F]).)*+", re.DOTALL)
_CONSTANT = re.compile(rb"NaN|-?Infinity")
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SAFE_DIGITS = 300  # an integer of fewer digits is far from the largest double, 1.8e308
_LEVELS: Final = {b"[": 1, b"{": 1, b",": 0, b"]": -1, b"}": -1}


@dataclass(frozen=True, slots=True)
class Member:
    """The place of a member of the outermost object, in bytes: from the quote of its name up to `end`."""

    name: str
    start: int
    end: int


class _Refused(Exception):
    """A hook refuses a literal. It does not know the place of it."""


class _Duplicate(Exception):
    """The hook found an object with two members of one name."""


def loads(content: bytes, *, max_depth: int = DEPTH_LIMIT, max_values: int = VALUE_LIMIT) -> JSONValue:
    """Read one JSON value by the rules of this module.

    Args:
        content: The text, in UTF-8.
        max_depth: The most arrays and objects inside one another.
        max_values: The most values.

    Raises:
        NotUTF8: The bytes are not UTF-8.
        DuplicateMember: An object has two members of one name.
        TooManyValues: It holds more values than the bound.
        InvalidJSON: Anything else is wrong; the three above are branches of it.
    """
    text = _decode(content)
    check_size(content, max_depth=max_depth, max_values=max_values)
    try:
        value = _DECODER.decode(text)
    except _Duplicate:
        raise _locate_duplicate(content) from None
    except _Refused:
        raise _locate_literal(content) from None
    except json.JSONDecodeError as error:
        raise InvalidJSON(len(text[: error.pos].encode()), error.msg) from error
    if b"\\u" in content:
        _check_surrogates(content)
    return cast("JSONValue", value)


def loads_object(
    content: bytes, *, max_depth: int = DEPTH_LIMIT, max_values: int = VALUE_LIMIT
) -> JSONObject:
    """Read a JSON object. Arguments are those of `loads`.

    Raises:
        InvalidJSON: As `loads`, or the value is not an object.
    """
    value = loads(content, max_depth=max_depth, max_values=max_values)
    if not isinstance(value, dict):
        raise InvalidJSON(0, "the value is not an object")
    return value


def members(content: bytes) -> list[Member]:
    """Return the members of the outermost object in their order, with the bytes they take.

    The caller has read the content with `loads_object`; this function checks nothing again.
    """
    found: list[Member] = []
    level = start = end = 0
    name: str | None = None
    for token in _TOKENS.finditer(content):
        step = _LEVELS.get(token[0], 0)
        ends = (level == 1 and token[0] == b",") or (level == 1 and step < 0)
        if ends and name is not None:
            found.append(Member(name, start, end))
            name = None
        elif level == 1 and name is None and not ends:
            name, start = json.loads(token[0]), token.start()
        level += step
        end = token.end()
    return found


def _decode(content: bytes) -> str:
    if content.startswith(_BOM):
        raise InvalidJSON(0, "it begins with a byte order mark")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise NotUTF8(error.start, error.reason) from error


def check_size(content: bytes, *, max_depth: int = DEPTH_LIMIT, max_values: int = VALUE_LIMIT) -> None:
    """Check the depth and the number of values of a text, which need not be JSON.

    Callers do so before they decode: a decoder recurses, and builds values. It refuses unbalanced brackets,
    too.

    Raises:
        TooManyValues: It holds more values.
        InvalidJSON: It nests deeper.
    """
    opened = content.count(b"[") + content.count(b"{")
    few = opened + content.count(b",") < max_values  # or fewer: strings may hold some of these
    if few and opened <= max_depth:
        return
    level, values = 0, 1
    for found in (_BRACKETS if few else _PUNCTUATION).finditer(content):
        step = _LEVELS.get(found[1], -1)
        level += step
        values += step >= 0
        if level > max_depth:
            raise InvalidJSON(found.start(1), f"it nests deeper than {max_depth} levels")
        if values > max_values:
            raise TooManyValues(found.start(1), f"it holds more than {max_values} values", max_values)


def _check_surrogates(content: bytes) -> None:
    found = _PAIRED.match(content)  # it always matches, if only the empty text
    if found is not None and found.end() < len(content):
        raise InvalidJSON(found.end(), "a surrogate stands without its other half")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Duplicate
    return value


def _integer(literal: str) -> int:
    if len(literal) > _SAFE_DIGITS:
        _float(literal)  # so that int() below never meets the interpreter's limit of digits
    return int(literal)


def _float(literal: str) -> float:
    value = float(literal)
    if math.isinf(value):
        raise _Refused
    return value


def _constant(_: str) -> float:
    raise _Refused


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)


def _locate_duplicate(content: bytes) -> DuplicateMember:
    names: list[set[str] | None] = []  # one for each open bracket; None for an array
    name_next = False
    for token in _TOKENS.finditer(content):
        match token[0][:1]:
            case b"{" | b"[" as bracket:
                names.append(set() if bracket == b"{" else None)
                name_next = bracket == b"{"
            case b"}" | b"]":
                names.pop()
                name_next = False
            case b",":
                name_next = names[-1] is not None
            case b'"' if name_next and (seen := names[-1]) is not None:
                name = json.loads(token[0])
                if name in seen:
                    return DuplicateMember(
                        token.start(), f"member {name[:100]!r} stands twice in one object", name, len(names)
                    )
                seen.add(name)
                name_next = False
    raise AssertionError("the decoder saw a duplicate member")  # pragma: no cover


def _locate_literal(content: bytes) -> InvalidJSON:
    for token in _TOKENS.finditer(content):
        if constant := _CONSTANT.match(token[0]):
            return InvalidJSON(token.start(), f"{constant[0].decode()} is not a JSON number")
        number = _NUMBER.match(token[0])
        if number and math.isinf(float(number[0])):
            return InvalidJSON(token.start(), "a number is beyond the range of a double")
    raise AssertionError("the decoder refused a literal")  # pragma: no cover
