"""The options of the drivers on obstore.

The first source that names an option wins: the URL's query, then the program's arguments, then the variables
`REVSTORE_OBSTORE_<NAME>`, then AWS's variables for endpoint and region. obstore itself reads `AWS_...`,
`GOOGLE_...`, `AZURE_...` and the metadata service for all other settings. A URL takes no credentials, since logs
and process lists show it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from revstore_async.driver import without_secrets
from revstore_async.errors import InvalidStoreURL

from ..buckets import options as clouds
from ..buckets.config import BucketOptions
from ..buckets.options import (
    OptionReader,
    bare_prefix,
    flag,
    is_bucket,
    number,
    option,
    seconds,
    secret,
    shown_as,
    text,
    verify,
)

S3: Final = "obstore+s3"
GOOGLE: Final = "gs"
AZURE: Final = "az"
SCHEMES: Final = {S3: clouds.S3, GOOGLE: clouds.GOOGLE, AZURE: clouds.AZURE}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStoreOptions(BucketOptions):
    """The options of the drivers on obstore, with those of `BucketOptions`.

    Attributes:
        scheme: The scheme of the store's URL.
    """

    scheme: str
    account: str | None = option(text, None, "the storage account", of=(clouds.AZURE,))
    service_account: str | None = option(
        text, None, "the file of the service account's key", of=(clouds.GOOGLE,)
    )
    conditional_put: bool = option(flag, True, "whether the server honours conditions of a PUT")
    signed_urls: bool = option(flag, True, "whether URLs are signed, which not all credentials can")
    bulk_delete: bool = option(
        flag,
        True,
        "whether the server deletes many objects in one request; else each takes one",
        of=(clouds.S3,),
    )
    pool: int = option(number(2, 1000), 64, "requests under way at once, parts of writers not counted")
    parallel_parts: int = option(number(1, 64), 4, "parts of one writer under way at once")
    verify: bool | str = option(verify, True, "whether TLS is verified, or a file of CA certificates besides")
    read_timeout: float = option(
        seconds, 30.0, "seconds without a byte of the answer; a part is sent within them"
    )
    access_key: str | None = secret("the account's key, as an argument only", of=(clouds.AZURE,))

    @classmethod
    def from_url(cls, url: str, options: Mapping[str, object]) -> Self:
        """Read `SCHEME://bucket/prefix?option=value`.

        Raises:
            InvalidStoreURL: The URL is not understood, or an option is not known or wrong; the message names it.
        """
        shown = without_secrets(url)
        parts = urlsplit(url)
        scheme = parts.scheme
        if scheme not in SCHEMES:
            raise InvalidStoreURL(shown, "its scheme is not known", frozenset(SCHEMES))
        if parts.fragment or "@" in parts.netloc or not is_bucket(parts.netloc):
            raise InvalidStoreURL(shown, f"a store is written {scheme}://bucket/prefix?option=value")
        cloud = SCHEMES[scheme]
        values = _READER.values(shown, _READER.given(url, options, cloud), cloud)
        prefix = bare_prefix(shown, unquote(parts.path))
        return cls(scheme=scheme, bucket=parts.netloc, prefix=prefix, **values)

    @property
    def may_be_minio(self) -> bool:
        """Whether it may be a MinIO: any S3 server that is not AWS."""
        return self.scheme == S3 and self.endpoint_url is not None

    @property
    def shown(self) -> str:
        """The name of the store in messages."""
        return shown_as(self.scheme, self.bucket, self.prefix)


_READER: Final = OptionReader(ObjectStoreOptions, "REVSTORE_OBSTORE_")
