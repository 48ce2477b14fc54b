"""Strategies for JSON objects written in any way that JSON can be written in."""

import json
from typing import Any

from hypothesis import strategies as st

SPACE = st.text(" \t\n\r", max_size=4)
BEGINNINGS = st.one_of(SPACE, st.sampled_from(["\n", "\n  ", "\n   ", "\n\t", "\r\n  ", " \n  ", "\n\n "]))

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.text(max_size=8).filter(lambda name: name != "signatures")


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """Any payload that can be signed: every white space, escape and nesting."""
    content: dict[str, Any] = draw(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
    written = json.dumps(
        content,
        indent=draw(st.sampled_from([None, "", " ", "   ", "\t"])),
        ensure_ascii=draw(st.booleans()),
    )
    body = written[1:-1].strip()
    parts = (draw(SPACE), "{", draw(BEGINNINGS), body, draw(SPACE), "}", draw(SPACE))
    return "".join(parts).encode()
