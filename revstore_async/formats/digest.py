"""Digests: the names of content.

Source: OCI image spec, descriptor.md, "Digests"; for the legacy tarsum form, Docker Distribution's
`registry/storage/paths.go` and the tarsum specification of Docker 1.x.
"""

import hashlib
import re
from typing import TYPE_CHECKING, Final, Self

from ..arguments import check_type
from ..errors import InvalidDigest

if TYPE_CHECKING:
    from hashlib import _Hash

HEX_LENGTHS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
"""Algorithms that the engine can compute, with the length of their digests in hexadecimal digits."""

_PLAIN = re.compile(
    "|".join(f"{algorithm}:[0-9a-f]{{{length}}}" for algorithm, length in HEX_LENGTHS.items())
)
_HEX = re.compile(r"[0-9a-f]+")
_TARSUM = re.compile(r"tarsum(?:\.(?P<version>[a-z0-9]+))?\+(?P<algorithm>[a-z0-9]+)")


class Digest(str):
    """A validated digest, `<algorithm>:<lower-case hex>`; it is a `str` and compares as one.

    Algorithms are sha256, sha384 and sha512. The legacy `tarsum+sha256:...` and `tarsum.v1+sha256:...` of
    Docker's first registries are accepted as names, but nothing can be verified against them.

    Raises:
        InvalidDigest: The text is not such a digest.
        WrongType: It is not text.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Validate the text; a `Digest` is returned as it is."""
        if isinstance(text, cls):
            return text
        if type(text) is not str:
            check_type("digest", text, str)
        if _PLAIN.fullmatch(text):
            return super().__new__(cls, text)
        algorithm, colon, hexadecimal = text.partition(":")
        if not colon:
            raise InvalidDigest(text, "it has no ':' between algorithm and value")
        tarsum = _TARSUM.fullmatch(algorithm)
        if tarsum and tarsum["version"] == "v0":
            raise InvalidDigest(text, "version v0 of tarsum is written without its number, 'tarsum+...'")
        length = HEX_LENGTHS.get(tarsum["algorithm"] if tarsum else algorithm)
        if length is None:
            raise InvalidDigest(text, "its algorithm is not one of " + ", ".join(HEX_LENGTHS))
        if len(hexadecimal) != length or not _HEX.fullmatch(hexadecimal):
            raise InvalidDigest(text, f"its value is not {length} lower-case hexadecimal digits")
        return super().__new__(cls, text)

    @classmethod
    def of(cls, content: bytes | bytearray | memoryview, algorithm: str = "sha256") -> Self:
        """Return the digest of content.

        It computes in the calling thread: a coroutine gives large content to another thread.

        Raises:
            InvalidDigest: The engine can't compute the algorithm.
            WrongType: The content is no bytes.
        """
        if type(content) is not bytes:
            check_type("content", content, bytes, bytearray, memoryview)
        hasher = new_hasher(algorithm)
        hasher.update(content)
        return cls(f"{algorithm}:{hasher.hexdigest()}")

    @property
    def algorithm(self) -> str:
        """The part before the colon, such as `sha256`."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The part after the colon."""
        return self.partition(":")[2]

    @property
    def tarsum(self) -> tuple[str, str] | None:
        """The version and hash algorithm (`("v1", "sha256")`) of a legacy tarsum; for any other digest None."""
        match = _TARSUM.fullmatch(self.algorithm) if self.startswith("tarsum") else None
        return (match["version"] or "v0", match["algorithm"]) if match else None

    def __repr__(self) -> str:
        return f"Digest({str(self)!r})"


def new_hasher(algorithm: str) -> "_Hash":
    """Return a new hashlib object for an algorithm of `HEX_LENGTHS`.

    Raises:
        InvalidDigest: The algorithm is another one (tarsum included: it can't be computed).
        WrongType: It is not text.
    """
    if type(algorithm) is not str:
        check_type("algorithm", algorithm, str)
    if algorithm not in HEX_LENGTHS:
        raise InvalidDigest(algorithm, "content can be verified only by " + ", ".join(HEX_LENGTHS))
    return hashlib.new(algorithm)
