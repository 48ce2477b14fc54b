"""The options of the S3 driver: one table for the URL's query, keyword arguments and the environment.

Later ones fill what earlier ones left open: the URL first, then the program's arguments, then
`REVSTORE_S3_<NAME>`, then AWS's own chain (variables, profiles, roles), which botocore walks. Credentials have
no place in a URL, where logs and process lists would show them.
"""

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from revstore_async.driver import check_prefix, without_secrets
from revstore_async.errors import InvalidKey, InvalidStoreURL

from ..arguments import take_options

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30

SMALLEST_PART: Final = 5 * MIB
"""Bytes that every part but the last must have."""

LARGEST_PART: Final = 5 * GIB
"""Bytes that a part, or an object copied in one request, may have."""

PREFIX_LIMIT: Final = 110
"""Characters of a prefix; with a key's 900 and what stands beside, S3's 1,024 are enough."""

SECRETS: Final = frozenset({"access_key_id", "secret_access_key", "session_token"})

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_SIZE = re.compile(r"([0-9]{1,15})(KiB|MiB|GiB|)")
_UNITS = {"": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB}

Parse = Callable[[object], Any]


def _text(value: object) -> str:
    text = str(value)
    if not text or not text.isprintable():
        raise ValueError("not a text")
    return text


def _flag(value: object) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if str(value).lower() not in known:
        raise ValueError("not true or false")
    return known[str(value).lower()]


def _number(least: int, most: int) -> Parse:
    def parse(value: object) -> int:
        if isinstance(value, bool) or not str(value).isdecimal() or not least <= int(str(value)) <= most:
            raise ValueError(f"not a number from {least} to {most}")
        return int(str(value))

    return parse


def _size(value: object) -> int:
    found = _SIZE.fullmatch(str(value))
    size = int(found[1]) * _UNITS[found[2]] if found else 0
    if not SMALLEST_PART <= size <= LARGEST_PART:
        raise ValueError("not a size from 5MiB to 5GiB")
    return size


def _seconds(value: object) -> float:
    seconds = math.nan
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        seconds = float(value)
    if not 0 < seconds <= 3600:
        raise ValueError("not a number of seconds up to 3600")
    return seconds


def _choice(*offered: str) -> Parse:
    def parse(value: object) -> str:
        if value not in offered:
            raise ValueError(f"not one of {', '.join(offered)}")
        return str(value)

    return parse


def _endpoint(value: object) -> str:
    parts = urlsplit(_text(value))
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("not an http or https URL")
    if parts.username or parts.password or parts.query or parts.fragment or parts.path not in {"", "/"}:
        raise ValueError("not just a scheme, a host and a port")
    return str(value).rstrip("/")


def _verify(value: object) -> bool | str:
    try:
        return _flag(value)
    except ValueError:
        return _text(value)


def _option(parse: Parse, default: object, says: str, *variables: str) -> Any:  # noqa: ANN401 (as dataclasses.field has it)
    return field(default=default, metadata={"parse": parse, "says": says, "variables": variables})


def _secret(says: str) -> Any:  # noqa: ANN401 (as above)
    return field(default=None, repr=False, metadata={"parse": _text, "says": says, "variables": ()})


