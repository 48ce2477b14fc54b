"""A wrong type is refused by name, by one error that is both of the tree and a TypeError."""

from collections.abc import Callable
from typing import Any

import pytest

from revstore_async import Digest, Reference, RepositoryName, Tag, errors
from revstore_async.arguments import as_bytes, check_type
from revstore_async.formats.names import tag_or_digest

OTHERS = [None, 5, 1.5, b"sha256:00", ["a"], object()]


@pytest.mark.parametrize("read", [Digest, RepositoryName, Tag, Reference.parse, tag_or_digest])
@pytest.mark.parametrize("other", OTHERS, ids=lambda other: type(other).__name__)
def test_text_of_another_type_is_refused_by_name(read: Callable[[object], object], other: object):
    with pytest.raises(errors.WrongType, match=f"must be str, not {type(other).__name__}") as caught:
        read(other)
    assert isinstance(caught.value, TypeError | ValueError)
    assert caught.value.found is type(other)


def test_the_error_names_the_argument_and_all_types_but_not_the_value():
    with pytest.raises(errors.WrongType) as caught:
        check_type("passphrase", 12345, str, bytes, type(None))
    assert str(caught.value) == "passphrase must be str or bytes or None, not int"


@pytest.mark.parametrize("content", [b"ab", bytearray(b"ab"), memoryview(b"ab")])
def test_any_buffer_is_bytes(content: bytes | bytearray | memoryview):
    assert as_bytes("content", content) == b"ab"
    assert Digest.of(content) == Digest.of(b"ab")


@pytest.mark.parametrize("other", [None, 2, "ab", ["a"]], ids=lambda other: type(other).__name__)
def test_other_types_than_buffers_are_no_bytes(other: Any):
    for take in (lambda: as_bytes("document", other), lambda: Digest.of(other)):
        with pytest.raises(errors.WrongType, match=f"not {type(other).__name__}"):
            take()


def test_a_digest_is_of_an_algorithm_that_is_text():
    other: Any = 256
    with pytest.raises(errors.WrongType, match="algorithm must be str, not int"):
        Digest.of(b"", other)
