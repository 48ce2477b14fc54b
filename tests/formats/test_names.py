"""Names, tags, references and digests: what fits the grammar, and what does not."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revstore_async import Digest, Reference, RepositoryName, Tag
from revstore_async.driver import check_key
from revstore_async.errors import (
    InvalidDigest,
    InvalidName,
    InvalidReference,
    InvalidTag,
    TagUnknown,
    VerificationFailed,
)
from revstore_async.formats.names import tag_or_digest

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "name", ["a", "library/hello", "a.b", "a_b", "a__b", "a-b", "a--b", "a/b/c/d", "0", "a" * 255]
)
def test_good_names(name: str) -> None:
    assert RepositoryName(name) == name
    assert RepositoryName(RepositoryName(name)) == name


BAD_NAMES = [
    "",
    "/",
    "a/",
    "/a",
    "a//b",
    ".",
    "..",
    "a/../b",
    "a/./b",
    "../a",
    "A",
    "a/B",
    "_a",
    "a_",
    "a___b",
    "a..b",
    "a._b",
    "-a",
    "a-",
    "a b",
    "a\n",
    "a\0",
    "a:b",
    "a@b",
    "a" * 256,
    "ä",
    "\u0430",
    "a\u2044b",
    "%2e%2e",
    "a\\b",
    "\uff41",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names(name: str) -> None:
    with pytest.raises(InvalidName) as refused:
        RepositoryName(name)
    assert refused.value.name == name


@given(st.text(max_size=40) | st.text("ab/._-", max_size=12))
def test_whatever_is_a_name_is_a_key(text: str) -> None:
    """No name leaves the root."""
    try:
        name = RepositoryName(text)
    except InvalidName:
        return
    assert check_key(name) == text
    assert not any(part.startswith((".", "_", "-")) for part in name.split("/"))


@pytest.mark.parametrize("tag", ["latest", "v1.0", "V1", "_", "1", "a..b", "a-", "a.", "a" * 128])
def test_good_tags(tag: str) -> None:
    assert Tag(tag) == tag


@pytest.mark.parametrize(
    "tag", ["", ".", "..", "-a", ".a", "a/b", "a:b", "a b", "a\n", "\0", "ä", "a" * 129, "\uff41"]
)
def test_bad_tags(tag: str) -> None:
    with pytest.raises(InvalidTag) as refused:
        Tag(tag)
    assert refused.value.tag == tag


def test_references() -> None:
    digest = Digest(f"sha256:{HEX}")
    assert Reference.parse("a/b") == Reference(RepositoryName("a/b"))
    assert Reference.parse("a/b:v1") == Reference(RepositoryName("a/b"), Tag("v1"))
    assert Reference.parse(f"a/b@{digest}") == Reference(RepositoryName("a/b"), digest)
    for text in ("a/b", "a/b:v1", f"a/b@{digest}"):
        assert str(Reference.parse(text)) == text
    assert tag_or_digest("v1") == Tag("v1")
    assert tag_or_digest(digest) == digest
    for text, error in [
        (f"a:v1@{digest}", InvalidReference),
        ("host:5000/a", InvalidTag),
        ("a:", InvalidTag),
        ("a@", InvalidDigest),
        ("@", InvalidName),
        ("A:v1", InvalidName),
    ]:
        with pytest.raises(error):
            Reference.parse(text)


def test_digests() -> None:
    digest = Digest(f"sha256:{HEX}")
    assert (digest.algorithm, digest.hex, digest.tarsum) == ("sha256", HEX, None)
    assert Digest.of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert Digest(f"tarsum.v1+sha256:{HEX}").tarsum == ("v1", "sha256")
    assert Digest(f"tarsum+sha256:{HEX}").tarsum == ("v0", "sha256")
    assert isinstance(digest, str)
    assert len({digest, f"sha256:{HEX}"}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "sha256",
        "sha256:",
        f"sha256:{HEX[:-1]}",
        f"sha256:{HEX}0",
        f"sha256:{HEX.upper()}",
        f"SHA256:{HEX}",
        f"md5:{HEX}",
        f"sha512:{HEX}",
        f"sha256:{HEX[:-1]}g",
        f"sha256:{HEX}\n",
        f" sha256:{HEX}",
        f"sha256:{HEX[:-1]}\0",
        f"tarsum.v0+sha256:{HEX}",
        f"tarsum.V1+sha256:{HEX}",
        f"tarsum.v1+md5:{HEX}",
        "sha256:" + "\uff10" * 64,
        "sha256:../../" + "0" * 58,
    ],
)
def test_bad_digests(text: str) -> None:
    with pytest.raises(InvalidDigest) as refused:
        Digest(text)
    assert refused.value.digest == text


def test_errors_carry_their_facts_and_survive_another_process() -> None:
    error = VerificationFailed("library/hello", (TagUnknown("library/hello", "v1"), InvalidTag("..", "no")))
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert [type(part) for part in again.errors] == [TagUnknown, InvalidTag]
    assert again.errors[0].tag == "v1"


def test_a_message_does_not_grow_with_hostile_input() -> None:
    with pytest.raises(InvalidName) as refused:
        RepositoryName("a" * 1_000_000)
    assert len(str(refused.value)) < 1000
    assert len(refused.value.name) == 1_000_000
