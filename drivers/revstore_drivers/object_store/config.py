"""The options of the drivers on obstore: one table for the URL's query, keyword arguments and the environment.

Later ones fill what earlier ones left open: the URL first, then the program's arguments, then
`REVSTORE_OBSTORE_<NAME>`, then AWS's variables for endpoint and region, then what obstore itself reads
(`AWS_...`, `GOOGLE_...`, `AZURE_...`, the metadata service). Credentials have no place in a URL, where logs and
process lists would show them.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from revstore_async.driver import check_prefix, without_secrets
from revstore_async.errors import InvalidKey, InvalidStoreURL

from ..arguments import take_options
from ..options import MIB, choice, endpoint, flag, number, option, part_size, seconds, secret, text, verify

S3: Final = "obstore+s3"
GOOGLE: Final = "gs"
AZURE: Final = "az"
SCHEMES: Final = (S3, GOOGLE, AZURE)

PREFIX_LIMIT: Final = 110
"""Characters of a prefix; with a key's 900, the 1,024 of S3, Google and Azure are enough."""

_AWS: Final = {
    "endpoint_url": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")


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
    pool: int = option(number(2, 1000), 64, "requests under way at once, parts of writers not counted")
    part_size: int = option(part_size, 8 * MIB, "bytes of each part but the last, such as 16MiB")
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
        if parts.fragment or "@" in parts.netloc or not _BUCKET.fullmatch(parts.netloc):
            raise InvalidStoreURL(shown, f"a store is written {scheme}://bucket/prefix?option=value")
        known = frozenset(name for name, where in _TABLE.items() if not where or scheme in where)
        taken = take_options(url, options, known)
        in_url = _SECRETS & take_options(url, {}, known).keys()
        if in_url:
            raise InvalidStoreURL(shown, f"{min(in_url)} is a secret, which has no place in a URL")
        values: dict[str, Any] = {
            name: _parsed(shown, name, name, value) for name, value in taken.items() if value is not None
        }
        for name in sorted(known - _SECRETS - values.keys()):
            others = _AWS.get(name, ()) if scheme == S3 else ()
            for variable in (f"REVSTORE_OBSTORE_{name.upper()}", *others):
                if name not in values and (found := os.environ.get(variable)):
                    values[name] = _parsed(shown, name, variable, found)
        _check(shown, values)
        return cls(scheme, parts.netloc, _prefix(shown, unquote(parts.path)), **values)

    @property
    def may_be_minio(self) -> bool:
        """Whether it may be a MinIO: any S3 server that is not AWS."""
        return self.scheme == S3 and self.endpoint_url is not None

    @property
    def shown(self) -> str:
        """What messages call the store."""
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")


_OPTIONS: Final = {found.name: found for found in fields(ObjectStoreOptions) if found.metadata}
_TABLE: Final[dict[str, tuple[str, ...]]] = {
    name: found.metadata["where"] for name, found in _OPTIONS.items()
}
_SECRETS: Final = frozenset(name for name, found in _OPTIONS.items() if "secret" in found.metadata)


def _parsed(shown: str, name: str, place: str, value: object) -> object:
    try:
        return _OPTIONS[name].metadata["parse"](value)
    except ValueError as error:
        told = "what it was given" if name in _SECRETS else repr(str(value)[:100])
        raise InvalidStoreURL(shown, f"{place} is {told}: {error}") from None


def _check(shown: str, values: Mapping[str, Any]) -> None:
    if values.get("kms_key") and not str(values.get("sse", "")).startswith("aws:kms"):
        raise InvalidStoreURL(shown, "kms_key needs sse=aws:kms")
    if bool(values.get("access_key_id")) != bool(values.get("secret_access_key")):
        raise InvalidStoreURL(shown, "access_key_id and secret_access_key go together")


def _prefix(shown: str, prefix: str) -> str:
    bare = prefix.strip("/")
    try:
        check_prefix(bare)
    except InvalidKey as error:
        raise InvalidStoreURL(shown, f"the prefix is not valid: {error.reason}") from error
    if len(bare) > PREFIX_LIMIT:
        raise InvalidStoreURL(shown, f"the prefix has over {PREFIX_LIMIT} characters")
    return bare