@dataclass(frozen=True, slots=True)
class S3Options:
    """The table. Each field but the first two is an option; its metadata say what it is."""

    bucket: str
    prefix: str = ""
    endpoint_url: str | None = _option(
        _endpoint, None, "the server; left open for AWS", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"
    )
    public_endpoint_url: str | None = _option(
        _endpoint, None, "the server as clients see it, for signed URLs; left open for endpoint_url"
    )
    region: str | None = _option(_text, None, "the bucket's region", "AWS_REGION", "AWS_DEFAULT_REGION")
    profile: str | None = _option(_text, None, "the profile of AWS's configuration files")
    addressing: str | None = _option(
        _choice("path", "virtual"),
        None,
        "where the bucket's name goes; left open: path with an endpoint_url, virtual without",
    )
    server: str = _option(
        _choice("s3", "aws", "minio", "seaweedfs"),
        "s3",
        "what kind it is: sets the six that follow, if left open",
    )
    conditional_put: bool | None = _option(_flag, None, "whether the server honours conditions of a PUT")
    conditional_commit: bool | None = _option(_flag, None, "whether it does on completion of multipart")
    conditional_delete: bool | None = _option(_flag, None, "whether it does on a DELETE")
    ordered_listing: bool | None = _option(_flag, None, "whether it lists in the byte order of keys")
    resumable_writes: bool | None = _option(
        _flag, None, "whether writes are suspended and resumed; needs conditional_put"
    )
    signed_urls: bool | None = _option(_flag, None, "whether it serves URLs that are signed")
    pool: int = _option(_number(2, 1000), 64, "connections, and requests under way at once")
    part_size: int = _option(_size, 8 * MIB, "bytes of each part but the last, such as 16MiB")
    parallel_parts: int = _option(_number(1, 64), 4, "parts of one writer, or one copy, under way at once")
    copy_part_size: int = _option(_size, 256 * MIB, "above it a copy goes by parts of it, in parallel")
    storage_class: str | None = _option(_text, None, "the storage class of what is written")
    sse: str | None = _option(
        _choice("AES256", "aws:kms", "aws:kms:dsse"), None, "the server-side encryption of what is written"
    )
    kms_key: str | None = _option(_text, None, "the key of aws:kms; left open for AWS's own")
    checksums: str = _option(
        _choice("when_required", "when_supported"),
        "when_required",
        "whether the SDK adds checksums of its own; digests cover content, so only where S3 demands it",
    )
    verify: bool | str = _option(_verify, True, "whether TLS is verified, or the file of CA certificates")
    connect_timeout: float = _option(_seconds, 5.0, "seconds for a connection")
    read_timeout: float = _option(_seconds, 30.0, "seconds without a byte of the answer")
    idle_timeout: float = _option(
        _seconds, 5.0, "seconds after which a reader that nobody reads gives its connection back"
    )
    retries: int = _option(_number(0, 20), 3, "tries after the first, of what may be tried again")
    access_key_id: str | None = _secret("explicit credentials, as an argument only")
    secret_access_key: str | None = _secret("explicit credentials, as an argument only")
    session_token: str | None = _secret("explicit credentials, as an argument only")

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
        taken = take_options(url, options, frozenset(_TABLE))
        in_url = SECRETS & take_options(url, {}, frozenset(_TABLE)).keys()
        if in_url:
            raise InvalidStoreURL(shown, f"{min(in_url)} is a secret, which has no place in a URL")
        return cls.build(shown, parts.netloc, unquote(parts.path), taken)

    @classmethod
    def build(cls, shown: str, bucket: str, prefix: str, options: Mapping[str, object]) -> Self:
        """Judge the options, and fill what they left open from the environment.

        Args:
            shown: What messages call the store.
            bucket: The bucket.
            prefix: What stands before each key; Docker Distribution's `rootdirectory`.
            options: Those of the table, as texts or as values; None for one that is left open.

        Raises:
            InvalidStoreURL: One of them is not known or wrong; it is named.
        """
        if not _BUCKET.fullmatch(bucket):
            raise InvalidStoreURL(shown, "it names no bucket")
        values: dict[str, Any] = {}
        for name, value in options.items():
            if name not in _TABLE:
                raise InvalidStoreURL(shown, f"the option {name!r} is not known")
            if value is not None:
                values[name] = _parsed(shown, name, name, value)
        for name, variables in _TABLE.items():
            for variable in variables:
                if name not in values and (text := os.environ.get(variable)):
                    values[name] = _parsed(shown, name, variable, text)
        if values.get("kms_key") and not str(values.get("sse", "")).startswith("aws:kms"):
            raise InvalidStoreURL(shown, "kms_key needs sse=aws:kms")
        if bool(values.get("access_key_id")) != bool(values.get("secret_access_key")):
            raise InvalidStoreURL(shown, "access_key_id and secret_access_key go together")
        return cls(bucket, _prefix(shown, prefix), **values)

    def honours(self, capability: str) -> bool:
        """Say whether the server has a capability: as declared, else as its kind is known."""
        if capability == "resumable_writes" and not self.honours("conditional_put"):
            return False
        declared: bool | None = getattr(self, capability)
        return capability not in _LACKING[self.server] if declared is None else declared

    @property
    def path_style(self) -> bool:
        """Whether the bucket goes into the path."""
        return self.addressing == "path" or (self.addressing is None and self.endpoint_url is not None)

    @property
    def shown(self) -> str:
        """What messages call the store."""
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"


# A server that ignores a condition says nothing of it, so a kind has only what is known of it: "s3" what AWS and
# MinIO share. For others there are the flags.
_LACKING: Final[dict[str, frozenset[str]]] = {
    "s3": frozenset({"conditional_delete"}),
    "aws": frozenset(),
    "minio": frozenset({"conditional_delete"}),
    "seaweedfs": frozenset({"conditional_commit", "conditional_delete", "ordered_listing"}),
}


def _variables(name: str, others: tuple[str, ...]) -> tuple[str, ...]:
    return () if name in SECRETS else (f"REVSTORE_S3_{name.upper()}", *others)


_OPTIONS: Final = {option.name: option for option in fields(S3Options) if option.metadata}
_TABLE: Final = {name: _variables(name, option.metadata["variables"]) for name, option in _OPTIONS.items()}


def _parsed(shown: str, name: str, place: str, value: object) -> object:
    try:
        return _OPTIONS[name].metadata["parse"](value)
    except ValueError as error:
        told = "what it was given" if name in SECRETS else repr(str(value)[:100])
        raise InvalidStoreURL(shown, f"{place} is {told}: {error}") from None


def _prefix(shown: str, prefix: str) -> str:
    bare = prefix.strip("/")
    try:
        check_prefix(bare)
    except InvalidKey as error:
        raise InvalidStoreURL(shown, f"the prefix is not valid: {error.reason}") from error
    if len(bare) > PREFIX_LIMIT:
        raise InvalidStoreURL(shown, f"the prefix has over {PREFIX_LIMIT} characters")
    return bare
