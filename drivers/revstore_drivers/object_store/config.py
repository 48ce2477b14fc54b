"""The options of the drivers on obstore: one table for the URL's query, keyword arguments and the environment.

Later ones fill what earlier ones left open: the URL first, then the program's arguments, then
`REVSTORE_OBSTORE_<NAME>`, then AWS's variables for endpoint and region, then what obstore itself reads
(`AWS_...`, `GOOGLE_...`, `AZURE_...`, the metadata service). Credentials have no place in a URL, where logs and
process lists would show them.
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

S3: Final = "obstore+s3"
GOOGLE: Final = "gs"
AZURE: Final = "az"
SCHEMES: Final = (S3, GOOGLE, AZURE)

_AWS: Final = {
    "endpoint_url": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
}


@dataclass(frozen=True, slots=True)
class ObjectStoreOptions:
    """The table. Each field but the first three is an option; its metadata say what it is, and of which schemes."""

    scheme: str
    bucket: str
    prefix: str = ""
    endpoint_url: str | None = option(endpoint, None, "the server; left open for the cloud's own", S3, AZURE)
    public_endpoint_url: str | None = option(
        endpoint, None, "the server as clients see it, for signed URLs; left open for endpoint_url", S3
    )
    region: str | None = option(text, None, "the bucket's region", S3)
    addressing: str | None = option(
        choice("path", "virtual"),
        None,
        "where the bucket's name goes; left open: path with an endpoint_url, virtual without",
        S3,
    )
    account: str | None = option(text, None, "the storage account", AZURE)
    service_account: str | None = option(text, None, "the file of the service account's key", GOOGLE)
    conditional_put: bool = option(flag, True, "whether the server honours conditions of a PUT")
    signed_urls: bool = option(flag, True, "whether URLs are signed, which not all credentials can")
    bulk_delete: bool = option(
        flag, True, "whether the server deletes many objects in one request; else each takes one", S3
    )
    pool: int = option(number(2, 1000), 64, "requests under way at once, parts of writers not counted")
    part_size: int = option(part_bytes, 8 * MIB, "bytes of each part but the last, such as 16MiB")
    parallel_parts: int = option(number(1, 64), 4, "parts of one writer under way at once")
    storage_class: str | None = option(text, None, "the storage class of what is written")
    sse: str | None = option(
        choice("AES256", "aws:kms", "aws:kms:dsse"), None, "the server-side encryption of what is written", S3
    )
    kms_key: str | None = option(text, None, "the key of aws:kms; left open for AWS's own", S3)
    verify: bool | str = option(verify, True, "whether TLS is verified, or a file of CA certificates besides")
    connect_timeout: float = option(seconds, 5.0, "seconds for a connection")
    read_timeout: float = option(
        seconds, 30.0, "seconds without a byte of the answer; a part is sent within them"
    )
    idle_timeout: float = option(
        seconds, 5.0, "seconds after which a reader that nobody reads gives its connection back"
    )
    metadata_timeout: float = option(
        seconds,
        METADATA_TIMEOUT.total_seconds(),
        "seconds for the metadata of one request, over all tries; layers have those above",
    )
    retries: int = option(number(0, 20), 3, "tries after the first, of what may be tried again")
    access_key_id: str | None = secret("explicit credentials, as an argument only", S3)
    secret_access_key: str | None = secret("explicit credentials, as an argument only", S3)
    session_token: str | None = secret("explicit credentials, as an argument only", S3)
    access_key: str | None = secret("the account's key, as an argument only", AZURE)

    @classmethod
    def from_url(cls, url: str, options: Mapping[str, object]) -> Self:
        """Read `SCHEME://bucket/prefix?option=value`.

        Raises:
            InvalidStoreURL: It is not understood, or an option is not known or wrong; that one is named.
        """
        shown = without_secrets(url)
        parts = urlsplit(url)
        scheme = parts.scheme
        if scheme not in SCHEMES:
            raise InvalidStoreURL(shown, f"its scheme is none of {', '.join(SCHEMES)}")
        if parts.fragment or "@" in parts.netloc or not is_bucket(parts.netloc):
            raise InvalidStoreURL(shown, f"a store is written {scheme}://bucket/prefix?option=value")
        known = frozenset(name for name, where in _TABLE.where.items() if not where or scheme in where)
        taken = _TABLE.take(url, options, known)
        values = _TABLE.values(shown, taken, known, others=_AWS if scheme == S3 else {})
        return cls(scheme, parts.netloc, bare_prefix(shown, unquote(parts.path)), **values)

    @property
    def may_be_minio(self) -> bool:
        """Whether it may be a MinIO: any S3 server that is not AWS."""
        return self.scheme == S3 and self.endpoint_url is not None

    @property
    def shown(self) -> str:
        """The store's name in messages."""
        return shown_as(self.scheme, self.bucket, self.prefix)


_TABLE: Final = Table(ObjectStoreOptions, "REVSTORE_OBSTORE_")
