"""The options of the S3 driver: one table for the URL's query, keyword arguments and the environment.

Later ones fill what earlier ones left open: the URL first, then the program's arguments, then
`REVSTORE_S3_<NAME>`, then AWS's own chain (variables, profiles, roles), which botocore walks. Credentials have
no place in a URL, where logs and process lists would show them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from revstore_async.driver import METADATA_TIMEOUT, without_secrets
from revstore_async.errors import InvalidStoreURL

from ..buckets.options import (
    MIB,
    choice,
    endpoint,
    flag,
    number,
    option,
    part_bytes,
    seconds,
    secret,
    text,
    verify,
)
from ..tables import Table, bare_prefix, is_bucket, shown_as


@dataclass(frozen=True, slots=True)
class S3Options:
    """The table. Each field but the first two is an option; its metadata describe it."""

    bucket: str
    prefix: str = ""
    endpoint_url: str | None = option(
        endpoint, None, "the server; left open for AWS", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"
    )
    public_endpoint_url: str | None = option(
        endpoint, None, "the server as clients see it, for signed URLs; left open for endpoint_url"
    )
    region: str | None = option(text, None, "the bucket's region", "AWS_REGION", "AWS_DEFAULT_REGION")
    profile: str | None = option(text, None, "the profile of AWS's configuration files")
    addressing: str | None = option(
        choice("path", "virtual"),
        None,
        "where the bucket's name goes; left open: path with an endpoint_url, virtual without",
    )
    server: str = option(
        choice("s3", "aws", "minio", "seaweedfs"),
        "s3",
        "what kind it is: sets the seven that follow, if left open",
    )
    conditional_put: bool | None = option(flag, None, "whether the server honours conditions of a PUT")
    conditional_commit: bool | None = option(flag, None, "whether it does on completion of multipart")
    conditional_delete: bool | None = option(flag, None, "whether it does on a DELETE")
    conditional_copy: bool | None = option(flag, None, "whether it does on the source of a copy")
    ordered_listing: bool | None = option(flag, None, "whether it lists in the byte order of keys")
    signed_urls: bool | None = option(flag, None, "whether it serves URLs that are signed")
    bulk_delete: bool | None = option(
        flag, None, "whether it deletes many objects in one request; else each takes one"
    )
    pool: int = option(number(2, 1000), 64, "connections, and requests under way at once")
    part_size: int = option(part_bytes, 8 * MIB, "bytes of each part but the last, such as 16MiB")
    parallel_parts: int = option(number(1, 64), 4, "parts of one writer, or one copy, under way at once")
    copy_part_size: int = option(part_bytes, 256 * MIB, "above it a copy goes by parts of it, in parallel")
    storage_class: str | None = option(text, None, "the storage class of what is written")
    sse: str | None = option(
        choice("AES256", "aws:kms", "aws:kms:dsse"), None, "the server-side encryption of what is written"
    )
    kms_key: str | None = option(text, None, "the key of aws:kms; left open for AWS's own")
    checksums: str = option(
        choice("when_required", "when_supported"),
        "when_required",
        "whether the SDK adds checksums of its own; digests cover content, so only where S3 demands it",
    )
    verify: bool | str = option(verify, True, "whether TLS is verified, or the file of CA certificates")
    connect_timeout: float = option(seconds, 5.0, "seconds for a connection")
    read_timeout: float = option(seconds, 30.0, "seconds without a byte of the answer")
    idle_timeout: float = option(
        seconds, 5.0, "seconds after which a reader that nobody reads gives its connection back"
    )
    metadata_timeout: float = option(
        seconds,
        METADATA_TIMEOUT.total_seconds(),
        "seconds for the metadata of one request, over all tries; layers have those above",
    )
    retries: int = option(number(0, 20), 3, "tries after the first, of what may be tried again")
    access_key_id: str | None = secret("explicit credentials, as an argument only")
    secret_access_key: str | None = secret("explicit credentials, as an argument only")
    session_token: str | None = secret("explicit credentials, as an argument only")

    @classmethod
    def from_url(cls, url: str, options: Mapping[str, object]) -> Self:
        """Read `s3://bucket/prefix?option=value`.

        Raises:
            InvalidStoreURL: It is not understood, or an option is not known or wrong; that one is named.
        """
        shown = without_secrets(url)
        parts = urlsplit(url)
        if parts.fragment or "@" in parts.netloc or ":" in parts.netloc:
            raise InvalidStoreURL(shown, "a store is written s3://bucket/prefix?option=value")
        taken = _TABLE.take(url, options, frozenset(_TABLE.where))
        return cls.build(shown, parts.netloc, unquote(parts.path), taken)

    @classmethod
    def build(cls, shown: str, bucket: str, prefix: str, options: Mapping[str, object]) -> Self:
        """Judge the options, and fill what they left open from the environment.

        Args:
            shown: The name of the store in messages.
            bucket: The bucket.
            prefix: What stands before each key; Docker Distribution's `rootdirectory`.
            options: Those of the table, as texts or as values; None for one that is left open.

        Raises:
            InvalidStoreURL: One of them is not known or wrong; it is named.
        """
        if not is_bucket(bucket):
            raise InvalidStoreURL(shown, "it names no bucket")
        values = _TABLE.values(shown, options, known=_TABLE.where, others=_TABLE.where)
        return cls(bucket, bare_prefix(shown, prefix), **values)

    def honours(self, capability: str) -> bool:
        """Say whether the server has a capability: as declared, else as its kind is known."""
        declared: bool | None = getattr(self, capability)
        return capability not in _LACKING[self.server] if declared is None else declared

    @property
    def path_style(self) -> bool:
        """Whether the bucket goes into the path."""
        return self.addressing == "path" or (self.addressing is None and self.endpoint_url is not None)

    @property
    def shown(self) -> str:
        """The name of the store in messages."""
        return shown_as("s3", self.bucket, self.prefix)


# A server that ignores a condition says nothing of it, so a kind has only what is known of it: "s3" what AWS and
# MinIO share. For others there are the flags.
_LACKING: Final[dict[str, frozenset[str]]] = {
    "s3": frozenset({"conditional_delete"}),
    "aws": frozenset(),
    "minio": frozenset({"conditional_delete"}),
    "seaweedfs": frozenset(
        {"conditional_commit", "conditional_delete", "conditional_copy", "ordered_listing"}
    ),
}

_TABLE: Final = Table(S3Options, "REVSTORE_S3_")
