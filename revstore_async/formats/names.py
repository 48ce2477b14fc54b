"""Repository names, tags and references, by the grammar of the OCI distribution spec.

Source: distribution-spec v1.1, "Pulling manifests". A valid name can't leave the root of a store. No part of it
is empty or begins with a dot, and all bytes are ASCII letters, digits, `.`, `_` and `-`.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from ..arguments import check_type
from ..errors import InvalidName, InvalidReference, InvalidTag
from .digest import Digest

NAME_LIMIT: Final = 255
"""Characters of a repository name, as in Docker Distribution."""

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


class RepositoryName(str):
    """A validated repository name such as `library/hello`; it is a `str` and compares as one.

    Raises:
        InvalidName: The text is outside the grammar, or longer than 255 characters.
        WrongType: It is not text.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Validate the text; a `RepositoryName` is returned as it is."""
        if isinstance(text, cls):
            return text
        if type(text) is not str:
            check_type("repository name", text, str)
        if len(text) > NAME_LIMIT:  # before the pattern, so that its work is bounded
            raise InvalidName(text, f"it has {len(text)} characters, over the limit of {NAME_LIMIT}")
        if not _NAME.fullmatch(text):
            raise InvalidName(
                text,
                "its parts, between slashes, are lower-case letters and digits, "
                "joined by '.', '_', '__' or dashes",
            )
        return super().__new__(cls, text)


class Tag(str):
    """A validated tag such as `v1.2-rc`; it is a `str` and compares as one.

    Raises:
        InvalidTag: The text is outside the grammar, or longer than 128 characters.
        WrongType: It is not text.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Validate the text; a `Tag` is returned as it is."""
        if isinstance(text, cls):
            return text
        if type(text) is not str:
            check_type("tag", text, str)
        if not _TAG.fullmatch(text):
            raise InvalidTag(
                text, "it is 1 to 128 letters, digits, '_', '.' and '-', and begins with none of the last two"
            )
        return super().__new__(cls, text)


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository, and a tag or a digest or neither: `hello`, `hello:latest`, `hello@sha256:...`."""

    repository: RepositoryName
    target: Tag | Digest | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read a reference without a host name: a store has no host.

        Raises:
            InvalidReference: The text has both a tag and a digest.
            InvalidName: The repository is outside the grammar.
            InvalidTag: The tag is outside the grammar.
            InvalidDigest: The digest is outside the grammar.
            WrongType: The reference is not text.
        """
        if type(text) is not str:
            check_type("reference", text, str)
        name, at, digest = text.partition("@")
        name, colon, tag = name.partition(":")
        if at and colon:
            raise InvalidReference(text, "it has both a tag and a digest")
        repository = RepositoryName(name)
        return cls(repository, Digest(digest) if at else Tag(tag) if colon else None)

    def __str__(self) -> str:
        match self.target:
            case None:
                return self.repository
            case Digest():
                return f"{self.repository}@{self.target}"
            case _:
                return f"{self.repository}:{self.target}"


def tag_or_digest(text: str) -> Tag | Digest:
    """Read a manifest's reference: text with a colon is a digest, any other a tag.

    Raises:
        InvalidTag: It is neither.
        InvalidDigest: It has a colon, but is no digest.
        WrongType: It is not text.
    """
    if type(text) is not str:
        check_type("reference", text, str)
    return Digest(text) if ":" in text else Tag(text)
