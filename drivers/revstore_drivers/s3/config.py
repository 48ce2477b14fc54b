"""The options of the S3 driver.

The first source that names an option wins: the URL's query, then the program's arguments, then the variables
`REVSTORE_S3_<NAME>`, then AWS's own chain (variables, profiles, roles), which botocore walks. A URL takes no
credentials, since logs and process lists show it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from revstore_async.driver import without_secrets
from revstore_async.errors import InvalidStoreURL

from ..buckets.config import BucketOptions
from ..buckets.options import (
    MIB,
    S3,
    OptionReader,
    bare_prefix,
    choice,
    flag,
    is_bucket,
    number,
    option,
    part_bytes,
    seconds,
    shown_as,
    text,
    verify,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Options(BucketOptions):
    """The options of the S3 driver, with those of `BucketOptions`."""

    profile: str | None = option(text, None, "the profile of AWS's configuration files")
    server: str = option(
        choice("s3", "aws", "minio", "seaweedfs"),
        "s3",
        "what kind it is: sets the eight that follow, if left open",
    )
    conditional_put: bool | None = option(flag, None, "whether the server honours conditions of a PUT")
    conditional_commit: bool | None = option(flag, None, "whether it does on completion of multipart")
    conditional_delete: bool | None = option(flag, None, "whether it does on a DELETE")
    dated_deletion: bool | None = option(
        flag, None, "whether it refuses a signed deletion that reaches it after its end"
    )
    conditional_copy: bool | None = option(flag, None, "whether it does on the source of a copy")
    ordered_listing: bool | None = option(flag, None, "whether it lists in the byte order of keys")
    signed_urls: bool | None = option(flag, None, "whether it serves URLs that are signed")
    bulk_delete: bool | None = option(
        flag, None, "whether it deletes many objects in one request; else each takes one"
    )
    pool: int = option(number(2, 1000), 64, "connections, and requests under way at once")
    parallel_parts: int = option(number(1, 64), 4, "parts of one writer, or one copy, under way at once")
    copy_part_size: int = option(part_bytes, 256 * MIB, "above it a copy goes by parts of it, in parallel")
    checksums: str = option(
        choice("when_required", "when_supported"),
        "when_required",
        "whether the SDK adds checksums of its own; digests cover content, so only where S3 demands it",
    )
    verify: bool | str = option(verify, True, "whether TLS is verified, or the file of CA certificates")
    read_timeout: float = option(seconds, 30.0, "seconds without a byte of the answer")

    @classmethod
    def from_url(cls, url: str, options: Mapping[str, object]) -> Self:
        """Read `s3://bucket/prefix?option=value`.

        Raises:
            InvalidStoreURL: The URL is not understood, or an option is not known or wrong; the message names it.
        """
        shown = without_secrets(url)
        parts = urlsplit(url)
        if parts.fragment or "@" in parts.netloc or ":" in parts.netloc:
            raise InvalidStoreURL(shown, "a store is written s3://bucket/prefix?option=value")
        return cls.build(shown, parts.netloc, unquote(parts.path), _READER.given(url, options, S3))

    @classmethod
    def build(cls, shown: str, bucket: str, prefix: str, options: Mapping[str, object]) -> Self:
        """Check the options, and take further ones from the environment.

        Args:
            shown: The name of the store in messages.
            bucket: The bucket.
            prefix: As in `BucketOptions`.
            options: As texts or as values; None for one that is left open.

        Raises:
            InvalidStoreURL: An option is not known or wrong; the message names it.
        """
        if not is_bucket(bucket):
            raise InvalidStoreURL(shown, "it names no bucket")
        values = _READER.values(shown, options, S3)
        return cls(bucket=bucket, prefix=bare_prefix(shown, prefix), **values)

    def honours(self, capability: str) -> bool:
        """Whether the server has a capability: as declared, else as its kind is known."""
        declared: bool | None = getattr(self, capability)
        return capability not in _LACKING[self.server] if declared is None else declared

    @property
    def shown(self) -> str:
        """The name of the store in messages."""
        return shown_as("s3", self.bucket, self.prefix)


# A server that ignores a condition does not say so. Therefore a kind has only the capabilities that it is known to
# have, and "s3" those that AWS and MinIO share. The options declare others.
_LACKING: Final[dict[str, frozenset[str]]] = {
    "s3": frozenset({"conditional_delete"}),
    "aws": frozenset(),
    "minio": frozenset({"conditional_delete"}),
    "seaweedfs": frozenset(
        {"conditional_commit", "conditional_delete", "conditional_copy", "ordered_listing"}
    ),
}

_READER: Final = OptionReader(S3Options, "REVSTORE_S3_")
